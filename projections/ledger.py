"""The read model `ledger`: the books, by double entry.

`ledger_charges` has, for each imp, the engagement that settles what it costs, and is the judge: its key makes every
charge, and every refund of it, happen once. `ledger` has the sums by day, accounts and campaign. Each row of both is a
balanced entry. `ledger_closings` tells how far the books of each partition are closed, and from which offset on.

An event is booked by its place in the log, whenever that happens: only the closings before it count.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from typing import Any, NamedTuple

from domain import events
from domain.event_parts import EngagementKind
from domain.events import Event
from domain.ledger import Charge, booking_day, can_cost, charge_of, kind_of
from projections.auction_day import auction_day
from projections.day_partitions import DayPartitions
from projections.postgres_store import Connection
from projections.store import EventRefused
from projections.tables import LEDGER_KEYS, LEDGER_MONEY

FREE = (None,) * (1 + len(Charge._fields))
"""No day, and no charge."""
_KEYS, _MONEY = ", ".join(LEDGER_KEYS), ", ".join(LEDGER_MONEY)
_CHARGE = f"currency, buyer, publisher, campaign_id, {_MONEY}"

INCOMING = """
CREATE TEMPORARY TABLE IF NOT EXISTS ledger_met (
    place int, day date, auction_id uuid, imp_id text, kind text, event_id uuid, booked_on date,
    currency text, buyer text, publisher text, campaign_id text, spend_nanos bigint, revenue_nanos bigint,
    fee_nanos bigint
) ON COMMIT DELETE ROWS
"""

_ADD = f"""
ON CONFLICT ({_KEYS}) DO UPDATE
SET {", ".join(f"{name} = ledger.{name} + excluded.{name}" for name in ("entries", *LEDGER_MONEY))}
"""
# Rows of `ledger` are locked in one order by all writers alike; another worker may have the same accounts.
CHARGE = f"""
WITH settled AS (
    INSERT INTO ledger_charges (day, auction_id, imp_id, kind, event_id, booked_on, {_CHARGE})
    SELECT DISTINCT ON (day, auction_id, imp_id, kind) day, auction_id, imp_id, kind, event_id, booked_on, {_CHARGE}
    FROM ledger_met
    ORDER BY day, auction_id, imp_id, kind, place
    ON CONFLICT (day, auction_id, imp_id, kind) DO NOTHING
    RETURNING booked_on, {_CHARGE}
)
INSERT INTO ledger ({_KEYS}, entries, {_MONEY})
SELECT booked_on, currency, buyer, publisher, campaign_id, 'charge', count(*),
    {", ".join(f"sum({name})" for name in LEDGER_MONEY)}
FROM settled
WHERE booked_on IS NOT NULL
GROUP BY booked_on, currency, buyer, publisher, campaign_id
ORDER BY booked_on, currency, buyer, publisher, campaign_id
{_ADD}
"""  # noqa: S608 - nothing but names of columns is put in
REFUND = f"""
UPDATE ledger_charges SET refunded_on = $6
WHERE day = $1 AND auction_id = $2 AND imp_id = $3 AND kind = $4 AND event_id = $5
  AND booked_on IS NOT NULL AND refunded_on IS NULL
RETURNING {_CHARGE}
"""  # noqa: S608 - as above
BOOK_REFUNDS = f"""
INSERT INTO ledger ({_KEYS}, entries, {_MONEY})
SELECT booked_on, currency, buyer, publisher, campaign_id, 'refund', entries, {_MONEY}
FROM unnest($1::date[], $2::text[], $3::text[], $4::text[], $5::text[], $6::bigint[],
    $7::numeric[], $8::numeric[], $9::numeric[])
    AS refunded (booked_on, currency, buyer, publisher, campaign_id, entries, {_MONEY})
ORDER BY booked_on, currency, buyer, publisher, campaign_id
{_ADD}
"""  # noqa: S608 - as above
CLOSED = """
SELECT partition, max(closed_day) AS closed_through
FROM ledger_closings JOIN unnest($1::int[], $2::bigint[]) AS batch (partition, first_offset) USING (partition)
WHERE log_offset < first_offset GROUP BY partition
"""
CLOSE = """
INSERT INTO ledger_closings (partition, closed_day, partitions, closed_at, log_offset) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT DO NOTHING
"""
TOO_LATE = (
    "what is logged behind this closing of {day} was booked without it, and is not moved any more: the books that the "
    "log asks for are made by 'gavel projections rebuild ledger --accept-differences'"
)


class When(NamedTuple):
    """What the day of booking follows from, beside what was closed in earlier batches."""

    partition: int
    happened_on: date
    closed_through: date | None
    """In the partition, by what stands before it in this batch."""


class Met(NamedTuple):
    """An engagement that costs something if it is the first for its imp."""

    day: date
    """Of the auction."""
    auction_id: str
    imp_id: str
    kind: EngagementKind
    event_id: str
    charge: Charge | None
    """None where it is free."""
    when: When


class Voided(NamedTuple):
    """What a refund names."""

    day: date
    auction_id: str
    imp_id: str
    kind: EngagementKind
    event_id: str
    """The engagement's."""
    when: When


class Closing(NamedTuple):
    partition: int
    closed_day: date
    partitions: int
    closed_at: datetime
    log_offset: int


class Rows:
    """What a batch adds to the books, in the order of the log."""

    def __init__(self) -> None:
        self.starts: dict[int, int] = {}
        """The first offset of each partition."""
        self.met: list[Met] = []
        self.voided: list[Voided] = []
        self.closings: list[Closing] = []
        self._closed_through: dict[int, date] = {}

    def add(self, partition: int, batch: Iterable[tuple[int, Event]]) -> None:
        for offset, event in batch:
            self.starts.setdefault(partition, offset)
            match event:
                case events.ImpressionRecorded() | events.ClickRecorded():
                    if can_cost(event):
                        key = (auction_day(event.auction_id), event.auction_id, event.imp_id, kind_of(event))
                        self.met.append(Met(*key, event.id, charge_of(event), self._when(partition, event)))
                case events.EngagementVoided():
                    key = (auction_day(event.auction_id), event.auction_id, event.imp_id, event.kind)
                    self.voided.append(Voided(*key, event.engagement_id, self._when(partition, event)))
                case events.LedgerDayClosed():
                    self._close(partition, offset, event)

    def _when(self, partition: int, event: Event) -> When:
        return When(partition, event.at.date(), self._closed_through.get(partition))

    def _close(self, partition: int, offset: int, event: events.LedgerDayClosed) -> None:
        self.closings.append(Closing(partition, event.day, event.partitions, event.at, offset))
        self._closed_through[partition] = max(event.day, self._closed_through.get(partition, event.day))


class Ledger:
    """A `projection.Projection` in Postgres, a `projection.ByPartition`, and one that `postgres_store.WritesLate`."""

    name = "ledger"
    events = (events.ImpressionRecorded, events.ClickRecorded, events.EngagementVoided, events.LedgerDayClosed)

    def __init__(self) -> None:
        self._partitions = DayPartitions(["ledger_charges"])

    def fold(self, events: Sequence[Event], onto: Rows | None = None) -> Rows:
        """As if all events stood in one partition."""
        return self.fold_partition(0, [*enumerate(events)], onto)

    def fold_partition(self, partition: int, events: Sequence[tuple[int, Event]], onto: Rows | None = None) -> Rows:
        rows = Rows() if onto is None else onto
        rows.add(partition, events)
        return rows

    async def prepare(self, connection: Connection, rows: Rows) -> None:
        await connection.execute(INCOMING)
        await self._partitions.ensure(connection, {met.day for met in rows.met})

    async def write(self, connection: Connection, rows: Rows) -> None:
        closed = await _closed_before(connection, rows)
        if rows.met:
            records = [
                (place, *met[:-2], *(FREE if met.charge is None else (_booked_on(met.when, closed), *met.charge)))
                for place, met in enumerate(rows.met)
            ]
            await connection.copy_records_to_table("ledger_met", records=records)
            await connection.execute(CHARGE)
        if rows.voided:
            await _refund(connection, rows.voided, closed)
        if rows.closings:
            await connection.executemany(CLOSE, rows.closings)

    async def write_late(self, connection: Connection, rows: Rows) -> None:
        closed = await _closed_before(connection, rows)
        for closing in rows.closings:
            if closing.closed_day > closed.get(closing.partition, date.min):
                raise EventRefused(TOO_LATE.format(day=closing.closed_day))
        await self.write(connection, rows)


async def _closed_before(connection: Connection, rows: Rows) -> Mapping[int, date]:
    """By partition: through which day it was closed where the batch begins."""
    found = await connection.fetch(CLOSED, list(rows.starts), list(rows.starts.values()))
    return {row["partition"]: row["closed_through"] for row in found}


async def _refund(connection: Connection, voided: Iterable[Voided], closed: Mapping[int, date]) -> None:
    """One by one, so that each finds its charge by the key: they are few."""
    refunds: defaultdict[tuple[Any, ...], list[int]] = defaultdict(lambda: [0, 0, 0, 0])
    for each in voided:
        booked_on = _booked_on(each.when, closed)
        charge = await connection.fetchrow(REFUND, *each[:-1], booked_on)
        if charge is not None:
            currency, buyer, publisher, campaign_id, *money = charge
            sums = refunds[booked_on, currency, buyer, publisher, campaign_id]
            sums[:] = [total + more for total, more in zip(sums, (1, *money), strict=True)]
    if refunds:
        columns = zip(*((*key, *sums) for key, sums in refunds.items()), strict=True)
        await connection.execute(BOOK_REFUNDS, *map(list, columns))


def _booked_on(when: When, closed: Mapping[int, date]) -> date:
    days = [day for day in (closed.get(when.partition), when.closed_through) if day is not None]
    return booking_day(when.happened_on, max(days, default=None))
