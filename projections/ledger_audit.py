"""The audit of the books: they are computed again from the topic alone and compared, to the nano-unit.

Both sides are compared at the very offsets that the read model had when it was asked, so live traffic disturbs
neither. Every impression and click of the log is read, and nothing of Postgres is believed but what is compared.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import TypeAlias

import asyncpg
import msgspec
from aiokafka import TopicPartition

from domain.books import BOOKED, NOTHING, Books, Line, Sums
from domain.codec import Decoder
from domain.errors import CorruptEvent
from domain.names import Names
from projections.batch import Record
from projections.decoding import decoded
from projections.log_reading import ends_of, reading, until
from projections.postgres_store import Pool, connected
from projections.watermarks import Ends

CLIENT_ID = "gavel-ledger-audit"
PROGRESS_S = 0.2
TOLD_MAX = 20
"""Differences and events that cannot be understood are counted all, and told so many."""

OFFSETS = "SELECT topic, partition, next_offset FROM projection_offsets WHERE projection = 'ledger'"
SUMS = """
SELECT booked_on, currency, buyer, publisher, campaign_id, kind, entries, spend_nanos, revenue_nanos, fee_nanos
FROM ledger
"""
CHARGES = """
WITH entries AS (
    SELECT booked_on, 'charge' AS kind, currency, buyer, publisher, campaign_id, spend_nanos, revenue_nanos, fee_nanos
    FROM ledger_charges WHERE booked_on IS NOT NULL
    UNION ALL
    SELECT refunded_on, 'refund', currency, buyer, publisher, campaign_id, spend_nanos, revenue_nanos, fee_nanos
    FROM ledger_charges WHERE refunded_on IS NOT NULL
)
SELECT booked_on, currency, buyer, publisher, campaign_id, kind,
    count(*), sum(spend_nanos), sum(revenue_nanos), sum(fee_nanos)
FROM entries GROUP BY booked_on, currency, buyer, publisher, campaign_id, kind
"""
"""The same, added up from the single charges."""

Table: TypeAlias = Mapping[Line, Sums]


class AuditProgress(msgspec.Struct, frozen=True):
    """How far an audit is."""

    records: int
    """Read so far, of `total`."""
    total: int
    seconds: float


class BookDifference(msgspec.Struct, frozen=True):
    """A line that the books have otherwise than the log."""

    where: str
    """`ledger`, or `ledger_charges` for the single charges."""
    line: Line
    booked: Sums
    recounted: Sums


class Audit(msgspec.Struct, frozen=True, kw_only=True):
    """What an audit found."""

    lines: int
    entries: int
    spend_nanos: dict[str, int]
    """Charges less refunds, by currency, as recounted."""
    records: int
    """Of the topic, up to where the read model stands."""
    lag: int
    """Records behind that, which are not booked yet."""
    differences: tuple[BookDifference, ...]
    """The first of them."""
    different_lines: int
    corrupt: tuple[str, ...]
    """Where the first events stand that no entry can be made of, and why."""
    corrupt_events: int
    seconds: float

    @property
    def is_confirmed(self) -> bool:
        """The books are what the log says, and the log can be understood."""
        return not self.different_lines and not self.corrupt_events


class _Recount:
    """The log, counted again."""

    def __init__(self) -> None:
        self.books = Books()
        self.corrupt: list[str] = []
        self.corrupt_events = 0
        self._decoder = Decoder(BOOKED)

    def take(self, record: Record) -> None:
        try:
            for event in decoded(self._decoder, [record]):
                self.books.take(event)
        except CorruptEvent as error:
            self.corrupt_events += 1
            if len(self.corrupt) < TOLD_MAX:
                self.corrupt.append(f"{record.topic}/{record.partition} at {record.offset}: {error}")


async def audit_books(
    kafka_url: str, pool: Pool, names: Names, *, on_progress: Callable[[AuditProgress], None] = lambda _: None
) -> Audit:
    """Recounts the whole topic of engagements. Raises LogUnavailable and Unavailable.

    `on_progress` is called several times a second. Memory holds the single charges of one partition.
    """
    started = time.monotonic()
    reached, tables = await _booked(pool)
    ends = await ends_of(kafka_url, names.engagements, client_id=CLIENT_ID)
    spans = {tp: Ends(end.low, min(end.high, reached.get(tp, end.low))) for tp, end in ends.items()}
    total = sum(span.high - span.low for span in spans.values())
    recount, records, due = _Recount(), 0, started
    async with reading(kafka_url, {tp: span.low for tp, span in spans.items()}, client_id=CLIENT_ID) as consumer:
        for tp, span in sorted(spans.items()):
            async for batch in until(consumer, {tp: span}):
                for record in batch:
                    recount.take(record)
                records += len(batch)
                if time.monotonic() >= due:
                    due = time.monotonic() + PROGRESS_S
                    on_progress(AuditProgress(records, total, time.monotonic() - started))
            recount.books.end_partition()
    seconds = time.monotonic() - started
    on_progress(AuditProgress(total, total, seconds))
    lag = sum(end.high - spans[tp].high for tp, end in ends.items())
    return _audit(recount, tables, records=records, lag=lag, seconds=seconds)


async def _booked(pool: Pool) -> tuple[dict[TopicPartition, int], dict[str, Table]]:
    """The offsets that the read model has reached, and what it holds there: one snapshot."""
    async with connected(pool) as connection, connection.transaction(isolation="repeatable_read", readonly=True):
        offsets = await connection.fetch(OFFSETS)
        tables = {
            "ledger": _table(await connection.fetch(SUMS)),
            "ledger_charges": _table(await connection.fetch(CHARGES)),
        }
    return {TopicPartition(topic, partition): offset for topic, partition, offset in offsets}, tables


def _table(rows: list[asyncpg.Record]) -> Table:
    return {Line(*row[:6]): Sums(*map(int, row[6:])) for row in map(tuple, rows)}


def _audit(recount: _Recount, tables: Mapping[str, Table], *, records: int, lag: int, seconds: float) -> Audit:
    sums = recount.books.sums
    differences = [
        BookDifference(where, line, table.get(line, NOTHING), sums.get(line, NOTHING))
        for where, table in tables.items()
        for line in sorted(table.keys() | sums.keys())
        if table.get(line) != sums.get(line)
    ]
    spend: dict[str, int] = {}
    for line, each in sums.items():
        signed = each.spend_nanos if line.kind == "charge" else -each.spend_nanos
        spend[line.currency] = spend.get(line.currency, 0) + signed
    return Audit(
        lines=len(sums),
        entries=sum(each.entries for each in sums.values()),
        spend_nanos=dict(sorted(spend.items())),
        records=records,
        lag=lag,
        differences=tuple(differences[:TOLD_MAX]),
        different_lines=len(differences),
        corrupt=tuple(recount.corrupt),
        corrupt_events=recount.corrupt_events,
        seconds=seconds,
    )
