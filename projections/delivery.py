"""The read model `delivery`: counts, money and reach by inventory, buyer and quarter of an hour.

Each event counts in the quarter of its own `at`, and an engagement under that of its award as well, so that a report
can be of either. Tests never count, nor do requests for pages that a robot fetched. Requests and imps have no buyer;
an auction with several imps is one request, under its first imp's inventory.

Engagements are judged here: one that was logged twice counts once, and of several valid ones of the same kind for
the same imp, the first in the log counts net and the others gross only. `delivery_engagements` remembers them.
One that is voided is taken back where it was counted; gross it stays, and nobody becomes the first in its place.
"""

from __future__ import annotations

from collections.abc import Sequence

from domain import events
from domain.excerpt import Excerpt
from projections.day_partitions import DayPartitions
from projections.delivery_events import EXCERPTS
from projections.delivery_rows import Rows
from projections.delivery_statement import COUNT_AND_JUDGE, INCOMING, KNOWN, NAME, TAKE_BACK
from projections.postgres_store import Connection

KNOWN_LINES_MAX = 100_000
"""That are remembered, of 80 bytes each; then it begins anew."""


class Delivery:
    """A `projection.ByExcerpt` in Postgres."""

    name = "delivery"
    events = (
        events.BidRequested,
        events.BidPlaced,
        events.AuctionAwarded,
        events.ImpressionRecorded,
        events.ClickRecorded,
        events.EngagementVoided,
    )
    excerpts = EXCERPTS

    def __init__(self) -> None:
        self._partitions = DayPartitions(["delivery_engagements"])
        self._known_lines: set[str] = set()
        """Digests of lines that were seen stored: no batch brings them again."""

    def fold(self, events: Sequence[Excerpt], onto: Rows | None = None) -> Rows:
        """Counts by key; engagements as they came."""
        rows = Rows() if onto is None else onto
        rows.add(events)
        return rows

    async def prepare(self, connection: Connection, rows: Rows) -> None:
        ((has_tables, stored),) = await connection.fetch(KNOWN, list(rows.lines.keys() - self._known_lines))
        if not has_tables:
            await connection.execute(INCOMING)
        if len(self._known_lines) > KNOWN_LINES_MAX:
            self._known_lines.clear()
        self._known_lines.update(line.hex for line in stored)
        await self._partitions.ensure(connection, {met.day for met in rows.engagements})

    async def write(self, connection: Connection, rows: Rows) -> None:
        if lines := rows.lines.keys() - self._known_lines:
            await connection.copy_records_to_table("delivery_named", records=rows.named(lines))
            await connection.execute(NAME)
        await connection.copy_records_to_table("delivery_folded", records=rows.folded())
        if rows.engagements:
            await connection.copy_records_to_table("delivery_met", records=rows.engagements)
        await connection.execute(COUNT_AND_JUDGE)
        if rows.voided:
            await connection.executemany(TAKE_BACK, rows.voided)
