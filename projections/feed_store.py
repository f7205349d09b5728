"""The state of feed clients in Redis, each on a slot of its own, and how far their partitions have been read.

No script reaches over slots, so a batch is written client by client, and the partition's offset moves after all of
them. Each client knows its own position and passes over what it has had: what is read twice has its effect once.
How far each client had come stands beside the offsets as well. A client that Redis has forgotten, or remembers as it
was some time ago, is noticed by that: nothing is applied to it beyond the gap, and its partition is read again.
"""

from __future__ import annotations

import asyncio
import time
from bisect import bisect
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from hashlib import sha1
from itertools import accumulate, takewhile
from typing import Final, NamedTuple, cast

from aiokafka import TopicPartition
from redis.asyncio import Redis
from redis.commands.core import AsyncScript
from redis.exceptions import NoScriptError, OutOfMemoryError

from domain.errors import Unavailable
from projections import parking
from projections.audiences import Audiences, FeedRows, PartOfClient, Step, digest_of
from projections.batch import DeadLetter, Letter, Move
from projections.feed_audit import NOBODY, AuditRow, write_rows
from projections.feed_freeing import DROP
from projections.feed_script import APPLY, APPLY_WHEN_FULL, FREES
from projections.feed_told import told_of
from projections.feed_value import milliseconds
from projections.postgres_store import Pool, connected
from projections.queries.feed_memory import FULL, feed_memory
from projections.redis_store import RedisStore, answering, microseconds, offset_field
from projections.store import Checkpoint, EventRefused, FenceLost, StoreFault

BYTES_AT_ONCE: Final = 2 * 1024 * 1024
"""Of values, on their way to Redis in scripts whose answers are waited for together: an ordinary batch of one client,
so that the next one is prepared meanwhile. Redis has them twice for a moment."""
CLIENTS_AT_ONCE: Final = 16
LOOKED_AT_ONCE: Final = 1_000
"""Clients whose positions are asked for in one go: a connection for each would be more than there are."""
LOOKS_PER_ROUND: Final = 60
"""Each second some clients are looked at, so that one that Redis has lost is noticed within about a minute."""
FORGET_MAX: Final = 1000
"""Clients in one script; the others are found the next time."""
CLIENT_MAX_CHARS: Final = 100
"""Of a key that may be a client's id; what has no such key is nobody's."""
LATE: Final = "late"
PUTS: Final = frozenset({"put", "updated", "loaded"})
"""What takes memory; all else frees some, or takes next to nothing."""
MEMORY_ASKED_S: Final = 0.2
RETRIED_AT: Final = b"retried_at"

KNOWN: Final = """
-- KEYS: offsets, clients. ARGV: the number of partitions, each with its expected offset; then fields of clients.
-- Answers the generation, then the clients' positions.
-- Nothing of a projection that is paused or has stopped.
for _, rests in ipairs({'paused', 'stopped_reason'}) do
  if redis.call('HEXISTS', KEYS[1], rests) == 1 then return false end
end
for at = 2, 1 + 2 * ARGV[1], 2 do
  if redis.call('HGET', KEYS[1], ARGV[at]) ~= ARGV[at + 1] then return false end
end
local known = {tonumber(redis.call('HGET', KEYS[1], 'generation') or 1)}
for at = 2 + 2 * ARGV[1], #ARGV do table.insert(known, tonumber(redis.call('HGET', KEYS[2], ARGV[at]) or -1)) end
return known
"""
FORGET_CLIENTS: Final = """
-- KEYS: offsets, clients. ARGV: fields of clients.
-- All partitions at once, for one that is begun while others have offsets is taken for a topic that has grown.
for _, field in ipairs(redis.call('HKEYS', KEYS[1])) do
  if string.find(field, '^[^:]+/%d+$') then redis.call('HDEL', KEYS[1], field) end
end
redis.call('HDEL', KEYS[2], unpack(ARGV))
redis.call('HSET', KEYS[1], 'generation', (redis.call('HGET', KEYS[1], 'generation') or 1) + 1)
return 1
"""
NOTE_RETRY: Final = """
-- KEYS: offsets. ARGV: as the first of `redis_store.FREE_KEY`.
if tonumber(ARGV[1]) > tonumber(redis.call('HGET', KEYS[1], 'retried_at') or 0) then
  redis.call('HSET', KEYS[1], 'retried_at', ARGV[1])
end
"""


class Known(NamedTuple):
    """What stands beside the offsets."""

    generation: int
    before: Mapping[PartOfClient, str]
    """The last offset of each client that was ever applied."""


class FeedStore(RedisStore[FeedRows]):
    """Of one of the two topics. Implements `store.Store`.

    Records wait while Redis is nearly full, because budgets and rankings stand there as well; what makes room does not.
    """

    script_head = FREES
    batch_max_records = 5_000
    """However many there are, none of their scripts has more than it is told."""
    partition_fetch_max_bytes = 2 * 1024 * 1024
    """About one full batch: all of a client's records stand in one partition."""
    letters_wait = False

    def __init__(self, redis: Redis, pool: Pool, projection: Audiences, script_records: int) -> None:
        """`script_records` is one script's worth at most, and one row of the audit."""
        super().__init__(redis, pool, projection)
        self._audiences = projection
        self._script_records = script_records
        self._apply_to_client = redis.register_script(APPLY)
        self._apply_when_full = redis.register_script(APPLY_WHEN_FULL)
        self._drop_client = redis.register_script(DROP)
        self._known = redis.register_script(KNOWN)
        self._note_retry = redis.register_script(f"{FREES}{NOTE_RETRY}")
        self._forget_clients = redis.register_script(FORGET_CLIENTS)
        self._memory_asked_at = float("-inf")
        self._no_room: str | None = None
        self._looked_at = 0
        """How many of the clients, since the last round began."""
        self._looks_at_all = True
        """After a fault, and at the beginning."""

    async def checkpoints(self) -> dict[TopicPartition, Checkpoint]:
        """None where a client's state is not what it was: then the topic is read again, for those who miss it."""
        async with answering():
            # First what is written last: then a client's state is never behind, unless it was lost.
            known = cast("dict[bytes, bytes]", await self._redis.hgetall(self._audiences.keys[0]))
            found = await super().checkpoints()
            if not (lost := await self._lost({_part_of(field): int(offset) for field, offset in known.items()})):
                return found
            clients = [self._audiences.field_of(part) for part in lost[:FORGET_MAX]]
            await self._forget_clients(keys=[self._audiences.offsets_key, *self._audiences.keys], args=clients)
        return {}

    async def _lost(self, known: Mapping[PartOfClient, int]) -> list[PartOfClient]:
        """Clients that are not where they are known to be, which most often are none.

        All of them where something was lost a moment ago, or may have been: else some, one after the other, for who is
        written to is found out at once, and so is who is looked up.
        """
        parts = list(known)
        start, self._looked_at = self._looked_at, self._looked_at + max(CLIENTS_AT_ONCE, len(parts) // LOOKS_PER_ROUND)
        if self._looked_at >= len(parts):
            self._looked_at = 0
        some = parts if self._looks_at_all else parts[start : self._looked_at or None]
        lost = await self._behind(some, known)
        if lost and not self._looks_at_all:
            lost = await self._behind(parts, known)
        self._looks_at_all = bool(lost)
        return lost

    async def _behind(self, parts: Sequence[PartOfClient], known: Mapping[PartOfClient, int]) -> list[PartOfClient]:
        positions: list[bytes | None] = []
        for start in range(0, len(parts), LOOKED_AT_ONCE):
            async with self._redis.pipeline(transaction=False) as pipeline:
                for part in parts[start : start + LOOKED_AT_ONCE]:
                    pipeline.hget(self._audiences.names.feed_state(part.client), self._audiences.topic)
                positions += await pipeline.execute()
        return [part for part, at in zip(parts, positions, strict=True) if int(-1 if at is None else at) < known[part]]

    async def parked_keys(self, _partitions: Collection[TopicPartition]) -> set[tuple[TopicPartition, bytes]]:
        """None: a record's place tells its order, so nothing has to wait behind another."""
        return set()

    async def apply(
        self, rows: FeedRows | None, moves: Mapping[TopicPartition, Move], parked: Sequence[DeadLetter] = ()
    ) -> None:
        try:
            await self._apply_batch(rows, moves, parked)
        except (StoreFault, Unavailable):
            self._looks_at_all = True
            raise

    async def _apply_batch(
        self, rows: FeedRows | None, moves: Mapping[TopicPartition, Move], parked: Sequence[DeadLetter]
    ) -> None:
        rejected = _rejected(parked)
        steps = {**(rows or {}), **{part: each for part, each in rejected.items() if part.client != NOBODY}}
        if steps or parked:
            known = await self._known_before(list(steps), moves)
            await self._to_clients(steps, known)
        if parked:
            async with connected(self._pool) as connection, connection.transaction():
                await self._park(connection, parked)
                await write_rows(connection, NOBODY, self._rows_of_nobody(rejected, known.generation))
        await super().apply(steps or None, moves)

    async def unpark(self, rows: FeedRows | None, letters: Sequence[Letter], *, by: str) -> None:
        """Where they are older than what stands by now, they change nothing; EventRefused where nobody knows."""
        async with connected(self._pool) as connection:
            at = await connection.fetchval("SELECT clock_timestamp()")
        for part, steps in (rows or {}).items():
            await self._apply_late(part, steps)
        async with answering():
            await self._note_retry(keys=[self._audiences.offsets_key], args=[microseconds(at)])
        async with connected(self._pool) as connection:
            if not await parking.end_as_applied(connection, letters, by=by, at=at, in_any_order=True):
                raise FenceLost("somebody else has ended one of them")

    async def release(self, partition: TopicPartition, key: bytes) -> None:
        """Nothing waits."""

    async def reset(
        self,
        starts: Mapping[TopicPartition, int],
        targets: Mapping[TopicPartition, int],
        *,
        accepts_dead_letters: bool = False,
    ) -> None:
        """Forgets its clients, also what the other topic has said of them: who reads that one notices and follows."""
        await self._drop_clients()
        await super().reset(starts, targets, accepts_dead_letters=accepts_dead_letters)

    async def _forgotten_before(self, retry: datetime, last_build: int) -> bool:
        """Its clients as well, each of which would pass over what is read again; the other topic as in `reset`."""
        async with answering():
            known = await self._redis.hget(self._audiences.offsets_key, RETRIED_AT)
        if known is not None and int(known) < microseconds(retry):
            await self._drop_clients()
        return await super()._forgotten_before(retry, last_build)

    async def _drop_clients(self) -> None:
        async with answering():
            for field in cast("list[bytes]", await self._redis.hkeys(self._audiences.keys[0])):
                await self._drop_client(keys=self._keys_of(_part_of(field).client))

    async def _known_before(self, parts: Sequence[PartOfClient], moves: Mapping[TopicPartition, Move]) -> Known:
        """The last offset of each client that was ever applied, of a time when the offsets were the expected ones."""
        expected = [text for tp, move in moves.items() for text in (offset_field(tp), move.expected)]
        fields = map(self._audiences.field_of, parts)
        async with answering():
            keys = [self._audiences.offsets_key, *self._audiences.keys]
            known = await self._known(keys=keys, args=[len(moves), *expected, *fields])
        if known is None:
            raise FenceLost(f"{self._audiences.name} is no longer at the offsets {dict(moves)}")
        generation, *offsets = known
        return Known(int(generation), {part: str(at) for part, at in zip(parts, offsets, strict=True)})

    async def _to_clients(self, steps: FeedRows, known: Known) -> None:
        """Several clients at once, and the records of one in their order. One that fails stops none that runs."""
        parts = [*steps]
        for start in range(0, len(parts), CLIENTS_AT_ONCE):
            some = parts[start : start + CLIENTS_AT_ONCE]
            outcomes = await asyncio.gather(
                *(self._to_client(part, steps[part], known) for part in some), return_exceptions=True
            )
            for failure in filter(None, outcomes):
                raise failure

    async def _to_client(self, part: PartOfClient, steps: Sequence[Step], known: Known) -> None:
        """By scripts of which each finds the one before it applied, or FenceLost."""
        before, start = known.before[part], 0
        while start < len(steps):
            no_room = await self._why_no_room()
            some = self._on_their_way_at_once(steps, start)
            if no_room is not None:
                some = [*takewhile(lambda step: step.what not in PUTS, some)]
                if not some:
                    raise Unavailable(no_room)
            script = self._apply_to_client if no_room is None else self._apply_when_full
            if await self._run(script, part, some, before, known.generation):
                before, start = str(some[-1].offset), start + len(some)

    def _on_their_way_at_once(self, steps: Sequence[Step], start: int) -> Sequence[Step]:
        """Those from there on that go together; one script's worth at least."""
        sizes = accumulate(len(step.value) for step in steps[start:])
        return steps[start : start + max(bisect([*sizes], BYTES_AT_ONCE), self._script_records)]

    async def _run(
        self, script: AsyncScript, part: PartOfClient, steps: Sequence[Step], before: str, generation: int
    ) -> bool:
        """The scripts for these records, whose answers are waited for at their end; False if there was no room."""
        keys, size, calls = self._keys_of(part.client), self._script_records, []
        for start in range(0, len(steps), size):
            some = steps[start : start + size]
            calls.append(self._arguments(part, some, before, generation))
            before = str(some[-1].offset)
        async with answering():
            try:
                done = await self._answers(script, keys, calls)
            except OutOfMemoryError:
                # Memory that is full already, of which what is on its way to it takes a part.
                self._no_room, self._memory_asked_at = FULL, time.monotonic()
                return False
        if min(done) < 0:
            raise FenceLost(f"Redis has forgotten what it knew of the feed client {part.client}")
        return True

    async def _answers(
        self, script: AsyncScript, keys: Sequence[str], calls: Sequence[Sequence[str | bytes | int]]
    ) -> list[int]:
        try:
            async with self._redis.pipeline(transaction=False) as pipeline:
                for call in calls:
                    pipeline.execute_command("EVALSHA", script.sha, len(keys), *keys, *call)
                return await pipeline.execute()
        except NoScriptError:
            # Learned now; what was applied is passed over.
            return [await script(keys=keys, args=call) for call in calls]

    async def _apply_late(self, part: PartOfClient, steps: Sequence[Step]) -> None:
        """Records that were passed over, each by its place. Raises EventRefused at the first that cannot be."""
        for start in range(0, len(steps), self._script_records):
            arguments = self._arguments(part, steps[start : start + self._script_records], LATE, 0)
            async with answering():
                offset = await self._apply_to_client(keys=self._keys_of(part.client), args=arguments)
            if offset >= 0:
                raise EventRefused(f"what stands over the record at {offset} may be gone: send it again, and skip this")

    def _arguments(
        self, part: PartOfClient, steps: Sequence[Step], before: str, generation: int
    ) -> Sequence[str | bytes | int]:
        """Of a script, behind its keys."""
        where = (self._audiences.topic, before, part.partition, generation)
        when = (milliseconds(steps[-1].at), _now_ms())
        return *where, *when, *told_of(steps)

    async def _why_no_room(self) -> str | None:
        if time.monotonic() >= self._memory_asked_at + MEMORY_ASKED_S:
            self._memory_asked_at = time.monotonic()
            self._no_room = (await feed_memory(self._redis)).why_no_room
        return self._no_room

    def _rows_of_nobody(self, rejected: FeedRows, generation: int) -> list[AuditRow]:
        """Of records whose key does not tell whose they are."""
        return [
            AuditRow(
                topic=self._audiences.topic,
                partition=part.partition,
                first_offset=step.offset,
                last_offset=step.offset,
                generation=generation,
                at=milliseconds(step.at),
                started=_now_ms(),
                finished=_now_ms(),
                digest=sha1(step.digest, usedforsecurity=False).hexdigest(),
                rejected=1,
            )
            for part, steps in rejected.items()
            if part.client == NOBODY
            for step in steps
        ]

    def _keys_of(self, client: str) -> list[str]:
        return list(self._audiences.names.feed_keys(client))


def _part_of(field: bytes) -> PartOfClient:
    number, _, client = field.decode().partition(" ")
    return PartOfClient(int(number), client)


def _rejected(parked: Sequence[DeadLetter]) -> FeedRows:
    """Poison, of the client that its key tells or of nobody."""
    rows: FeedRows = {}
    for letter in parked:
        record = letter.record
        client = (record.key or b"").decode(errors="replace")
        if not client.isprintable() or len(client) > CLIENT_MAX_CHARS or {"{", "}", " ", "\ufffd"} & {*client}:
            client = NOBODY
        step = Step(record.offset, "rejected", ("", "", "", ""), b"", datetime.now(UTC), digest_of(record.value))
        rows.setdefault(PartOfClient(record.partition, client), []).append(step)
    return rows


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
