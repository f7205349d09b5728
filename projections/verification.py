"""Two generations compared at the very same offsets: counts and digests by table, and where they differ, the rows.

Both are held at the same offsets until a snapshot of both is taken, which lasts a moment; the comparison reads from
the snapshot while both go on.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from sqlalchemy import Table

from projections import generations
from projections.generation import COMPARABLE, schema_of
from projections.hold import BEHIND, held, reached
from projections.postgres_store import Connection, Pool, connected
from projections.registry import Registration
from projections.swap import NotReady, catch_up

ROWS_TOLD_MAX = 20
"""Differences are counted all, and told so many of each table and side."""

COMPARED_S = 86_400.0
"""A large table takes its time."""

DIGEST = """
SELECT count(*), coalesce(sum(hashtextextended(ROW({columns})::text, 0)::numeric), 0) FROM {schema}.{table}
"""
ONLY_IN = """
SELECT count(*) OVER (), (ROW({columns}))::text FROM (
    SELECT {columns} FROM {schema}.{table} EXCEPT ALL SELECT {columns} FROM {other}.{table}
) AS only_there LIMIT {rows}
"""
APART = """
SELECT FROM projection_offsets WHERE projection = $1 AND generation IN ($2, $3) GROUP BY topic, partition
HAVING min(next_offset) < max(next_offset) OR count(*) < 2 AND max(next_offset) > max(first_offset)
"""
"""Partitions of which two generations have not applied the same."""
KEEP = """
UPDATE projection_generations
SET verification = $3, verified_at = now(), verify_asked_at = NULL, waits_because = NULL
WHERE projection = $1 AND generation = $2
"""


class TableComparison(msgspec.Struct, frozen=True, kw_only=True):
    """One table of two generations."""

    table: str
    rows: int
    """Of the active generation, and below of the other one."""
    rows_built: int
    missing: int = 0
    """Rows that only the active generation has."""
    surplus: int = 0
    """Rows that only the other one has."""
    missing_rows: tuple[str, ...] = ()
    """The first of them, as Postgres writes a row."""
    surplus_rows: tuple[str, ...] = ()

    @property
    def is_equal(self) -> bool:
        return not self.missing and not self.surplus


class Verification(msgspec.Struct, frozen=True, kw_only=True):
    """What a comparison found."""

    projection: str
    active: int
    generation: int
    comparable: bool
    """False where the active generation has another layout: then nothing was compared."""
    tables: tuple[TableComparison, ...] = ()

    @property
    def is_equal(self) -> bool | None:
        """Nothing differs; None where nothing was compared."""
        return all(each.is_equal for each in self.tables) if self.comparable else None

    @property
    def summary(self) -> str:
        """One sentence."""
        what = f"generation {self.generation} of {self.projection}"
        if not self.comparable:
            return f"{what} has another layout than generation {self.active}: their rows cannot be compared"
        different = ", ".join(
            f"{each.table} lacks {each.missing} rows and has {each.surplus} others"
            for each in self.tables
            if not each.is_equal
        )
        if different:
            return f"{what} differs from generation {self.active}: {different}"
        return f"{what} equals generation {self.active}, row for row"


async def verify(pool: Pool, registration: Registration, number: int) -> Verification:
    """Compares a generation with the active one; both have to be run meanwhile. What it found is kept with it.

    Raises NotFound, NotReady, and StillBehind without having held anybody.
    """
    name = registration.name
    async with connected(pool) as connection:
        active = await generations.active(connection, name)
        other = await generations.one(connection, name, number)
        if other.status not in COMPARABLE:
            raise NotReady(f"generation {number} of {name} is {other.status}")
        await catch_up(connection, active.number, other)
    comparable = other.layout == active.layout == registration.layout
    tables = await _tables_compared(pool, registration, active.number, number) if comparable else ()
    found = Verification(
        projection=name, active=active.number, generation=number, comparable=comparable, tables=tuple(tables)
    )
    async with connected(pool) as connection:
        await connection.execute(KEEP, name, number, msgspec.json.encode(found).decode())
    return found


async def _tables_compared(
    pool: Pool, registration: Registration, active: int, number: int
) -> Sequence[TableComparison]:
    name = registration.name
    async with (
        connected(pool) as holder,
        connected(pool) as reader,
        reader.transaction(isolation="repeatable_read", readonly=True),
    ):
        async with held(holder, name, active, number):
            if not await reached(holder, BEHIND, name, [active, number]):
                raise NotReady(f"generations {active} and {number} of {name} do not come to the same offsets")
            # The first statement takes the snapshot; those that follow see nothing that comes later.
            if await reader.fetch(APART, name, active, number):
                raise NotReady(f"generations {active} and {number} of {name} were not held long enough: try again")
        return [await _compared(reader, name, active, number, each) for each in registration.tables]


async def _compared(connection: Connection, name: str, active: int, number: int, table: Table) -> TableComparison:
    columns = ", ".join(column.name for column in table.columns)
    here, there = schema_of(name, active), schema_of(name, number)
    found = [
        await connection.fetch(DIGEST.format(columns=columns, schema=schema, table=table.name), timeout=COMPARED_S)
        for schema in (here, there)
    ]
    counts = {"rows": found[0][0][0], "rows_built": found[1][0][0]}
    if found[0] == found[1]:
        return TableComparison(table=str(table.name), **counts)
    missing = await _only_in(connection, columns, here, there, table.name)
    surplus = await _only_in(connection, columns, there, here, table.name)
    return TableComparison(
        table=str(table.name),
        **counts,
        missing=missing[0],
        missing_rows=missing[1],
        surplus=surplus[0],
        surplus_rows=surplus[1],
    )


async def _only_in(
    connection: Connection, columns: str, schema: str, other: str, table: str
) -> tuple[int, tuple[str, ...]]:
    query = ONLY_IN.format(columns=columns, schema=schema, other=other, table=table, rows=ROWS_TOLD_MAX)
    rows = await connection.fetch(query, timeout=COMPARED_S)
    return (rows[0][0] if rows else 0), tuple(row[1] for row in rows)
