"""Partitions of single days, made when the first row of a day comes.

A new partition is filled beside its table and attached in the end: that lock disturbs neither readers nor writers,
as creating it in place would.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import date, timedelta

from projections.postgres_store import Connection

LOCK = 7_146_922
"""Advisory lock of whoever makes partitions; a number of our own choice."""


class DayPartitions:
    """Makes the partitions of some tables; remembers those it has seen."""

    def __init__(self, tables: Sequence[str]) -> None:
        self._tables = tables
        self._known: set[date] = set()

    async def ensure(self, connection: Connection, days: Collection[date]) -> None:
        """Afterwards rows of these days can be inserted. Opens a transaction of its own for each day.

        A replay has many days in one batch, and a transaction keeps the locks of all that it makes: they have an end.
        """
        for day in sorted(set(days) - self._known):
            async with connection.transaction():
                await connection.execute("SELECT pg_advisory_xact_lock($1)", LOCK)
                for table in self._tables:
                    await _ensure(connection, table, day)
            self._known.add(day)


def partition_name(table: str, day: date) -> str:
    return f"{table}_{day:%Y%m%d}"


async def _ensure(connection: Connection, table: str, day: date) -> None:
    # Names are ours and the day is a date: nothing in here comes from outside.
    partition = partition_name(table, day)
    # In the first schema of the search path, where the table is: another generation may have one of the same name.
    if await connection.fetchval("SELECT to_regclass(current_schema() || '.' || $1)", partition) is not None:
        return
    await connection.execute(f"CREATE TABLE {partition} (LIKE {table} INCLUDING ALL)")
    await connection.execute(
        f"ALTER TABLE {table} ATTACH PARTITION {partition} FOR VALUES FROM ('{day}') TO ('{day + timedelta(days=1)}')"
    )
