"""What a batch adds to `delivery`: counts by key, engagements to be judged, engagements to be taken back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import date, datetime
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
KEY_BYTES = 16

Time = tuple[int, int]
"""Day, and quarter of an hour in it."""
Buyer = tuple[str, str, str, str, str, str]
"""Bidder, deal, advertiser, campaign, ad and size."""
Carried = tuple[Time, Time, Inventory, Buyer, str]
"""What events carry of their key: their own time, the auction's, the inventory, who buys, and the currency."""
NOBODY: Buyer = ("", "", "", "", "", "")

Key = tuple[int, int, str, str, str, str, int, str, str, str, str, str, str, str]
"""A row's key: quarters from the epoch, of the event and of its auction, then `tables.DELIVERY_DIMENSIONS`."""

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
    key: str
    spend: int
    revenue: int
    fee: int


class Rows:
    """Keys are numbered, and made once per group of events that carry the same, not once per event."""

    def __init__(self) -> None:
        self.engagements: list[Met] = []
        self.voided: list[Voided] = []
        self._keys: dict[Key, int] = {}
        self._counts: list[list[int]] = []
        self._numbers: dict[Carried, int] = {}
        self._inventories: dict[Inventory, tuple[str, str, str, str, int]] = {}

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

    def folded(self) -> list[tuple[Any, ...]]:
        """Rows for `delivery_folded`: number, digest of the key, key, counts."""
        return [(number, _digest(key), *key, *self._counts[number]) for key, number in self._keys.items()]

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
        key = self._key(_engaged(engagement))
        day = auction_day(engagement.auction_id)
        self.voided.append(
            Voided(day, engagement.auction_id, engagement.id, key[0], _digest(key), *_cost(void.kind, engagement))
        )

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
        time, auction_time, inventory, (bidder_id, deal_id, *direct, size), currency = group
        known = self._inventories.get(inventory)
        if known is None:
            known = self._inventories[inventory] = (
                bounded_text(inventory.publisher_id),
                bounded_text(inventory.placement_id),
                bounded_text(inventory.site),
                bounded_text(inventory.country),
                bounded_device_type(inventory.device_type),
            )
        advertiser_id, campaign_id, ad_id = direct
        buyer = (bidder_id, bounded_text(deal_id), advertiser_id, campaign_id, ad_id, bounded_text(size))
        return (_quarter(time), _quarter(auction_time), *known, *buyer, currency)


def _time(at: datetime) -> Time:
    return at.toordinal(), at.hour * QUARTERS_PER_HOUR + at.minute // QUARTER_MINUTES


def _quarter(time: Time) -> int:
    day, quarter = time
    return (day - EPOCH_DAY) * QUARTERS_PER_DAY + quarter


def _digest(key: Key) -> str:
    """As hexadecimal digits, which is how a UUID is copied the fastest."""
    return blake2b(_encode(key), digest_size=KEY_BYTES).hexdigest()


def _offered(event: events.BidRequested, inventory: Inventory) -> Carried:
    time = _time(event.at)
    return time, time, inventory, NOBODY, event.currency


def _bid(event: events.BidPlaced) -> Carried:
    size = f"{event.width}x{event.height}" if event.width and event.height else ""
    time = _time(event.at)
    return time, time, event.inventory, _buyer(event, event.direct, size), event.currency


def _won(event: events.AuctionAwarded) -> Carried:
    time = _time(event.at)
    return time, time, event.inventory, _buyer(event, event.direct, event.size), event.currency


def _buyer(event: events.BidPlaced | events.AuctionAwarded, direct: DirectDemand | None, size: str) -> Buyer:
    if direct is None:
        return event.bidder_id, event.deal_id or "", "", "", "", size
    return event.bidder_id, event.deal_id or "", direct.advertiser_id, direct.campaign_id, direct.ad_id, size


def _engaged(event: Engagement) -> Carried:
    buyer = (
        event.bidder_id,
        event.deal_id or "",
        event.advertiser_id or "",
        event.campaign_id or "",
        event.ad_id or "",
        event.size,
    )
    return _time(event.at), _time(event.awarded_at), event.inventory, buyer, event.currency


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
