"""The life of generations in Postgres: begun, built, cancelled, retired; paused and resumed.

How one becomes the active one stands in `swap.py`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import asyncpg
from aiokafka import TopicPartition

from domain.errors import NotFound, NotPossible
from projections.generation import COLUMNS, RUN, Generation, schema_of
from projections.layout import statements
from projections.partition_growth import growth, partitions_read
from projections.postgres_store import Connection, connected
from projections.registry import Registration
from projections.servers import Servers
from projections.views import show
from projections.watermarks import Ends

LOCK = 7_146_923
"""Advisory lock of whoever begins a generation; a number of our own choice."""
PARTITIONS_PER_DROP = 50
"""A transaction that drops more tables at once may hold more locks than the server has room for."""
DROP_LOCK_MS = 2_000

BEGIN = """
INSERT INTO projection_generations
    (projection, generation, status, layout, swaps_itself, accepts_dead_letters, accepts_differences)
VALUES ($1, $2, $3, $4, $5, $6, $7)
"""
GO_ON = """
UPDATE projection_generations SET stopped_reason = NULL, waits_because = NULL, swaps_itself = swaps_itself OR $3,
    accepts_dead_letters = accepts_dead_letters OR $4, accepts_differences = accepts_differences OR $5
WHERE projection = $1 AND layout = $2 AND status IN ('building', 'ready') RETURNING generation
"""
BEGIN_OFFSETS = """
INSERT INTO projection_offsets
    (projection, generation, topic, partition, first_offset, next_offset, rebuild_until)
VALUES ($1, $2, $3, $4, $5, $5, $6)
"""
NEXT_NUMBER = "SELECT coalesce(max(generation), 0) + 1 FROM projection_generations WHERE projection = $1"
ACTIVE = f"""
SELECT {COLUMNS}, EXISTS (
    SELECT FROM projection_offsets AS at WHERE (at.projection, at.generation) = (built.projection, built.generation)
) AS is_used
FROM projection_generations AS built WHERE status = 'active'
"""  # noqa: S608 - nothing but names of columns is put in
MARK_BUILT = """
UPDATE projection_generations AS built SET status = 'ready', built_at = now()
WHERE status = 'building' AND stopped_reason IS NULL AND NOT EXISTS (
    SELECT FROM projection_offsets AS at
    WHERE (at.projection, at.generation) = (built.projection, built.generation) AND next_offset < rebuild_until
)
"""
OFFSETS_OF_ACTIVE = """
SELECT topic, partition, next_offset FROM projection_offsets JOIN projections USING (projection)
WHERE projection = $1 AND generation = active_generation
"""
PARTITIONS = """
SELECT quote_ident(nspname) || '.' || quote_ident(relname) FROM pg_class
JOIN pg_namespace ON pg_namespace.oid = relnamespace
WHERE nspname = $1 AND relispartition AND relkind = 'r' LIMIT $2
"""


async def establish(connection: Connection, registrations: Sequence[Registration]) -> None:
    """Sees to it that every projection has an active generation; the first one is it from its start.

    One of another layout stays, unless nothing was ever read into it.
    """
    async with connection.transaction():
        await lock(connection)
        active = {row["projection"]: row for row in await connection.fetch(ACTIVE)}
        for registration in registrations:
            row = active.get(registration.name)
            if row is not None and (row["layout"] == registration.layout or row["is_used"]):
                continue
            number = await _make(connection, registration, "active")
            await show(connection, registration.tables, schema_of(registration.name, number))
            await connection.execute(
                "INSERT INTO projections (projection, active_generation) VALUES ($1, $2) "
                "ON CONFLICT (projection) DO UPDATE SET active_generation = excluded.active_generation",
                registration.name,
                number,
            )
            if row is not None:
                await _set_status(connection, registration.name, row["generation"], "retired")
                await connection.execute(
                    f"DROP SCHEMA IF EXISTS {schema_of(registration.name, row['generation'])} CASCADE"
                )


async def lock(connection: Connection) -> None:
    """Until the end of the transaction nobody else begins a generation."""
    await connection.execute("SELECT pg_advisory_xact_lock($1)", LOCK)


async def begin(
    connection: Connection,
    registration: Registration,
    ends: Mapping[TopicPartition, Ends],
    *,
    swaps_itself: bool = False,
    accepts_dead_letters: bool = False,
    accepts_differences: bool = False,
) -> Generation:
    """A new generation that is to be built up to `ends`; or the one of this layout that is being built already.

    One that had stopped goes on then, since something may have changed. Raises NotPossible where the projection is
    paused, and where somebody has added partitions to a topic.
    """
    options = (swaps_itself, accepts_dead_letters, accepts_differences)
    async with connection.transaction():
        await lock(connection)
        await refuse_paused(connection, registration.name)
        number = await connection.fetchval(GO_ON, registration.name, registration.layout, *options)
        if number is None:
            read = await partitions_read(connection, {tp.topic for tp in ends})
            if grown := growth(read, Counter(tp.topic for tp in ends)):
                raise NotPossible(grown)
            number = await _make(connection, registration, "building", options)
            await connection.executemany(
                BEGIN_OFFSETS,
                [
                    (registration.name, number, tp.topic, tp.partition, end.low, end.high)
                    for tp, end in sorted(ends.items())
                ],
            )
        return await one(connection, registration.name, number)


async def one(connection: Connection, projection: str, number: int) -> Generation:
    """That generation. Raises NotFound."""
    for each in await of(connection, [projection]):
        if each.number == number:
            return each
    raise NotFound(f"{projection} has no generation {number}")


async def of(connection: Connection, projections: Sequence[str]) -> list[Generation]:
    """All generations of these projections that there ever were, the oldest first."""
    rows = await connection.fetch(
        f"SELECT {COLUMNS} FROM projection_generations "  # noqa: S608 - nothing but names of columns is put in
        "WHERE projection = ANY($1) ORDER BY projection, generation",
        projections,
    )
    return [_generation(row) for row in rows]


async def active(connection: Connection, projection: str) -> Generation:
    """The one that queries read. Raises NotFound while there is none."""
    for each in await of(connection, [projection]):
        if each.status == "active":
            return each
    raise NotFound(f"{projection} has no active generation")


async def next_offsets(servers: Servers, registration: Registration) -> dict[TopicPartition, int]:
    """How far the projection is, as queries of it see it. Raises Unavailable."""
    if registration.place == "redis":
        _, store = await registration.opened(servers, 1)
        return {tp: at.next_offset for tp, at in (await store.checkpoints()).items()}
    async with connected(servers.pool) as connection:
        rows = await connection.fetch(OFFSETS_OF_ACTIVE, registration.name)
    return {TopicPartition(topic, partition): offset for topic, partition, offset in rows}


async def mark_built(connection: Connection) -> None:
    """Those that have reached the log's end, as it stood when they were begun, are ready from now on."""
    await connection.execute(MARK_BUILT)


async def end(connection: Connection, projection: str, number: int) -> Generation:
    """Nobody writes a generation that queries do not read any more; its offsets and dead letters are gone.

    One that has ended stays as it is. Raises NotFound, and NotPossible for the active one.
    """
    async with connection.transaction():
        generation = await connection.fetchrow(
            f"SELECT {COLUMNS} FROM projection_generations "  # noqa: S608 - as above
            "WHERE projection = $1 AND generation = $2 FOR UPDATE",
            projection,
            number,
        )
        if generation is None:
            raise NotFound(f"{projection} has no generation {number}")
        if generation["status"] == "active":
            raise NotPossible(f"queries read generation {number} of {projection}: swap to another one first")
        if not generation["layout"]:
            raise NotPossible(f"{projection} is built in place: it has no generation to drop")
        if generation["status"] in RUN:
            ended = "cancelled" if generation["status"] in {"building", "ready"} else "retired"
            await _set_status(connection, projection, number, ended)
        # Writers hold these rows: whoever comes after us finds none, and can write no more.
        await connection.execute(
            "DELETE FROM projection_offsets WHERE projection = $1 AND generation = $2", projection, number
        )
        # What somebody has skipped has no effect in any other generation either.
        await connection.execute(
            "DELETE FROM dead_letters WHERE projection = $1 AND generation = $2 AND outcome IS DISTINCT FROM 'skipped'",
            projection,
            number,
        )
    return await one(connection, projection, number)


async def drop_schema(connection: Connection, schema: str) -> None:
    """Removes a generation's tables, if they are there. Raises Unavailable while somebody reads them."""
    while partitions := await connection.fetch(PARTITIONS, schema, PARTITIONS_PER_DROP):
        async with connection.transaction():
            await connection.execute(f"SET LOCAL lock_timeout = {DROP_LOCK_MS}")
            await connection.execute(f"DROP TABLE {', '.join(row[0] for row in partitions)}")
    async with connection.transaction():
        await connection.execute(f"SET LOCAL lock_timeout = {DROP_LOCK_MS}")
        await connection.execute(f"DROP SCHEMA IF EXISTS {schema} CASCADE")


async def pause(connection: Connection, projection: str) -> None:
    """From now on, over restarts, nothing is applied to any generation of it."""
    await connection.execute(
        "INSERT INTO projections (projection, paused_at) VALUES ($1, now()) "
        "ON CONFLICT (projection) DO UPDATE SET paused_at = coalesce(projections.paused_at, excluded.paused_at)",
        projection,
    )


async def resume(connection: Connection, projection: str) -> None:
    """It goes on where it was paused, or where it had stopped."""
    async with connection.transaction():
        await connection.execute("UPDATE projections SET paused_at = NULL WHERE projection = $1", projection)
        await connection.execute(
            "UPDATE projection_generations SET stopped_reason = NULL WHERE projection = $1", projection
        )


async def refuse_paused(connection: Connection, projection: str) -> None:
    """What is begun now would wait without a word. Raises NotPossible."""
    if projection in await paused(connection):
        raise NotPossible(f"{projection} is paused: resume it first")


async def paused(connection: Connection) -> set[str]:
    """The projections that are paused."""
    rows = await connection.fetch("SELECT projection FROM projections WHERE paused_at IS NOT NULL")
    return {row["projection"] for row in rows}


async def _make(
    connection: Connection,
    registration: Registration,
    status: str,
    options: tuple[bool, ...] = (False, False, False),
) -> int:
    """A generation with empty tables; its number. The options are those of `begin`."""
    number: int = await connection.fetchval(NEXT_NUMBER, registration.name)
    await connection.execute(BEGIN, registration.name, number, status, registration.layout, *options)
    if registration.tables:
        schema = schema_of(registration.name, number)
        await connection.execute(f"CREATE SCHEMA {schema}")
        path = await connection.fetchval("SHOW search_path")
        await connection.execute(f"SET LOCAL search_path = {schema}")
        for statement in statements(registration.tables):
            await connection.execute(statement)
        await connection.execute("SELECT set_config('search_path', $1, true)", path)
    return number


async def _set_status(connection: Connection, projection: str, number: int, status: str) -> None:
    await connection.execute(
        "UPDATE projection_generations SET status = $3 WHERE projection = $1 AND generation = $2",
        projection,
        number,
        status,
    )


def _generation(row: asyncpg.Record) -> Generation:
    return Generation(*row)
