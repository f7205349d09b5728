"""Rows and offsets in one Postgres transaction, fenced by a compare-and-set on every offset.

Raw asyncpg: the hot path of every projection in Postgres goes through here.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Generic, Protocol, TypeAlias, TypeVar

import asyncpg
from aiokafka import TopicPartition
from asyncpg.pool import PoolConnectionProxy

from domain.errors import Unavailable
from projections.batch import DeadLetter, Move
from projections.store import Checkpoint, EventRefused, FenceLost, State, in_order

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
AWAY = (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError)
"""Everything else that it says, or does not: it will pass."""

MOVE = """
UPDATE projection_offsets SET next_offset = $4
WHERE projection = $1 AND topic = $2 AND partition = $3 AND next_offset = $5
  AND NOT EXISTS (SELECT FROM projection_states WHERE projection = $1 AND stopped_reason IS NOT NULL)
"""
PARK = """
INSERT INTO dead_letters (projection, topic, partition, "offset", key, payload, error)
VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING
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

    async def clear(self, connection: Connection) -> None:
        """Inside the transaction of a rebuild: removes all rows."""
        ...


class PostgresStore(Generic[Rows]):
    """The tables of one projection. Implements `store.Store`."""

    def __init__(self, pool: Pool, projection: PostgresProjection[Rows]) -> None:
        self._pool = pool
        self._projection = projection
        self._name = projection.name

    def __repr__(self) -> str:
        return f"PostgresStore({self._name!r})"

    async def state(self) -> State:
        async with connected(self._pool) as connection:
            row = await connection.fetchrow(
                "SELECT generation, stopped_reason FROM projection_states WHERE projection = $1", self._name
            )
        return State(row["generation"], row["stopped_reason"]) if row else State()

    async def checkpoints(self) -> dict[TopicPartition, Checkpoint]:
        async with connected(self._pool) as connection:
            rows = await connection.fetch(
                "SELECT topic, partition, next_offset, rebuild_until FROM projection_offsets WHERE projection = $1",
                self._name,
            )
        return {TopicPartition(topic, partition): Checkpoint(offset, until) for topic, partition, offset, until in rows}

    async def begin(self, starts: Mapping[TopicPartition, int]) -> None:
        async with connected(self._pool) as connection:
            await connection.executemany(
                "INSERT INTO projection_offsets (projection, topic, partition, next_offset) VALUES ($1, $2, $3, $4) "
                "ON CONFLICT DO NOTHING",
                [(self._name, tp.topic, tp.partition, start) for tp, start in sorted(starts.items())],
            )

    async def parked_keys(self, partitions: Collection[TopicPartition]) -> set[tuple[TopicPartition, bytes]]:
        async with connected(self._pool) as connection:
            rows = await connection.fetch(
                "SELECT DISTINCT topic, partition, key FROM dead_letters WHERE projection = $1 AND key IS NOT NULL",
                self._name,
            )
        parked = {(TopicPartition(topic, partition), key) for topic, partition, key in rows}
        return {each for each in parked if each[0] in partitions}

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
                    await park(connection, self._name, parked)

    async def stop(self, reason: str) -> None:
        async with connected(self._pool) as connection:
            await connection.execute(
                "INSERT INTO projection_states (projection, stopped_reason) VALUES ($1, $2) "
                "ON CONFLICT (projection) DO UPDATE SET stopped_reason = excluded.stopped_reason",
                self._name,
                reason,
            )

    async def reset(self, starts: Mapping[TopicPartition, int], targets: Mapping[TopicPartition, int]) -> None:
        async with connected(self._pool) as connection, connection.transaction():
            # The offsets first: batches in flight are either committed before this or fenced by it.
            await connection.executemany(
                "INSERT INTO projection_offsets (projection, topic, partition, next_offset, rebuild_until) "
                "VALUES ($1, $2, $3, $4, $5) ON CONFLICT (projection, topic, partition) "
                "DO UPDATE SET next_offset = excluded.next_offset, rebuild_until = excluded.rebuild_until",
                [(self._name, tp.topic, tp.partition, starts[tp], target) for tp, target in sorted(targets.items())],
            )
            await connection.execute(
                "INSERT INTO projection_states (projection, generation) VALUES ($1, 2) ON CONFLICT (projection) "
                "DO UPDATE SET generation = projection_states.generation + 1, stopped_reason = NULL",
                self._name,
            )
            await connection.execute("DELETE FROM dead_letters WHERE projection = $1", self._name)
            await self._projection.clear(connection)

    async def _move(self, connection: Connection, moves: Mapping[TopicPartition, Move]) -> None:
        for tp, move in in_order(moves):
            done = await connection.execute(MOVE, self._name, tp.topic, tp.partition, move.next, move.expected)
            if done != "UPDATE 1":
                raise FenceLost(f"{self._name} is no longer at offset {move.expected} of {tp.topic}/{tp.partition}")


@asynccontextmanager
async def connected(pool: Pool) -> AsyncIterator[Connection]:
    """A connection inside which the database's errors are raised as EventRefused or as Unavailable."""
    try:
        async with pool.acquire() as connection:
            try:
                yield connection
            except REFUSALS as error:
                raise EventRefused(f"{type(error).__name__}: {error}") from error
    except (*AWAY, ValueError) as error:
        # A ValueError that comes here is of connecting, such as a certificate that is missing: no event's fault.
        raise Unavailable(f"Postgres: {error!r}") from error


async def park(connection: Connection, projection: str, letters: Sequence[DeadLetter]) -> None:
    """Writes dead letters; those that are there already stay as they are."""
    await connection.executemany(
        PARK,
        [
            (projection, record.topic, record.partition, record.offset, record.key, record.value, error)
            for record, error in letters
        ],
    )
