"""The read model `delivery`: hourly counts and money by publisher, placement, site, country, device and bidder.

Each event counts in the hour of its own `at`. Tests never count. Requests and imps have no bidder; an auction with
several imps is one request, under its first imp's inventory.

Engagements are judged here: one that was logged twice counts once, and of several valid ones of the same kind for
the same imp, the first in the log counts net and the others gross only. `delivery_engagements` remembers them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date, datetime
from functools import partial
from typing import Any, NamedTuple

import msgspec

from domain import events
from domain.events import Engagement, EngagementKind, Event, Inventory
from projections.auction_day import auction_day
from projections.day_partitions import DayPartitions
from projections.delivery_statement import COUNT_AND_JUDGE, INCOMING
from projections.dimensions import bounded_device_type, bounded_text
from projections.postgres_store import Connection

SECONDS_PER_HOUR = 3_600
KINDS = 4
REQUESTS, IMPS, BIDS, WINS = range(KINDS)


class Key(NamedTuple):
    """A row's key: the hour, counted from the epoch, then `tables.DELIVERY_DIMENSIONS`."""

    hour: int
    publisher_id: str
    placement_id: str
    site: str
    country: str
    device_type: int
    bidder_id: str
    campaign_id: str
    ad_id: str
    currency: str


Carried = tuple[int, Inventory, str, str, str, str]
"""What a key is made of: the hour, the inventory, then bidder, campaign, ad and currency."""


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


class Rows(msgspec.Struct, frozen=True):
    """What a batch adds to the table."""

    keys: list[Key]
    """All different; a key's number is its place in here. The statement sorts them."""
    counts: list[list[int]]
    """Requests, imps, bids and wins of each key."""
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
        """Counts by key; engagements as they came."""
        fold = _Fold()
        for event in events:
            if not event.test:  # type: ignore[attr-defined] # all that are taken have it
                fold.take[type(event)](event)
        return Rows(list(fold.keys), fold.counts, fold.engagements)

    async def prepare(self, connection: Connection, rows: Rows) -> None:
        await connection.execute(INCOMING)
        await self._partitions.ensure(connection, {met.day for met in rows.engagements})

    async def write(self, connection: Connection, rows: Rows) -> None:
        folded = [(number, *key, *rows.counts[number]) for number, key in enumerate(rows.keys)]
        await connection.copy_records_to_table("delivery_folded", records=folded)
        if rows.engagements:
            await connection.copy_records_to_table("delivery_met", records=rows.engagements)
        await connection.execute(COUNT_AND_JUDGE)

    async def clear(self, connection: Connection) -> None:
        await connection.execute("TRUNCATE delivery, delivery_engagements")


class _Fold:
    """Gathers a batch. Keys are numbered, so that an event costs one look-up by what it carries anyway."""

    def __init__(self) -> None:
        self.keys: dict[Key, int] = {}
        self.counts: list[list[int]] = []
        self.engagements: list[Met] = []
        self.take: dict[type[Event], Callable[[Any], None]] = {
            events.BidRequested: self._request,
            events.BidPlaced: self._bid,
            events.AuctionAwarded: self._win,
            events.ImpressionRecorded: partial(self._engagement, "impression"),
            events.ClickRecorded: partial(self._engagement, "click"),
        }
        self._numbers: dict[Carried, int] = {}

    def _request(self, event: events.BidRequested) -> None:
        hour = _hour(event.at)
        for place, imp in enumerate(event.imps):
            count = self.counts[self._number((hour, imp.inventory, "", "", "", event.currency))]
            count[IMPS] += 1
            if place == 0:
                count[REQUESTS] += 1

    def _bid(self, event: events.BidPlaced) -> None:
        number = self._number((_hour(event.at), event.inventory, event.bidder_id, "", "", event.currency))
        self.counts[number][BIDS] += 1

    def _win(self, event: events.AuctionAwarded) -> None:
        number = self._number((_hour(event.at), event.inventory, event.bidder_id, "", "", event.currency))
        self.counts[number][WINS] += 1

    def _engagement(self, kind: EngagementKind, event: Engagement) -> None:
        if event.verdict == "test":
            return
        buyer = (event.bidder_id, event.campaign_id or "", event.ad_id or "", event.currency)
        number = self._number((_hour(event.at), event.inventory, *buyer))
        self.engagements.append(
            Met(
                len(self.engagements),
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
        )

    def _number(self, carried: Carried) -> int:
        number = self._numbers.get(carried)
        if number is None:
            # Two different texts may be the same once they are bounded.
            number = self.keys.setdefault(_key(*carried), len(self.keys))
            if number == len(self.counts):
                self.counts.append([0] * KINDS)
            self._numbers[carried] = number
        return number


def _key(hour: int, inventory: Inventory, *texts: str) -> Key:
    return Key(
        hour,
        bounded_text(inventory.publisher_id),
        bounded_text(inventory.placement_id),
        bounded_text(inventory.site),
        bounded_text(inventory.country),
        bounded_device_type(inventory.device_type),
        *map(bounded_text, texts),
    )


def _hour(at: datetime) -> int:
    return int(at.timestamp()) // SECONDS_PER_HOUR
