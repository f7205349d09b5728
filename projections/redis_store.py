"""Rows and offsets in Redis, moved by one script, which is atomic there.

The offsets stand beside the data: a Redis that lost its memory has lost both, and is filled again from the log.
Dead letters are for people and stand in Postgres like all others; the keys that wait behind them stand here.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Generic, Protocol, TypeVar, cast

from aiokafka import TopicPartition
from redis.asyncio import Redis
from redis.exceptions import RedisError

from domain.errors import Unavailable
from projections.batch import DeadLetter, Move
from projections.postgres_store import Pool, connected, park
from projections.store import Checkpoint, FenceLost, State, in_order

Rows = TypeVar("Rows")
Rows_contra = TypeVar("Rows_contra", contravariant=True)

GENERATION = b"generation"
STOPPED_REASON = b"stopped_reason"
REBUILD_UNTIL = b"rebuild_until:"
"""Prefix; fields of the hash that holds the offsets, whose own names are topic, slash and the partition's number."""

MOVE_OFFSETS = """
-- KEYS: offsets, parked keys, then the projection's own.
-- ARGV: the number of moves, each as partition, expected and next offset, and when its last record was logged;
-- the number of parked keys, they; the rest.
if redis.call('HEXISTS', KEYS[1], 'stopped_reason') == 1 then return 0 end
local at = 2
for _ = 1, ARGV[1] do
  if redis.call('HGET', KEYS[1], ARGV[at]) ~= ARGV[at + 1] then return 0 end
  at = at + 4
end
for move = 2, at - 1, 4 do
  redis.call('HSET', KEYS[1], ARGV[move], ARGV[move + 2])
  if ARGV[move + 3] ~= '0' then redis.call('HSET', KEYS[1], 'logged_ms:' .. ARGV[move], ARGV[move + 3]) end
end
at = at + 1
for parked = at, at + ARGV[at - 1] - 1 do
  redis.call('SADD', KEYS[2], ARGV[parked])
  at = at + 1
end
"""
"""Ends with `at` on the first argument of the projection's own part."""

NOTE_DATA = """
for key = 3, #KEYS do
  if redis.call('EXISTS', KEYS[key]) == 1 then redis.call('HSET', KEYS[1], 'has_data', 1) end
end
return 1
"""
"""After the projection's own part, which may have had nothing to write. Before the first write nothing can be lost:
offsets stand alone then, at the beginning of the log or behind its first dead letter.
"""

RESET = """
-- KEYS: offsets, parked keys, the projection's own. ARGV: partition, start and target of each.
local generation = redis.call('HGET', KEYS[1], 'generation') or 1
redis.call('DEL', unpack(KEYS))
redis.call('HSET', KEYS[1], 'generation', generation + 1)
for at = 1, #ARGV, 3 do
  redis.call('HSET', KEYS[1], ARGV[at], ARGV[at + 1], 'rebuild_until:' .. ARGV[at], ARGV[at + 2])
end
return 1
"""


CHECKPOINTS = """
-- KEYS: offsets, parked keys, the projection's own. Offsets whose data was evicted mean nothing and are dropped.
local fields = redis.call('HGETALL', KEYS[1])
local lost = redis.call('HEXISTS', KEYS[1], 'has_data') == 1
for key = 3, #KEYS do lost = lost and redis.call('EXISTS', KEYS[key]) == 0 end
if not lost then return fields end
redis.call('HDEL', KEYS[1], 'has_data')
redis.call('DEL', KEYS[2])
for at = 1, #fields, 2 do
  if string.find(fields[at], '^[^:]+/%d+$') then redis.call('HDEL', KEYS[1], fields[at]) end
end
return redis.call('HGETALL', KEYS[1])
"""


class RedisProjection(Protocol[Rows_contra]):
    """How one projection writes. All its keys are on one slot of a cluster."""

    name: str
    offsets_key: str
    parked_key: str
    keys: Sequence[str]
    """Its data: what a rebuild deletes, and KEYS of its script after the common ones."""
    script: str
    """Lua that runs after the offsets were moved, with `at` on the first of its arguments."""

    async def arguments(self, redis: Redis, rows: Rows_contra) -> Sequence[str | bytes]:
        """Of its script; may read its data, which nobody else writes while the offsets stand still."""
        ...


class RedisStore(Generic[Rows]):
    """The keys of one projection. Implements `store.Store`."""

    def __init__(self, redis: Redis, pool: Pool, projection: RedisProjection[Rows]) -> None:
        self._redis = redis
        self._pool = pool
        self._projection = projection
        self._keys = [projection.offsets_key, projection.parked_key, *projection.keys]
        self._apply = redis.register_script(f"{MOVE_OFFSETS}\n{projection.script}\n{NOTE_DATA}")
        self._read = redis.register_script(CHECKPOINTS)
        self._move_only = redis.register_script(f"{MOVE_OFFSETS}\nreturn 1")
        self._reset = redis.register_script(RESET)

    def __repr__(self) -> str:
        return f"RedisStore({self._projection.name!r})"

    async def state(self) -> State:
        async with answering():
            fields = await self._redis.hgetall(self._keys[0])
        return state_of(cast("dict[bytes, bytes]", fields))

    async def checkpoints(self) -> dict[TopicPartition, Checkpoint]:
        async with answering():
            flat = await self._read(keys=self._keys)
        return checkpoints_of(dict(zip(flat[::2], flat[1::2], strict=True)))

    async def begin(self, starts: Mapping[TopicPartition, int]) -> None:
        async with answering():
            for tp, start in starts.items():
                await self._redis.hsetnx(self._keys[0], offset_field(tp), str(start))

    async def parked_keys(self, partitions: Collection[TopicPartition]) -> set[tuple[TopicPartition, bytes]]:
        async with answering():
            members = cast("set[bytes]", await self._redis.smembers(self._keys[1]))
        parted = [member.partition(b" ") for member in members]
        return {(tp, key) for tp in partitions for field, _, key in parted if field == offset_field(tp).encode()}

    async def apply(
        self, rows: Rows | None, moves: Mapping[TopicPartition, Move], parked: Sequence[DeadLetter] = ()
    ) -> None:
        if parked:
            # Written before the offset moves: after a crash between the two it is parked again, as the same letter.
            async with connected(self._pool) as connection:
                await park(connection, self._projection.name, parked)
        async with answering():
            common = _common_arguments(moves, parked)
            if rows is None:
                done = await self._move_only(keys=self._keys, args=common)
            else:
                own = await self._projection.arguments(self._redis, rows)
                done = await self._apply(keys=self._keys, args=[*common, *own])
        if not done:
            raise FenceLost(f"{self._projection.name} is no longer at the offsets {dict(moves)}")

    async def stop(self, reason: str) -> None:
        async with answering():
            await self._redis.hset(self._keys[0], STOPPED_REASON, reason)

    async def reset(self, starts: Mapping[TopicPartition, int], targets: Mapping[TopicPartition, int]) -> None:
        async with connected(self._pool) as connection:
            await connection.execute("DELETE FROM dead_letters WHERE projection = $1", self._projection.name)
        async with answering():
            arguments = [number for tp, target in targets.items() for number in (offset_field(tp), starts[tp], target)]
            await self._reset(keys=self._keys, args=arguments)


def state_of(fields: Mapping[bytes, bytes]) -> State:
    """What the hash of a projection's offsets says of the whole."""
    reason = fields.get(STOPPED_REASON)
    return State(int(fields.get(GENERATION, 1)), None if reason is None else reason.decode())


def offset_field(tp: TopicPartition) -> str:
    """Where the hash of a projection's offsets has the partition's."""
    return f"{tp.topic}/{tp.partition}"


def checkpoints_of(fields: Mapping[bytes, bytes]) -> dict[TopicPartition, Checkpoint]:
    """What the hash of a projection's offsets says."""
    found = {}
    for name, value in fields.items():
        topic, slash, number = name.rpartition(b"/")
        # Fields about a partition have a prefix with a colon, which no topic has.
        if slash and b":" not in topic:
            until = fields.get(REBUILD_UNTIL + name, 0)
            found[TopicPartition(topic.decode(), int(number))] = Checkpoint(int(value), int(until))
    return found


@asynccontextmanager
async def answering() -> AsyncIterator[None]:
    """Redis's errors inside are raised as Unavailable."""
    try:
        yield
    except (RedisError, OSError, TimeoutError) as error:
        raise Unavailable(f"Redis: {error!r}") from error


def _common_arguments(moves: Mapping[TopicPartition, Move], parked: Sequence[DeadLetter]) -> list[str | bytes]:
    numbers = [
        part
        for tp, move in in_order(moves)
        for part in (offset_field(tp), str(move.expected), str(move.next), str(move.logged_ms))
    ]
    keys = [
        f"{letter.record.topic}/{letter.record.partition} ".encode() + letter.record.key
        for letter in parked
        if letter.record.key is not None
    ]
    return [str(len(moves)), *numbers, str(len(keys)), *keys]
