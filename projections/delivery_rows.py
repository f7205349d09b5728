"""What a batch adds to `delivery`: counts by key, engagements to be judged, engagements to be taken back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, datetime
from hashlib import blake2b
from typing import Any, Generic, NamedTuple, TypeVar

import msgspec

from domain.event_parts import EngagementKind, Inventory
from domain.excerpt import Excerpt
from domain.reach import mark_of
from projections import delivery_events as events
from projections.auction_day import EPOCH, auction_day
from projections.dimensions import bounded_device_type, bounded_text

QUARTER_MINUTES = 15
QUARTERS_PER_HOUR = 4
QUARTERS_PER_DAY = 96
EPOCH_DAY = EPOCH.toordinal()
MINUTE_CHARS = 16
"""Of an instant as it is written, up to its minute."""
DIGEST_BYTES = 16
Campaign = tuple[str, str, str]
"""Advertiser, campaign and ad."""
NO_CAMPAIGN: Campaign = ("", "", "")

Offered = tuple[bytes, str]
"""What requests and imps say of their line: inventory as it is written, currency."""
Bid = tuple[bytes, str, str | None, events.DirectDemand | None, int | None, int | None, str]
"""Inventory, bidder, deal, campaign, width, height, currency."""
Won = tuple[bytes, str, str | None, events.DirectDemand | None, str, str]
"""The same with the size as awards and engagements state it."""
Engaged = tuple[bytes, str, str | None, str | None, str | None, str | None, str, str]
"""The same with advertiser, campaign and ad."""
Buyer = tuple[str, str | None, str, str, str, str, str]
"""Bidder, deal, advertiser, campaign, ad, size, currency."""
Counted = Counter[tuple[int, int]]
"""Events by their quarter and the number of their line."""
Said = TypeVar("Said")

Line = tuple[str, str, str, str, int, str, str, str, str, str, str, str]
"""Of `tables.DELIVERY_DIMENSIONS`."""
Key = tuple[int, int, str]
"""Quarters from the epoch, of the event and of its auction, and the digest of the line."""

_encode = msgspec.msgpack.Encoder().encode
_inventory = msgspec.json.Decoder(Inventory).decode


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


class Quarters(dict[str, int]):
    """Minutes, as events write them, to quarters of an hour from the epoch; each is read once."""

    def __missing__(self, minute: str) -> int:
        at = datetime.fromisoformat(minute)
        days = at.toordinal() - EPOCH_DAY
        quarter = days * QUARTERS_PER_DAY + at.hour * QUARTERS_PER_HOUR + at.minute // QUARTER_MINUTES
        self[minute] = quarter
        return quarter


class Lines:
    """The lines of a batch, by number."""

    def __init__(self) -> None:
        self.named: dict[str, Line] = {}
        """By digest."""
        self.digests: list[str] = []
        self._numbers: dict[Line, int] = {}

    def number_of(self, line: Line) -> int:
        number = self._numbers.get(line)
        if number is None:
            number = self._numbers[line] = len(self.digests)
            # As hexadecimal digits, which is how a UUID is copied the fastest.
            self.digests.append(blake2b(_encode(line), digest_size=DIGEST_BYTES).hexdigest())
            self.named[self.digests[number]] = line
        return number


class LinesOf(dict[Said, int], Generic[Said]):
    """What events say of their line, to its number; each is made out once.

    Different words may be of the same line once they are bounded.
    """

    def __init__(self, lines: Lines, line: Callable[[Said], Line]) -> None:
        super().__init__()
        self._lines, self._line = lines, line

    def __missing__(self, said: Said) -> int:
        """Raises ValueError for an inventory that is none."""
        number = self[said] = self._lines.number_of(self._line(said))
        return number


class Rows:
    """Most events of a batch share their minute and their line with others, so neither is made for each of them."""

    def __init__(self) -> None:
        self.engagements: list[Met] = []
        self.voided: list[Voided] = []
        self._quarters = Quarters()
        self._lines = Lines()
        self._offered = LinesOf(self._lines, _line_of_offer)
        self._bid = LinesOf(self._lines, _line_of_bid)
        self._won = LinesOf(self._lines, _line_of_award)
        self._engaged = LinesOf(self._lines, _line_of_engagement)
        self._counted: tuple[Counted, Counted, Counted, Counted] = (Counter(), Counter(), Counter(), Counter())
        """Requests, imps, bids, wins."""
        self._numbers: dict[tuple[int, int, int], int] = {}
        """Quarter, auction's quarter and number of the line, to the number of the key."""

    def add(self, batch: Sequence[Excerpt]) -> None:
        """Raises ValueError for an id that is no auction's, and for a void that does not say what it takes back."""
        by_type: dict[type[Excerpt], list[Any]] = {each: [] for each in events.EXCERPTS}
        for event in batch:
            by_type[type(event)].append(event)
        self._count_requests(by_type[events.BidRequested])
        self._count_bids(by_type[events.BidPlaced])
        self._count_wins(by_type[events.AuctionAwarded])
        self._meet("impression", by_type[events.ImpressionRecorded])
        self._meet("click", by_type[events.ClickRecorded])
        for void in by_type[events.EngagementVoided]:
            self._take_back(void)

    @property
    def lines(self) -> Mapping[str, Line]:
        """By digest."""
        return self._lines.named

    def named(self, digests: Iterable[str]) -> list[tuple[Any, ...]]:
        """Rows for `delivery_named`: digests and their lines."""
        return [(digest, *self.lines[digest]) for digest in digests]

    def folded(self) -> list[tuple[Any, ...]]:
        """Rows for `delivery_folded`: number, key, counts."""
        numbers, kinds = self._numbers, len(self._counted)
        counts = [[0] * kinds for _ in numbers]
        for kind, counted in enumerate(self._counted):
            for (quarter, line), count in counted.items():
                number = numbers.setdefault((quarter, quarter, line), len(numbers))
                if number == len(counts):
                    counts.append([0] * kinds)
                counts[number][kind] = count
        digests = self._lines.digests
        return [
            (number, quarter, auction_quarter, digests[line], *counts[number])
            for (quarter, auction_quarter, line), number in numbers.items()
        ]

    def _count_requests(self, requests: Iterable[events.BidRequested]) -> None:
        quarters, lines = self._quarters, self._offered
        offered = [
            (quarters[each.at[:MINUTE_CHARS]], [lines[bytes(imp.inventory), each.currency] for imp in each.imps])
            for each in requests
            if not (each.test or each.robot)
        ]
        counted_requests, counted_imps, _, _ = self._counted
        counted_requests.update([(quarter, of_imps[0]) for quarter, of_imps in offered])
        counted_imps.update([(quarter, line) for quarter, of_imps in offered for line in of_imps])

    def _count_bids(self, bids: Iterable[events.BidPlaced]) -> None:
        quarters, lines = self._quarters, self._bid
        _, _, counted, _ = self._counted
        counted.update(
            [
                (
                    quarters[bid.at[:MINUTE_CHARS]],
                    lines[
                        bytes(bid.inventory),
                        bid.bidder_id,
                        bid.deal_id,
                        bid.direct,
                        bid.width,
                        bid.height,
                        bid.currency,
                    ],
                )
                for bid in bids
                if not bid.test
            ]
        )

    def _count_wins(self, awards: Iterable[events.AuctionAwarded]) -> None:
        quarters, lines = self._quarters, self._won
        _, _, _, counted = self._counted
        counted.update(
            [
                (
                    quarters[won.at[:MINUTE_CHARS]],
                    lines[bytes(won.inventory), won.bidder_id, won.deal_id, won.direct, won.size, won.currency],
                )
                for won in awards
                if not won.test
            ]
        )

    def _meet(self, kind: EngagementKind, engagements: Iterable[events.Engagement]) -> None:
        for each in engagements:
            if not each.test and each.verdict != "test":
                number = self._numbers.setdefault(self._key(each), len(self._numbers))
                self.engagements.append(_met(len(self.engagements), number, kind, each))

    def _take_back(self, void: events.EngagementVoided) -> None:
        engagement = void.engagement
        if engagement is None:
            raise ValueError(f"the void {void.id} does not hold the engagement {void.engagement_id}")
        day = auction_day(engagement.auction_id)
        quarter, auction_quarter, line = self._key(engagement)
        key = (quarter, auction_quarter, self._lines.digests[line])
        self.voided.append(Voided(day, engagement.auction_id, engagement.id, *key, *_cost(void.kind, engagement)))

    def _key(self, met: events.Engagement) -> tuple[int, int, int]:
        line = self._engaged[
            bytes(met.inventory),
            met.bidder_id,
            met.deal_id,
            met.advertiser_id,
            met.campaign_id,
            met.ad_id,
            met.size,
            met.currency,
        ]
        return self._quarters[met.at[:MINUTE_CHARS]], self._quarters[met.awarded_at[:MINUTE_CHARS]], line


def _line_of_offer(said: Offered) -> Line:
    inventory, currency = said
    return _line(inventory, ("", None, *NO_CAMPAIGN, "", currency))


def _line_of_bid(said: Bid) -> Line:
    inventory, bidder_id, deal_id, direct, width, height, currency = said
    size = f"{width}x{height}" if width and height else ""
    return _line(inventory, (bidder_id, deal_id, *_campaign(direct), size, currency))


def _line_of_award(said: Won) -> Line:
    inventory, bidder_id, deal_id, direct, size, currency = said
    return _line(inventory, (bidder_id, deal_id, *_campaign(direct), size, currency))


def _line_of_engagement(said: Engaged) -> Line:
    inventory, bidder_id, deal_id, advertiser_id, campaign_id, ad_id, size, currency = said
    campaign = (advertiser_id or "", campaign_id or "", ad_id or "")
    return _line(inventory, (bidder_id, deal_id, *campaign, size, currency))


def _campaign(direct: events.DirectDemand | None) -> Campaign:
    return NO_CAMPAIGN if direct is None else (direct.advertiser_id, direct.campaign_id, direct.ad_id)


def _line(written: bytes, buyer: Buyer) -> Line:
    """Bounded: what comes from outside may be of any length."""
    inventory = _inventory(written)
    bidder_id, deal_id, advertiser_id, campaign_id, ad_id, size, currency = buyer
    return (
        bounded_text(inventory.publisher_id),
        bounded_text(inventory.placement_id),
        bounded_text(inventory.site),
        bounded_text(inventory.country),
        bounded_device_type(inventory.device_type),
        bidder_id,
        bounded_text(deal_id or ""),
        advertiser_id,
        campaign_id,
        ad_id,
        bounded_text(size),
        currency,
    )


def _met(place: int, number: int, kind: EngagementKind, event: events.Engagement) -> Met:
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


def _cost(kind: EngagementKind, event: events.Engagement) -> tuple[int, int, int]:
    """Spend, revenue and fee in nano-units, if it is the one that counts: see `events.Engagement`."""
    if kind != event.charged_on or not event.charged:
        return 0, 0, 0
    return event.clearing_price_micros, event.revenue_micros, event.fee_micros
