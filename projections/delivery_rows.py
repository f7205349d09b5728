"""What a batch adds to `delivery`: counts by key, engagements to be judged, engagements to be taken back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import date, datetime
from functools import lru_cache
from hashlib import blake2b
from typing import Any, NamedTuple

import msgspec

from domain import events
from domain.event_parts import DirectDemand, EngagementKind, Inventory
from domain.events import Engagement, Event
from domain.reach import mark_of
from projections.auction_day import EPOCH, auction_day
from projections.dimensions import bounded_device_type, bounded_text

COUNTED = (
    events.BidRequested,
    events.BidPlaced,
    events.AuctionAwarded,
    events.ImpressionRecorded,
    events.ClickRecorded,
    events.EngagementVoided,
)

KINDS = 4
REQUESTS, IMPS, BIDS, WINS = range(KINDS)
QUARTER_MINUTES = 15
QUARTERS_PER_HOUR = 4
QUARTERS_PER_DAY = 96
EPOCH_DAY = EPOCH.toordinal()
DIGEST_BYTES = 16
Campaign = tuple[str, str, str]
"""Advertiser, campaign and ad."""
NO_CAMPAIGN: Campaign = ("", "", "")
Carried = tuple[int, int, Inventory, str, str | None, Campaign, str, str]
"""What events carry of their key, as they have it: flat, because this is made for each of them and compared a lot.

Quarters of an hour, of the event and of its auction; the inventory; bidder, deal, campaign, size and currency.
"""
Named = tuple[Inventory, str, str | None, Campaign, str, str]
"""The same without the time."""

Line = tuple[str, str, str, str, int, str, str, str, str, str, str, str]
"""Of `tables.DELIVERY_DIMENSIONS`."""
Key = tuple[int, int, str]
"""Quarters from the epoch, of the event and of its auction, and the digest of the line."""

_encode = msgspec.msgpack.Encoder().encode


class Met(NamedTuple):
    """An engagement before it is judged; what it costs if it counts, in nano-units."""

    place: int
    """In the batch."""
    number: int
    """Of the key that it counts under."""
    day: date
    auction_id: str
    event_id: str
    imp_id: str
    kind: EngagementKind
    valid: bool
    register: int | None
    """Of its person's mark (`domain.reach`), with the rank; None where there is none to be counted."""
    rank: int | None
    spend: int
    revenue: int
    fee: int


class Voided(NamedTuple):
    """The parameters of `delivery_statement.TAKE_BACK`."""

    day: date
    auction_id: str
    event_id: str
    """Of the engagement."""
    quarter: int
    auction_quarter: int
    line: str
    spend: int
    revenue: int
    fee: int


class Rows:
    """Keys are numbered, and made once per group of events that carry the same, not once per event; lines once."""

    def __init__(self) -> None:
        self.engagements: list[Met] = []
        self.voided: list[Voided] = []
        self._keys: dict[Key, int] = {}
        self._counts: list[list[int]] = []
        self._numbers: dict[Carried, int] = {}
        self._digests: dict[Named, str] = {}
        self._lines: dict[str, Line] = {}

    def add(self, batch: Sequence[Event]) -> None:
        """Raises ValueError for an id that is no auction's, and for a void that does not say what it takes back."""
        by_type: dict[type[Event], list[Any]] = {each: [] for each in COUNTED}
        for event in batch:
            by_type[type(event)].append(event)
        requests = [each for each in by_type[events.BidRequested] if not (each.test or each.robot)]
        self._count(REQUESTS, [_offered(each, each.imps[0].inventory) for each in requests])
        self._count(IMPS, [_offered(each, imp.inventory) for each in requests for imp in each.imps])
        self._count(BIDS, [_bid(each) for each in by_type[events.BidPlaced] if not each.test])
        self._count(WINS, [_won(each) for each in by_type[events.AuctionAwarded] if not each.test])
        self._meet("impression", by_type[events.ImpressionRecorded])
        self._meet("click", by_type[events.ClickRecorded])
        for void in by_type[events.EngagementVoided]:
            self._take_back(void)

    def named(self) -> list[tuple[Any, ...]]:
        """Rows for `delivery_named`: digests and their lines."""
        return [(digest, *line) for digest, line in self._lines.items()]

    def folded(self) -> list[tuple[Any, ...]]:
        """Rows for `delivery_folded`: number, key, counts."""
        return [(number, *key, *self._counts[number]) for key, number in self._keys.items()]

    def _count(self, kind: int, carried: Iterable[Carried]) -> None:
        for group, count in Counter(carried).items():
            self._counts[self._number(group)][kind] += count

    def _meet(self, kind: EngagementKind, engagements: Iterable[Engagement]) -> None:
        for each in engagements:
            if not each.test and each.verdict != "test":
                self.engagements.append(_met(len(self.engagements), self._number(_engaged(each)), kind, each))

    def _take_back(self, void: events.EngagementVoided) -> None:
        engagement = void.engagement
        if engagement is None:
            raise ValueError(f"the void {void.id} does not hold the engagement {void.engagement_id}")
        day = auction_day(engagement.auction_id)
        key = self._key(_engaged(engagement))
        cost = _cost(void.kind, engagement)
        self.voided.append(Voided(day, engagement.auction_id, engagement.id, *key, *cost))

    def _number(self, group: Carried) -> int:
        number = self._numbers.get(group)
        if number is None:
            # Two different texts may be the same once they are bounded.
            number = self._keys.setdefault(self._key(group), len(self._keys))
            if number == len(self._counts):
                self._counts.append([0] * KINDS)
            self._numbers[group] = number
        return number

    def _key(self, group: Carried) -> Key:
        named = group[2:]
        digest = self._digests.get(named)
        if digest is None:
            line = _line(named)
            # As hexadecimal digits, which is how a UUID is copied the fastest.
            digest = self._digests[named] = blake2b(_encode(line), digest_size=DIGEST_BYTES).hexdigest()
            self._lines[digest] = line
        return group[0], group[1], digest


def _line(named: Named) -> Line:
    """Bounded: what comes from outside may be of any length."""
    inventory, bidder_id, deal_id, campaign, size, currency = named
    return (
        bounded_text(inventory.publisher_id),
        bounded_text(inventory.placement_id),
        bounded_text(inventory.site),
        bounded_text(inventory.country),
        bounded_device_type(inventory.device_type),
        bidder_id,
        bounded_text(deal_id or ""),
        *campaign,
        bounded_text(size),
        currency,
    )


@lru_cache(maxsize=1024)
def _size(width: int | None, height: int | None) -> str:
    """As awards and engagements state it."""
    return f"{width}x{height}" if width and height else ""


def _quarter(at: datetime) -> int:
    """Quarters of an hour from the epoch."""
    return (at.toordinal() - EPOCH_DAY) * QUARTERS_PER_DAY + at.hour * QUARTERS_PER_HOUR + at.minute // QUARTER_MINUTES


def _offered(event: events.BidRequested, inventory: Inventory) -> Carried:
    quarter = _quarter(event.at)
    return quarter, quarter, inventory, "", None, NO_CAMPAIGN, "", event.currency


def _bid(event: events.BidPlaced) -> Carried:
    quarter = _quarter(event.at)
    campaign = NO_CAMPAIGN if event.direct is None else _campaign(event.direct)
    size = _size(event.width, event.height)
    return quarter, quarter, event.inventory, event.bidder_id, event.deal_id, campaign, size, event.currency


def _won(event: events.AuctionAwarded) -> Carried:
    quarter = _quarter(event.at)
    campaign = NO_CAMPAIGN if event.direct is None else _campaign(event.direct)
    return quarter, quarter, event.inventory, event.bidder_id, event.deal_id, campaign, event.size, event.currency


def _campaign(direct: DirectDemand) -> Campaign:
    return direct.advertiser_id, direct.campaign_id, direct.ad_id


def _engaged(event: Engagement) -> Carried:
    quarter, auction_quarter = _quarter(event.at), _quarter(event.awarded_at)
    campaign = (event.advertiser_id or "", event.campaign_id or "", event.ad_id or "")
    return (
        quarter,
        auction_quarter,
        event.inventory,
        event.bidder_id,
        event.deal_id,
        campaign,
        event.size,
        event.currency,
    )


def _met(place: int, number: int, kind: EngagementKind, event: Engagement) -> Met:
    valid = event.verdict == "valid"
    is_reached = valid and kind == "impression" and event.person
    register, rank = mark_of(event.person) if is_reached else (None, None)
    return Met(
        place,
        number,
        auction_day(event.auction_id),
        event.auction_id,
        event.id,
        event.imp_id,
        kind,
        valid,
        register,
        rank,
        *_cost(kind, event),
    )


def _cost(kind: EngagementKind, event: Engagement) -> tuple[int, int, int]:
    """Spend, revenue and fee in nano-units, if it is the one that counts: see `events.Engagement`."""
    if kind != event.charged_on or not event.charged:
        return 0, 0, 0
    return event.clearing_price_micros, event.revenue_micros, event.fee_micros
