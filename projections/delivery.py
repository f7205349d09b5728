"""The read model `delivery`: hourly counts and money by publisher, placement, site, country, device and bidder.

Each event counts in the hour of its own `at`. Tests never count, nor do requests for pages that a robot fetched.
Requests and imps have no bidder; an auction with several imps is one request, under its first imp's inventory.

Engagements are judged here: one that was logged twice counts once, and of several valid ones of the same kind for
the same imp, the first in the log counts net and the others gross only. `delivery_engagements` remembers them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import date
from typing import Any, NamedTuple

from domain import events
from domain.event_parts import EngagementKind, Inventory
from domain.events import Engagement, Event
from projections.auction_day import EPOCH, auction_day
from projections.day_partitions import DayPartitions
from projections.delivery_statement import COUNT_AND_JUDGE, INCOMING
from projections.dimensions import bounded_device_type, bounded_text
from projections.postgres_store import Connection

KINDS = 4
REQUESTS, IMPS, BIDS, WINS = range(KINDS)
HOURS_PER_DAY = 24
EPOCH_DAY = EPOCH.toordinal()

Key = tuple[int, str, str, str, str, int, str, str, str, str]
"""A row's key: the hour, counted from the epoch, then `tables.DELIVERY_DIMENSIONS`."""

Carried = tuple[int, int, Inventory, str, str, str, str]
"""What events carry of it: day and hour, the inventory, then bidder, campaign, ad and currency."""


class Met(NamedTuple):
    """An engagement before it is judged; its money in micros per mille, which are nano-units for one impression."""

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
    spend: int
    revenue: int
    fee: int


class Delivery:
    """A `projection.Projection` in Postgres."""

    name = "delivery"
    events = (
        events.BidRequested,
        events.BidPlaced,
        events.AuctionAwarded,
        events.ImpressionRecorded,
        events.ClickRecorded,
    )

    def __init__(self) -> None:
        self._partitions = DayPartitions(["delivery_engagements"])

    def fold(self, events: Sequence[Event], onto: Rows | None = None) -> Rows:
        """Counts by key; engagements as they came."""
        rows = Rows() if onto is None else onto
        rows.add(events)
        return rows

    async def prepare(self, connection: Connection, rows: Rows) -> None:
        await connection.execute(INCOMING)
        await self._partitions.ensure(connection, {met.day for met in rows.engagements})

    async def write(self, connection: Connection, rows: Rows) -> None:
        await connection.copy_records_to_table("delivery_folded", records=rows.folded())
        if rows.engagements:
            await connection.copy_records_to_table("delivery_met", records=rows.engagements)
        await connection.execute(COUNT_AND_JUDGE)

    async def clear(self, connection: Connection) -> None:
        await connection.execute("TRUNCATE delivery, delivery_engagements")


class Rows:
    """What a batch adds: counts by key, and the engagements to be judged.

    Keys are numbered, and made once per group of events that carry the same, not once per event.
    """

    def __init__(self) -> None:
        self.engagements: list[Met] = []
        self._keys: dict[Key, int] = {}
        self._counts: list[list[int]] = []
        self._numbers: dict[Carried, int] = {}
        self._inventories: dict[Inventory, tuple[str, str, str, str, int]] = {}

    def add(self, batch: Sequence[Event]) -> None:
        by_type: dict[type[Event], list[Any]] = {each: [] for each in Delivery.events}
        for event in batch:
            by_type[type(event)].append(event)
        requests = [each for each in by_type[events.BidRequested] if not (each.test or each.robot)]
        self._count(REQUESTS, [_offered(each, each.imps[0].inventory) for each in requests])
        self._count(IMPS, [_offered(each, imp.inventory) for each in requests for imp in each.imps])
        self._count(BIDS, [_bought(each) for each in by_type[events.BidPlaced] if not each.test])
        self._count(WINS, [_bought(each) for each in by_type[events.AuctionAwarded] if not each.test])
        self._meet("impression", by_type[events.ImpressionRecorded])
        self._meet("click", by_type[events.ClickRecorded])

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
        day, hour, inventory, bidder_id, campaign_id, ad_id, currency = group
        known = self._inventories.get(inventory)
        if known is None:
            known = self._inventories[inventory] = (
                bounded_text(inventory.publisher_id),
                bounded_text(inventory.placement_id),
                bounded_text(inventory.site),
                bounded_text(inventory.country),
                bounded_device_type(inventory.device_type),
            )
        return ((day - EPOCH_DAY) * HOURS_PER_DAY + hour, *known, bidder_id, campaign_id, ad_id, currency)


def _offered(event: events.BidRequested, inventory: Inventory) -> Carried:
    at = event.at
    return at.toordinal(), at.hour, inventory, "", "", "", event.currency


def _bought(event: events.BidPlaced | events.AuctionAwarded) -> Carried:
    at = event.at
    return at.toordinal(), at.hour, event.inventory, event.bidder_id, "", "", event.currency


def _engaged(event: Engagement) -> Carried:
    at = event.at
    buyer = (event.bidder_id, event.campaign_id or "", event.ad_id or "", event.currency)
    return (at.toordinal(), at.hour, event.inventory, *buyer)


def _met(place: int, number: int, kind: EngagementKind, event: Engagement) -> Met:
    return Met(
        place,
        number,
        auction_day(event.auction_id),
        event.auction_id,
        event.id,
        event.imp_id,
        kind,
        event.verdict == "valid",
        event.clearing_price_micros,
        event.revenue_micros,
        event.fee_micros,
    )
