"""The read model `delivery`: hourly counts and money by publisher, placement, site, country, device and bidder.

Each event counts in the hour of its own `at`. Tests never count. Requests and imps have no bidder; an auction with
several imps is one request, under its first imp's inventory.

Engagements are judged here: one that was logged twice counts once, and of several valid ones of the same kind for
the same imp, the first in the log counts net and the others gross only. `delivery_engagements` remembers them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import date, datetime
from typing import NamedTuple

import msgspec

from domain import events
from domain.events import Engagement, EngagementKind, Event, Inventory
from projections.auction_day import auction_day
from projections.day_partitions import DayPartitions
from projections.delivery_statement import COUNT_AND_JUDGE
from projections.dimensions import bounded_device_type, bounded_text
from projections.postgres_store import Connection

SECONDS_PER_HOUR = 3_600
REQUESTS, IMPS, BIDS, WINS = range(4)


class Group(NamedTuple):
    """What is counted together."""

    hour: int
    """Hours since the epoch."""
    inventory: Inventory
    bidder_id: str
    currency: str
    campaign_id: str = ""
    ad_id: str = ""


class Met(NamedTuple):
    """An engagement before it is judged; its money in micros per mille, which are nano-units for one impression."""

    day: date
    auction_id: str
    event_id: str
    imp_id: str
    kind: EngagementKind
    valid: bool
    spend: int
    revenue: int
    fee: int
    group: Group


class Rows(msgspec.Struct, frozen=True):
    """What a batch adds to the table, in an order of its own: the statement sorts."""

    counts: dict[Group, list[int]]
    """Requests, imps, bids and wins."""
    engagements: list[Met]


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

    def fold(self, events: Sequence[Event]) -> Rows:
        """Counts by group, engagements as they came."""
        return _fold(events)

    async def prepare(self, connection: Connection, rows: Rows) -> None:
        await self._partitions.ensure(connection, {met.day for met in rows.engagements})

    async def write(self, connection: Connection, rows: Rows) -> None:
        await connection.execute(COUNT_AND_JUDGE, *_counted_columns(rows.counts), *_judged_columns(rows.engagements))

    async def clear(self, connection: Connection) -> None:
        await connection.execute("TRUNCATE delivery, delivery_engagements")


def _fold(batch: Sequence[Event]) -> Rows:
    counts: dict[Group, list[int]] = defaultdict(lambda: [0, 0, 0, 0])
    engagements: list[Met] = []
    for event in batch:
        if isinstance(event, events.BidPlaced):
            if not event.test:
                counts[Group(_hour(event.at), event.inventory, event.bidder_id, event.currency)][BIDS] += 1
        elif isinstance(event, events.BidRequested):
            if not event.test:
                _count_request(counts, event)
        elif isinstance(event, events.AuctionAwarded):
            if not event.test:
                counts[Group(_hour(event.at), event.inventory, event.bidder_id, event.currency)][WINS] += 1
        elif isinstance(event, Engagement) and not event.test and event.verdict != "test":
            engagements.append(_met(event))
    return Rows(dict(counts), engagements)


def _count_request(counts: dict[Group, list[int]], event: events.BidRequested) -> None:
    hour = _hour(event.at)
    counts[Group(hour, event.imps[0].inventory, "", event.currency)][REQUESTS] += 1
    for imp in event.imps:
        counts[Group(hour, imp.inventory, "", event.currency)][IMPS] += 1


def _met(event: Engagement) -> Met:
    return Met(
        day=auction_day(event.auction_id),
        auction_id=event.auction_id,
        event_id=event.id,
        imp_id=event.imp_id,
        kind="impression" if isinstance(event, events.ImpressionRecorded) else "click",
        valid=event.verdict == "valid",
        spend=event.clearing_price_micros,
        revenue=event.revenue_micros,
        fee=event.fee_micros,
        group=Group(
            _hour(event.at),
            event.inventory,
            event.bidder_id,
            event.currency,
            event.campaign_id or "",
            event.ad_id or "",
        ),
    )


def _hour(at: datetime) -> int:
    return int(at.timestamp()) // SECONDS_PER_HOUR


# -- columns for the statement -----------------------------------------------------------------------


def _counted_columns(counts: dict[Group, list[int]]) -> list[Sequence[object]]:
    return [*_group_columns(list(counts)), *([count[kind] for count in counts.values()] for kind in range(4))]


def _judged_columns(engagements: list[Met]) -> list[Sequence[object]]:
    *facts, groups = zip(*engagements, strict=True) if engagements else [()] * len(Met._fields)
    return [*_group_columns(groups), *map(list, facts)]


def _group_columns(groups: Sequence[Group]) -> list[Sequence[object]]:
    """The hour, then `tables.DELIVERY_DIMENSIONS`."""
    inventories = [group.inventory for group in groups]
    return [
        [group.hour for group in groups],
        [bounded_text(inventory.publisher_id) for inventory in inventories],
        [bounded_text(inventory.placement_id) for inventory in inventories],
        [bounded_text(inventory.site) for inventory in inventories],
        [bounded_text(inventory.country) for inventory in inventories],
        [bounded_device_type(inventory.device_type) for inventory in inventories],
        [bounded_text(group.bidder_id) for group in groups],
        [bounded_text(group.campaign_id) for group in groups],
        [bounded_text(group.ad_id) for group in groups],
        [bounded_text(group.currency) for group in groups],
    ]
