"""Rows and offsets in one Postgres transaction, fenced by a compare-and-set on every offset.

Raw asyncpg: the hot path of every projection in Postgres goes through here.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Generic, Protocol, TypeAlias, TypeVar, runtime_checkable

import asyncpg
from aiokafka import TopicPartition
from asyncpg.pool import PoolConnectionProxy

from domain.errors import Unavailable
from projections import parking, partition_growth
from projections.batch import DeadLetter, Letter, Move
from projections.generation import RUN
from projections.store import PARTITION_FETCH_MAX_BYTES, Checkpoint, EventRefused, FenceLost, State, in_order

Rows = TypeVar("Rows")
Rows_contra = TypeVar("Rows_contra", contravariant=True)
# In quotes, because only the stubs know that these are generic.
Pool: TypeAlias = "asyncpg.Pool[asyncpg.Record]"
Connection: TypeAlias = "PoolConnectionProxy[asyncpg.Record]"

REFUSALS = (
    asyncpg.DataError,
    asyncpg.IntegrityConstraintViolationError,
    asyncpg.ProgramLimitExceededError,
    # Of the client, before it sends: a number too large for its column, a text that is no UUID.
    OverflowError,
    ValueError,
)
"""What is said to rows that the database will never take."""
AWAY = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError, TimeoutError)
"""Everything else that it says, or does not: it will pass.

Of a connection that was cut in a bad moment the client says that it does not understand itself.
"""

ACQUIRE_S = 10.0
"""Until there is a connection, and for the end of a statement that is called off: one that is dead without having been
closed is thrown away then, and not waited for."""

STOP = """
WITH stands AS (
    SELECT next_offset = expected AS still
    FROM projection_offsets AS at
    JOIN unnest($3::text[], $4::int[], $5::bigint[]) AS place (topic, partition, expected) USING (topic, partition)
    WHERE projection = $1 AND generation = $2
    ORDER BY topic, partition
    FOR UPDATE OF at
)
UPDATE projection_generations SET stopped_reason = $8
WHERE projection = $1 AND generation = $2 AND accepts_dead_letters = $7
  AND (SELECT count(*) = $6 AND count(*) FILTER (WHERE still) = $6 FROM stands)
"""
RUNNING = ", ".join(f"'{status}'" for status in RUN)
# All partitions at once, their rows locked in one order by all writers alike. Whoever waits for a row here judges it
# anew as it stands then.
MOVE = f"""
WITH moved AS (
    SELECT topic, partition, move.next_offset, expected
    FROM projection_offsets AS at
    JOIN unnest($3::text[], $4::int[], $5::bigint[], $6::bigint[]) AS move (topic, partition, expected, next_offset)
        USING (topic, partition)
    WHERE projection = $1 AND generation = $2
    ORDER BY topic, partition
    FOR UPDATE OF at
)
UPDATE projection_offsets AS at SET next_offset = moved.next_offset
FROM moved, projection_generations AS built JOIN projections USING (projection)
WHERE at.projection = $1 AND at.generation = $2 AND at.topic = moved.topic AND at.partition = moved.partition
  AND at.next_offset = moved.expected
  AND (at.hold_at IS NULL OR at.hold_expires_at < now() OR at.hold_at >= moved.next_offset)
  AND built.projection = $1 AND built.generation = $2
  AND built.status IN ({RUNNING}) AND built.stopped_reason IS NULL AND projections.paused_at IS NULL
"""  # noqa: S608 - nothing but statuses of ours is put in
STATE = f"""
SELECT stopped_reason, accepts_dead_letters, paused_at IS NOT NULL OR status NOT IN ({RUNNING}) AS rests
FROM projection_generations JOIN projections USING (projection)
WHERE projection = $1 AND generation = $2
"""  # noqa: S608 - nothing but statuses of ours is put in
CHECKPOINTS = """
SELECT topic, partition, next_offset, rebuild_until, CASE WHEN hold_expires_at > now() THEN hold_at END, first_offset
FROM projection_offsets WHERE projection = $1 AND generation = $2
"""
BEGIN = """
INSERT INTO projection_offsets (projection, generation, topic, partition, first_offset, next_offset)
SELECT projection, generation, $3, $4, $5, $5
FROM projection_generations WHERE projection = $1 AND generation = $2 AND status NOT IN ('retired', 'cancelled')
ON CONFLICT DO NOTHING
"""
LOCK = f"""
SELECT FROM projection_offsets AS at JOIN projection_generations AS built USING (projection, generation)
WHERE projection = $1 AND generation = $2 AND topic = $3 AND partition = $4 AND built.status IN ({RUNNING})
FOR UPDATE OF at
"""


class PostgresProjection(Protocol[Rows_contra]):
    """How one projection writes."""

    name: str

    async def prepare(self, connection: Connection, rows: Rows_contra) -> None:
        """What must be there before the transaction starts, such as partitions."""
        ...

    async def write(self, connection: Connection, rows: Rows_contra) -> None:
        """Inside the transaction, after the offsets were moved: no other writer has the same partitions."""
        ...


@runtime_checkable
class WritesLate(Protocol[Rows_contra]):
    """One that has to know that what stands behind these rows in the log was written before them."""

    async def write_late(self, connection: Connection, rows: Rows_contra) -> None:
        """As `write`, of a dead letter. Raises EventRefused where it is too late for it."""
        ...


class PostgresStore(Generic[Rows]):
    """The tables of one generation of a projection. Implements `store.Store`.

    The connections of `pool` find the generation's tables by their bare names, and the engine's.
    """

    batch_max_records = 20_000
    """So many that partitions come in together: events of one time share more rows than those of one partition."""
    partition_fetch_max_bytes = PARTITION_FETCH_MAX_BYTES
    letters_wait = True

    def __init__(self, pool: Pool, projection: PostgresProjection[Rows], generation: int = 1) -> None:
        self._pool = pool
        self._projection = projection
        self._name = projection.name
        self._generation = generation

    def __repr__(self) -> str:
        return f"PostgresStore({self._name!r}, {self._generation})"

    async def state(self) -> State:
        async with connected(self._pool) as connection:
            row = await connection.fetchrow(STATE, self._name, self._generation)
        if row is None:
            return State(self._generation, rests=True)
        return State(self._generation, row["stopped_reason"], row["rests"], row["accepts_dead_letters"])

    async def checkpoints(self) -> dict[TopicPartition, Checkpoint]:
        async with connected(self._pool) as connection:
            rows = await connection.fetch(CHECKPOINTS, self._name, self._generation)
        return {TopicPartition(topic, partition): Checkpoint(*numbers) for topic, partition, *numbers in rows}

    async def check(self) -> None:
        """Rows and letters are of one memory."""

    async def begin(self, starts: Mapping[TopicPartition, int]) -> None:
        async with connected(self._pool) as connection:
            await connection.executemany(
                BEGIN,
                [(self._name, self._generation, tp.topic, tp.partition, start) for tp, start in sorted(starts.items())],
            )

    async def partitions_read(self, topics: Collection[str]) -> Mapping[str, int]:
        async with connected(self._pool) as connection:
            return await partition_growth.partitions_read(connection, topics)

    async def parked_keys(self, partitions: Collection[TopicPartition]) -> set[tuple[TopicPartition, bytes]]:
        async with connected(self._pool) as connection:
            return await parking.parked_keys(connection, self._name, partitions, generation=self._generation)

    async def skipped(self, partitions: Collection[TopicPartition]) -> set[tuple[TopicPartition, int]]:
        async with connected(self._pool) as connection:
            return {each for each in await parking.skipped(connection, self._name) if each[0] in partitions}

    async def apply(
        self, rows: Rows | None, moves: Mapping[TopicPartition, Move], parked: Sequence[DeadLetter] = ()
    ) -> None:
        async with connected(self._pool) as connection:
            if rows is not None:
                await self._projection.prepare(connection, rows)
            async with connection.transaction():
                await self._move(connection, moves)
                if rows is not None:
                    await self._projection.write(connection, rows)
                if parked:
                    await self._park(connection, parked)

    async def unpark(self, rows: Rows | None, letters: Sequence[Letter], *, by: str) -> None:
        async with connected(self._pool) as connection:
            if rows is not None:
                await self._projection.prepare(connection, rows)
            async with connection.transaction():
                # No batch of the partition is being written now, and none will be before this is.
                where = (letters[0].topic, letters[0].partition)
                if await connection.fetchrow(LOCK, self._name, self._generation, *where) is None:
                    raise FenceLost(f"{self!r} is not kept up to date any more")
                if not await parking.end_as_applied(connection, letters, by=by):
                    raise FenceLost("somebody else has ended one of them")
                if rows is not None and isinstance(self._projection, WritesLate):
                    await self._projection.write_late(connection, rows)
                elif rows is not None:
                    await self._projection.write(connection, rows)

    async def release(self, partition: TopicPartition, key: bytes) -> None:
        """The letters themselves are all that holds anything up."""

    async def stop(self, reason: str, at: Mapping[TopicPartition, int | None], state: State) -> None:
        columns = [list(column) for column in zip(*((*tp, offset) for tp, offset in sorted(at.items())), strict=True)]
        known = sum(offset is not None for offset in at.values())
        decided_by = (known, state.accepts_dead_letters)
        async with connected(self._pool) as connection:
            done = await connection.execute(STOP, self._name, self._generation, *columns, *decided_by, reason)
        if done != "UPDATE 1":
            raise FenceLost(f"{self!r} is not as it was when it was to be stopped: {reason}")

    async def _park(self, connection: Connection, letters: Sequence[DeadLetter]) -> None:
        await parking.see_what_is_skipped(connection, self._name)
        if await parking.is_waiting_for_nothing(connection, self._name, letters, generation=self._generation):
            raise FenceLost(f"{self!r} has a key that waits no longer")
        if await parking.is_any_skipped(connection, self._name, letters):
            raise FenceLost(f"{self!r} was to park what somebody has decided to skip")
        await parking.park(connection, self._name, letters, generation=self._generation)

    async def _move(self, connection: Connection, moves: Mapping[TopicPartition, Move]) -> None:
        columns = [list(column) for column in zip(*((*tp, *move[:2]) for tp, move in in_order(moves)), strict=True)]
        if await connection.execute(MOVE, self._name, self._generation, *columns) != f"UPDATE {len(moves)}":
            starts = ", ".join(f"{tp.topic}/{tp.partition} at {move.expected}" for tp, move in in_order(moves))
            raise FenceLost(f"{self!r} may not go on from {starts}")


@asynccontextmanager
async def connected(pool: Pool) -> AsyncIterator[Connection]:
    """A connection inside which the database's errors are raised as EventRefused or as Unavailable."""
    try:
        async with pool.acquire(timeout=ACQUIRE_S) as connection:
            try:
                yield connection
            except REFUSALS as error:
                # Of the database only its message: it goes on to quote the row.
                told = error.args[0] if isinstance(error, asyncpg.PostgresError) else error
                raise EventRefused(f"{type(error).__name__}: {told}") from error
    except (*AWAY, ValueError) as error:
        if (task := asyncio.current_task()) is not None and task.cancelling():
            # What a connection says while it is given up must not hide from its user that it was told to end.
            raise asyncio.CancelledError from error
        # A ValueError that comes here is of connecting, such as a certificate that is missing: no event's fault.
        raise Unavailable(f"Postgres: {error!r}") from error
