"""The read model `traffic`: what became of all impressions and clicks, hour by hour, and why some do not count.

Each hit counts once, in the hour of its own event, with the verdict that it was logged with; except that of several
valid ones of the same kind for the same imp only the first in the log stays valid and the others are duplicates, and
that one which is voided is no longer valid. So what is valid here is what `delivery` counts net, and all of them
together are what it counts gross. Tests never count.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import NamedTuple

from domain import events
from domain.event_parts import EngagementKind, Verdict
from domain.events import Engagement, Event
from projections.auction_day import EPOCH, auction_day
from projections.day_partitions import DayPartitions
from projections.dimensions import bounded_text
from projections.judged_engagements import judged
from projections.postgres_store import Connection

EPOCH_DAY = EPOCH.toordinal()
HOURS_PER_DAY = 24
TABLES = ("traffic", "traffic_engagements")
_KEY = "hour, publisher_id, placement_id, kind, verdict, ivt"

INCOMING = """
CREATE TEMPORARY TABLE IF NOT EXISTS traffic_met (
    place int, day date, auction_id uuid, event_id uuid, imp_id text, kind text, hour bigint,
    publisher_id text, placement_id text, verdict text, ivt text, valid boolean
) ON COMMIT DELETE ROWS
"""

# Rows of `traffic` are locked in one order by all writers alike.
COUNT = f"""
WITH {judged("traffic_met", "traffic_engagements")},
remembered AS (
    INSERT INTO traffic_engagements (day, auction_id, event_id, imp_id, kind, counted)
    SELECT day, auction_id, event_id, imp_id, kind, counted FROM judged
)
INSERT INTO traffic ({_KEY}, hits)
SELECT to_timestamp(hour * 3600), publisher_id, placement_id, kind,
    CASE WHEN valid AND NOT counted THEN 'duplicate' ELSE verdict END, ivt, count(*)
FROM judged
GROUP BY 1, 2, 3, 4, 5, 6
ORDER BY 1, 2, 3, 4, 5, 6
ON CONFLICT ({_KEY}) DO UPDATE SET hits = traffic.hits + excluded.hits
"""  # noqa: S608 - nothing but names of tables and columns is put in

VOID = f"""
WITH taken AS (
    UPDATE traffic_engagements SET voided = true
    WHERE day = $1 AND auction_id = $2 AND event_id = $3 AND counted AND NOT voided
    RETURNING kind
),
less AS (
    UPDATE traffic SET hits = hits - 1 FROM taken
    WHERE hour = to_timestamp($4 * 3600) AND publisher_id = $5 AND placement_id = $6 AND traffic.kind = taken.kind
      AND verdict = 'valid' AND ivt = ''
)
INSERT INTO traffic ({_KEY}, hits)
SELECT to_timestamp($4 * 3600), $5, $6, kind, 'voided', '', 1 FROM taken
ON CONFLICT ({_KEY}) DO UPDATE SET hits = traffic.hits + excluded.hits
"""  # noqa: S608 - as above
"""Runs after the batch is counted, for an engagement may be voided in the batch that it came with."""


class Met(NamedTuple):
    """A hit before it is judged: the columns of `traffic_met` behind the place."""

    day: date
    """Of the auction."""
    auction_id: str
    event_id: str
    imp_id: str
    kind: EngagementKind
    hour: int
    """Of the hit, from the epoch."""
    publisher_id: str
    placement_id: str
    verdict: Verdict
    ivt: str
    """Empty for none."""
    valid: bool


class Voided(NamedTuple):
    """The parameters of VOID."""

    day: date
    auction_id: str
    event_id: str
    hour: int
    publisher_id: str
    placement_id: str


class Traffic:
    """A `projection.Projection` in Postgres."""

    name = "traffic"
    events = (events.ImpressionRecorded, events.ClickRecorded, events.EngagementVoided)

    def __init__(self) -> None:
        self._partitions = DayPartitions(["traffic_engagements"])

    def fold(self, events: Sequence[Event], onto: Rows | None = None) -> Rows:
        """Hits as they came."""
        rows = Rows() if onto is None else onto
        for event in events:
            rows.add(event)
        return rows

    async def prepare(self, connection: Connection, rows: Rows) -> None:
        await connection.execute(INCOMING)
        await self._partitions.ensure(connection, {met.day for met in rows.met})

    async def write(self, connection: Connection, rows: Rows) -> None:
        if rows.met:
            records = [(place, *met) for place, met in enumerate(rows.met)]
            await connection.copy_records_to_table("traffic_met", records=records)
            await connection.execute(COUNT)
        if rows.voided:
            voided = sorted(rows.voided, key=lambda each: (each.hour, each.publisher_id, each.placement_id))
            await connection.executemany(VOID, voided)

    async def clear(self, connection: Connection) -> None:
        await connection.execute(f"TRUNCATE {', '.join(TABLES)}")


class Rows:
    """What a batch adds."""

    def __init__(self) -> None:
        self.met: list[Met] = []
        self.voided: list[Voided] = []

    def add(self, event: Event) -> None:
        """Raises ValueError for an id that is no auction's, and for a void that does not say what it takes back."""
        match event:
            case events.ImpressionRecorded(test=False):
                self._meet("impression", event)
            case events.ClickRecorded(test=False):
                self._meet("click", event)
            case events.EngagementVoided():
                if event.engagement is None:
                    raise ValueError(f"the void {event.id} does not hold the engagement {event.engagement_id}")
                self.voided.append(_voided(event.engagement))

    def _meet(self, kind: EngagementKind, hit: Engagement) -> None:
        if hit.verdict == "test":
            return
        inventory = hit.inventory
        self.met.append(
            Met(
                auction_day(hit.auction_id),
                hit.auction_id,
                hit.id,
                hit.imp_id,
                kind,
                _hour(hit.at),
                bounded_text(inventory.publisher_id),
                bounded_text(inventory.placement_id),
                hit.verdict,
                hit.ivt or "",
                hit.verdict == "valid",
            )
        )


def _voided(hit: Engagement) -> Voided:
    return Voided(
        auction_day(hit.auction_id),
        hit.auction_id,
        hit.id,
        _hour(hit.at),
        bounded_text(hit.inventory.publisher_id),
        bounded_text(hit.inventory.placement_id),
    )


def _hour(at: datetime) -> int:
    return (at.toordinal() - EPOCH_DAY) * HOURS_PER_DAY + at.hour
