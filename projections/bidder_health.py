"""The read model `bidder_health`: how each bidder's calls end, hour by hour, why, and how long they take.

Each outcome counts in the hour of its own event, once per imp, as auctions log it; the time of a call therefore counts
once for each imp that it was for. Tests never count, nor what was skipped because a robot had asked.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

from domain import events
from domain.events import Event
from domain.openrtb.codes import NoBidReason
from projections.auction_day import EPOCH
from projections.postgres_store import Connection
from projections.tables import BIDDER_LATENCY_COLUMNS, LATENCY_BOUNDS_MS

PLACED, WON, LATE = "placed", "won", "late"
"""What is counted beside the outcomes of refusals: a bid in the ranking, an imp won, an answer after the decision."""
CODE_OF_ITS_OWN = 500
"""All codes that belong to no list are counted as one, so that no bidder can fill the table with them."""
EPOCH_DAY = EPOCH.toordinal()
HOURS_PER_DAY = 24

Key = tuple[int, str, str, int]
"""Hour, counted from the epoch, bidder, outcome, code."""
_COLUMNS = ("events", *BIDDER_LATENCY_COLUMNS)

COUNT = f"""
INSERT INTO bidder_health (hour, bidder_id, outcome, code, {", ".join(_COLUMNS)})
SELECT to_timestamp(hour * 3600), bidder_id, outcome, code, {", ".join(_COLUMNS)}
FROM unnest($1::bigint[], $2::text[], $3::text[], $4::int[],
    {", ".join(f"${place}::bigint[]" for place in range(5, 5 + len(_COLUMNS)))})
    AS counted (hour, bidder_id, outcome, code, {", ".join(_COLUMNS)})
ORDER BY hour, bidder_id, outcome, code
ON CONFLICT (hour, bidder_id, outcome, code) DO UPDATE
SET {", ".join(f"{name} = bidder_health.{name} + excluded.{name}" for name in _COLUMNS)}
"""  # noqa: S608 - nothing but names of columns is put in


class BidderHealth:
    """A `projection.Projection` in Postgres."""

    name = "bidder_health"
    events = (events.BidPlaced, events.BidRefused, events.AuctionAwarded, events.BidderAnsweredLate)

    def fold(self, events: Sequence[Event], onto: Rows | None = None) -> Rows:
        """Counts by key."""
        rows = Rows() if onto is None else onto
        for event in events:
            rows.add(event)
        return rows

    async def prepare(self, connection: Connection, rows: Rows) -> None:
        """Its table is always there."""

    async def write(self, connection: Connection, rows: Rows) -> None:
        if rows.counts:
            keys = zip(*rows.counts, strict=True)
            counts = zip(*rows.counts.values(), strict=True)
            await connection.execute(COUNT, *map(list, keys), *map(list, counts))


class Rows:
    """What a batch adds: for each key the number of events, then how many of them took how long."""

    def __init__(self) -> None:
        self.counts: dict[Key, list[int]] = {}

    def add(self, event: Event) -> None:
        match event:
            case events.BidPlaced(test=False):
                self._count(event, event.bidder_id, PLACED, 0, event.latency_ms)
            case events.BidRefused(test=False):
                if event.outcome == "skipped":
                    if event.code != NoBidReason.KNOWN_CRAWLER:
                        self._count(event, event.bidder_id, event.outcome, event.code, None)
                else:
                    self._count(event, event.bidder_id, event.outcome, event.code, event.latency_ms)
            case events.AuctionAwarded(test=False):
                self._count(event, event.bidder_id, WON, 0, None)
            case events.BidderAnsweredLate(test=False):
                self._count(event, event.bidder_id, LATE, 0, event.latency_ms)

    def _count(self, event: Event, bidder_id: str, outcome: str, code: int, latency_ms: float | None) -> None:
        at = event.at
        hour = (at.toordinal() - EPOCH_DAY) * HOURS_PER_DAY + at.hour
        key = (hour, bidder_id, outcome, code if 0 <= code < CODE_OF_ITS_OWN else CODE_OF_ITS_OWN)
        counts = self.counts.get(key)
        if counts is None:
            counts = self.counts[key] = [0] * len(_COLUMNS)
        counts[0] += 1
        if latency_ms is not None:
            counts[1 + bisect_left(LATENCY_BOUNDS_MS, latency_ms)] += 1
