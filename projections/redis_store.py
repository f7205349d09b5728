"""Rows and offsets in Redis, moved by one script, which is atomic there.

The offsets stand beside the data: a Redis that lost its memory has lost both, and is filled again from the log.
Dead letters are for people and stand in Postgres like all others; the keys that wait behind them stand here.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import datetime, timedelta
from typing import Generic, Protocol, TypeVar, cast

import structlog
from aiokafka import TopicPartition
from redis.asyncio import Redis
from redis.exceptions import RedisClusterException, RedisError

from domain.errors import Unavailable
from projections import decisions, parking, partition_growth
from projections.batch import DeadLetter, Letter, Move
from projections.postgres_store import Connection, Pool, connected
from projections.store import PARTITION_FETCH_MAX_BYTES, Checkpoint, FenceLost, State, in_order

Rows = TypeVar("Rows")
Rows_contra = TypeVar("Rows_contra", contravariant=True)
Answer = TypeVar("Answer")

GENERATION = b"generation"
STOPPED_REASON = b"stopped_reason"
ACCEPTS_DEAD_LETTERS = b"accepts_dead_letters"
PAUSED = b"paused"
REBUILD_UNTIL = b"rebuild_until:"
"""Prefix; fields of the hash that holds the offsets, whose own names are topic, slash and the partition's number."""

UNLESS_PAUSED = "if redis.call('HEXISTS', KEYS[1], 'paused') == 1 then return 0 end"
"""Before a batch is applied; letters are retried and skipped all the same."""
MOVE_OFFSETS = """
-- KEYS: offsets, parked keys, then the projection's own.
-- ARGV: the number of moves, each as partition, expected and next offset, and when its last record was logged;
-- the number of parked keys that others are to wait behind, they; the number of keys to park, they; the rest.
if redis.call('HEXISTS', KEYS[1], 'stopped_reason') == 1 then return 0 end
local at = 2
for _ = 1, ARGV[1] do
  if redis.call('HGET', KEYS[1], ARGV[at]) ~= ARGV[at + 1] then return 0 end
  at = at + 4
end
local moves_end = at - 1
for waiting = at + 1, at + ARGV[at] do
  if redis.call('SISMEMBER', KEYS[2], ARGV[waiting]) == 0 then return 0 end
end
at = at + 1 + ARGV[at]
for move = 2, moves_end, 4 do
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

PAUSED_AT = "SELECT paused_at FROM projections WHERE projection = $1"
AWAY_S = 30.0
"""So long a Postgres that was away is not asked again, where one can do without: it may take ten seconds to say so."""
ATTEMPTS = 20
"""To find a partition at rest between two batches."""

FREE_KEY = """
-- Two more of ARGV: when letters were told to be applied, in Unix microseconds by the clock of Postgres, or 0; a parked
-- key, or nothing where the letter has none. It is gone where they were applied before.
if tonumber(ARGV[at]) > tonumber(redis.call('HGET', KEYS[1], 'retried_at') or 0) then
  redis.call('HSET', KEYS[1], 'retried_at', ARGV[at])
end
at = at + 1
if ARGV[at] ~= '' and redis.call('SREM', KEYS[2], ARGV[at]) == 0 then return 2 end
at = at + 1
"""

NOTE_DATA = """
for key = 3, #KEYS do
  if redis.call('EXISTS', KEYS[key]) == 1 then redis.call('HSET', KEYS[1], 'has_data', 1) end
end
return 1
"""
"""After the projection's own part, which may have had nothing to write. Before the first write nothing can be lost:
offsets stand alone then, at the beginning of the log or behind its first dead letter.
"""

BEGIN = """
-- KEYS: offsets. ARGV: partition and start of each.
for at = 1, #ARGV, 2 do redis.call('HSETNX', KEYS[1], ARGV[at], ARGV[at + 1]) end
return 1
"""

RESET = """
-- KEYS: offsets, parked keys, the projection's own.
-- ARGV: 1 where events that cannot be applied are parked; the number of the last build, as Postgres has it; then
-- partition, start and target of each.
local generation = math.max(redis.call('HGET', KEYS[1], 'generation') or 1, ARGV[2])
redis.call('DEL', unpack(KEYS))
redis.call('HSET', KEYS[1], 'generation', generation + 1)
if ARGV[1] == '1' then redis.call('HSET', KEYS[1], 'accepts_dead_letters', 1) end
for at = 3, #ARGV, 3 do
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

STOP = """
-- KEYS: offsets. ARGV: why; the generation; 1 where dead letters are accepted; then each partition and where it stands.
if (redis.call('HGET', KEYS[1], 'generation') or '1') ~= ARGV[2] then return 0 end
if tostring(redis.call('HEXISTS', KEYS[1], 'accepts_dead_letters')) ~= ARGV[3] then return 0 end
for at = 4, #ARGV, 2 do
  if (redis.call('HGET', KEYS[1], ARGV[at]) or '') ~= ARGV[at + 1] then return 0 end
end
redis.call('HSET', KEYS[1], 'stopped_reason', ARGV[1])
return 1
"""

FORGET = """
-- KEYS: offsets, parked keys, the projection's own.
-- ARGV: when the last dead letter was applied, and the number of the last build, as Postgres has them; what is kept of
-- offsets. A memory that was lost since that build is filled again under the same number.
if tonumber(redis.call('HGET', KEYS[1], 'generation') or 1) < tonumber(ARGV[2]) then
  redis.call('HSET', KEYS[1], 'generation', ARGV[2])
end
-- A memory that does not say was just begun: what was decided by now is in the log for it, or parked again.
local known = redis.call('HGET', KEYS[1], 'retried_at')
if not known then redis.call('HSET', KEYS[1], 'retried_at', ARGV[1]) end
if not known or tonumber(known) >= tonumber(ARGV[1]) then return 0 end
local kept = {}
for at = 3, #ARGV do kept[ARGV[at]] = redis.call('HGET', KEYS[1], ARGV[at]) end
redis.call('DEL', unpack(KEYS))
for field, value in pairs(kept) do
  if value then redis.call('HSET', KEYS[1], field, value) end
end
return 1
"""
"""Leaves what is known of the generation as a whole; its log is read from the beginning then, and is no rebuild."""

log = structlog.stdlib.get_logger(__name__)


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

    batch_max_records = 250
    """So few that their script is over before anybody else misses Redis, which does nothing else meanwhile."""
    partition_fetch_max_bytes = PARTITION_FETCH_MAX_BYTES
    letters_wait = True
    script_head = ""
    """In front of what moves offsets, makes or stops them: flags of Redis's scripts."""

    def __init__(self, redis: Redis, pool: Pool, projection: RedisProjection[Rows]) -> None:
        self._redis = redis
        self._pool = pool
        self._projection = projection
        self._keys = [projection.offsets_key, projection.parked_key, *projection.keys]
        self._apply = redis.register_script(
            f"{self.script_head}{UNLESS_PAUSED}\n{MOVE_OFFSETS}\n{projection.script}\n{NOTE_DATA}"
        )
        self._read = redis.register_script(CHECKPOINTS)
        self._move_only = redis.register_script(f"{self.script_head}{UNLESS_PAUSED}\n{MOVE_OFFSETS}\nreturn 1")
        self._unpark = redis.register_script(f"{MOVE_OFFSETS}\n{FREE_KEY}\n{projection.script}\n{NOTE_DATA}")
        self._free = redis.register_script(f"{MOVE_OFFSETS}\n{FREE_KEY}\nreturn 1")
        self._reset = redis.register_script(RESET)
        self._begin = redis.register_script(f"{self.script_head}{BEGIN}")
        self._stop = redis.register_script(f"{self.script_head}{STOP}")
        self._forget = redis.register_script(f"{self.script_head}{FORGET}")
        self._skipped: set[tuple[TopicPartition, int]] = set()
        """As Postgres has last said."""
        self._away_until = 0.0

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

    async def check(self) -> None:
        """What a retry did is known here before Postgres ends its letters: where it is not, this memory is older.

        Then all of it is read again from the log. A key that waits, and Postgres has no open letter of it, is one whose
        letter was skipped, which does nothing to the data: it waits no longer. Whether the projection is paused is
        noted as well, for when it cannot be asked: nothing is found out while Postgres is away.
        """
        # In this order: Postgres is told of a pause, and of its end, before Redis is.
        async with answering():
            was_paused = bool(await self._redis.hexists(self._keys[0], PAUSED))
        if (decided := await self._asked(self._decided)) is None:
            return
        last, is_paused, number = decided
        if is_paused and not was_paused:
            await self.pause()
        elif was_paused and not is_paused:
            async with answering():
                await self._redis.hdel(self._keys[0], PAUSED)
        if await self._forgotten_before(last, number):
            log.error("older than a retry of dead letters, read again", projection=self._projection.name)
        for partition, key in await self._waiting_for_nothing():
            with suppress(FenceLost):  # somebody else is at it, or a second later it is tried again
                await self.release(partition, key)

    async def _forgotten_before(self, retry: datetime, last_build: int) -> bool:
        """Forgets all, but for what is known of the generation as a whole, where this memory is older than a retry."""
        kept = [GENERATION, STOPPED_REASON, ACCEPTS_DEAD_LETTERS, PAUSED]
        async with answering():
            return bool(await self._forget(keys=self._keys, args=[microseconds(retry), last_build, *kept]))

    async def _decided(self, connection: Connection) -> tuple[datetime, bool, int]:
        """When a letter was applied after all last, whether the projection is paused, and which build was the last."""
        name = self._projection.name
        is_paused = await connection.fetchval(PAUSED_AT, name) is not None
        return await parking.last_retry(connection, name), is_paused, await decisions.last_build(connection, name)

    async def _waiting_for_nothing(self) -> set[tuple[TopicPartition, bytes]]:
        # In this order: a letter is written before its key waits, and ended after its key is free.
        if not (waiting := await self._parked()):
            return set()
        checkpoints = await self.checkpoints()
        opened = await self._asked(lambda connection: parking.first_open(connection, self._projection.name))
        if opened is None:
            return set()
        return {
            each for each in waiting if each[0] in checkpoints and not _is_below(opened.get(each), checkpoints[each[0]])
        }

    async def _asked(self, question: Callable[[Connection], Awaitable[Answer]]) -> Answer | None:
        """Of Postgres, for which nothing here waits: None while it is away, and for a while after that."""
        if time.monotonic() < self._away_until:
            return None
        try:
            async with connected(self._pool) as connection:
                return await question(connection)
        except Unavailable:
            self._away_until = time.monotonic() + AWAY_S
            return None

    async def begin(self, starts: Mapping[TopicPartition, int]) -> None:
        async with answering():
            arguments = [part for tp, start in starts.items() for part in (offset_field(tp), start)]
            await self._begin(keys=self._keys[:1], args=arguments)

    async def partitions_read(self, topics: Collection[str]) -> Mapping[str, int]:
        """Postgres, which other projections have theirs in, remembers when Redis has lost its memory."""
        own = Counter(tp.topic for tp in await self.checkpoints())
        try:
            async with connected(self._pool) as connection:
                others = await partition_growth.partitions_read(connection, topics)
        except Unavailable:
            others = {}
        return {topic: count for topic in topics if (count := max(own[topic], others.get(topic, 0)))}

    async def parked_keys(self, partitions: Collection[TopicPartition]) -> set[tuple[TopicPartition, bytes]]:
        return {(tp, key) for tp, key in await self._parked() if tp in partitions}

    async def _parked(self) -> set[tuple[TopicPartition, bytes]]:
        async with answering():
            members = cast("set[bytes]", await self._redis.smembers(self._keys[1]))
        return {_tp_and_key_of(member) for member in members}

    async def apply(
        self, rows: Rows | None, moves: Mapping[TopicPartition, Move], parked: Sequence[DeadLetter] = ()
    ) -> None:
        if parked:
            if {_tp_and_key(each) for each in parked if each.waits} - await self.parked_keys(moves):
                raise FenceLost(f"{self._projection.name} has a key that waits no longer")
            # Written before the offset moves: after a crash between the two it is parked again, as the same letter.
            async with connected(self._pool) as connection:
                await self._park(connection, parked)
        async with answering():
            common = _common_arguments(moves, parked)
            if rows is None:
                done = await self._move_only(keys=self._keys, args=common)
            else:
                own = await self._projection.arguments(self._redis, rows)
                done = await self._apply(keys=self._keys, args=[*common, *own])
        if not done:
            raise FenceLost(f"{self._projection.name} is no longer at the offsets {dict(moves)}")

    async def _park(self, connection: Connection, parked: Sequence[DeadLetter]) -> None:
        if await parking.is_any_skipped(connection, self._projection.name, parked):
            self._away_until = 0.0
            raise FenceLost(f"{self._projection.name} was to park what somebody has decided to skip")
        await parking.park(connection, self._projection.name, parked)

    async def skipped(self, partitions: Collection[TopicPartition]) -> set[tuple[TopicPartition, int]]:
        """What is known of them while Postgres is away: but what cannot be applied waits for it anyway."""
        found = await self._asked(lambda connection: parking.skipped(connection, self._projection.name))
        self._skipped = self._skipped if found is None else found
        return {each for each in self._skipped if each[0] in partitions}

    async def unpark(self, rows: Rows | None, letters: Sequence[Letter], *, by: str) -> None:
        """The letters are all that are open of their key: Redis knows of it only that it waits."""
        (first, *_) = letters
        async with connected(self._pool) as connection:
            at = await connection.fetchval("SELECT clock_timestamp()")
        await self._freed(TopicPartition(first.topic, first.partition), first.key, rows, letters, at)
        async with connected(self._pool) as connection:
            if not await parking.end_as_applied(connection, letters, by=by, at=at):
                raise FenceLost("somebody else has ended one of them")

    async def release(self, partition: TopicPartition, key: bytes) -> None:
        await self._freed(partition, key, None, ())

    async def _freed(
        self,
        tp: TopicPartition,
        key: bytes | None,
        rows: Rows | None,
        letters: Sequence[Letter],
        decided_at: datetime = parking.LONG_AGO,
    ) -> None:
        """Rows of the letters, which are what is open of the key at the offset that the script finds."""
        for _ in range(ATTEMPTS):
            if await self._freed_at_rest(tp, key, rows, letters, decided_at):
                return
        raise FenceLost(f"{self._projection.name} does not stand still at {tp.topic}/{tp.partition}")

    async def _freed_at_rest(
        self,
        tp: TopicPartition,
        key: bytes | None,
        rows: Rows | None,
        letters: Sequence[Letter],
        decided_at: datetime,
    ) -> bool:
        """False where a batch was written in between."""
        checkpoint = (await self.checkpoints()).get(tp)
        at = 0 if checkpoint is None else checkpoint.next_offset
        async with connected(self._pool) as connection:
            opened = await parking.open_letters(connection, self._projection.name, tp, key, before=at)
        if key is not None and opened != [letter.id for letter in letters]:
            raise FenceLost("others are open than a moment ago")
        async with answering():
            member = b"" if key is None else _parked_member(tp, key)
            common = [*_common_arguments({tp: Move(at, at)}, ()), str(microseconds(decided_at)), member]
            if rows is None:
                done = await self._free(keys=self._keys, args=common)
            else:
                own = await self._projection.arguments(self._redis, rows)
                done = await self._unpark(keys=self._keys, args=[*common, *own])
        return bool(done)

    async def stop(self, reason: str, at: Mapping[TopicPartition, int | None], state: State) -> None:
        stands = [part for tp, offset in at.items() for part in (offset_field(tp), "" if offset is None else offset)]
        decided_by = (state.generation, int(state.accepts_dead_letters))
        async with answering():
            done = await self._stop(keys=self._keys[:1], args=[reason, *decided_by, *stands])
        if not done:
            raise FenceLost(f"{self!r} is not as it was when it was to be stopped: {reason}")

    async def pause(self) -> None:
        """From now on no batch is applied, by nobody; to be said after it was decided in Postgres."""
        async with answering():
            await self._redis.hset(self._keys[0], PAUSED, 1)

    async def resume(self) -> None:
        """It goes on where it was paused, or where it had stopped; to be said as `pause`."""
        async with answering():
            await self._redis.hdel(self._keys[0], STOPPED_REASON, PAUSED)

    async def reset(
        self,
        starts: Mapping[TopicPartition, int],
        targets: Mapping[TopicPartition, int],
        *,
        accepts_dead_letters: bool = False,
    ) -> None:
        """Forgets everything; what lies below the targets is a replay, which stops at an event it cannot apply."""
        # The letters are gone when the rest is: where Redis does not answer they stay, and so do the keys they hold up.
        async with connected(self._pool) as connection, connection.transaction():
            await connection.execute(
                "DELETE FROM dead_letters WHERE projection = $1 AND outcome IS DISTINCT FROM 'skipped'",
                self._projection.name,
            )
            last = await decisions.last_build(connection, self._projection.name)
            numbers = [number for tp, target in targets.items() for number in (offset_field(tp), starts[tp], target)]
            async with answering():
                await self._reset(keys=self._keys, args=[int(accepts_dead_letters), last, *numbers])


def state_of(fields: Mapping[bytes, bytes]) -> State:
    """What the hash of a projection's offsets says of the whole."""
    reason = fields.get(STOPPED_REASON)
    return State(
        int(fields.get(GENERATION, 1)),
        None if reason is None else reason.decode(),
        rests=PAUSED in fields,
        accepts_dead_letters=ACCEPTS_DEAD_LETTERS in fields,
    )


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
    except (RedisError, RedisClusterException, OSError, TimeoutError) as error:
        raise Unavailable(f"Redis: {error!r}") from error


def _common_arguments(moves: Mapping[TopicPartition, Move], parked: Sequence[DeadLetter]) -> list[str | bytes]:
    numbers = [
        part
        for tp, move in in_order(moves)
        for part in (offset_field(tp), str(move.expected), str(move.next), str(move.logged_ms))
    ]
    waiting = {_parked_member(*_tp_and_key(letter)) for letter in parked if letter.waits}
    keys = [
        _parked_member(*_tp_and_key(letter)) for letter in parked if not letter.waits and letter.record.key is not None
    ]
    return [str(len(moves)), *numbers, str(len(waiting)), *sorted(waiting), str(len(keys)), *keys]


def _tp_and_key(letter: DeadLetter) -> tuple[TopicPartition, bytes]:
    record = letter.record
    return TopicPartition(record.topic, record.partition), record.key or b""


def _is_below(offset: int | None, checkpoint: Checkpoint) -> bool:
    return offset is not None and offset < checkpoint.next_offset


def _tp_and_key_of(member: bytes) -> tuple[TopicPartition, bytes]:
    """Undoes `_parked_member`."""
    field, _, key = member.partition(b" ")
    topic, _, number = field.decode().rpartition("/")
    return TopicPartition(topic, int(number)), key


def microseconds(moment: datetime) -> int:
    """Of Unix time, exactly."""
    return (moment - parking.LONG_AGO) // timedelta(microseconds=1)


def _parked_member(tp: TopicPartition, key: bytes) -> bytes:
    """What the set of parked keys has of it."""
    return f"{offset_field(tp)} ".encode() + key
