"""The engine: one projection's consumer, from records off the log to rows and offsets in its store.

Each batch is decoded and folded, while the one before is written, then applied with a compare-and-set on the offsets
it starts from. Whatever goes wrong, the answer is the same: drop the batches, read the offsets again, seek there.
That makes the effect exactly-once against a second worker, a lost reply to a commit, and this process's own death.

A server that is away is waited for. An event that cannot be applied is found by bisecting its batch and parked in
the same transaction that moves the offset past it, with all later events of its key behind it; while a rebuild
replays, the projection stops instead.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import chain, groupby
from operator import attrgetter
from typing import Any, Generic, NamedTuple, TypeVar

import msgspec
import structlog
from aiokafka import TopicPartition
from aiokafka.errors import IllegalStateError, KafkaError, OffsetOutOfRangeError

from domain.errors import CorruptEvent, Unavailable
from projections.assignment import Assignment
from projections.backoff import Backoff
from projections.batch import Batch, DeadLetter, Move, Record
from projections.decoding import decoder_of
from projections.folding import CannotApply, folded, told
from projections.freed_memory import FreedMemory
from projections.lean_fetch import LeanConsumer
from projections.partition_growth import growth
from projections.projection import ByPartition, ByPlace, Projection
from projections.store import Checkpoint, EventRefused, FenceLost, State, Store

PIECE_RECORDS = 250
"""Decoded and folded in one go, which fits the processor's cache: a third faster than a batch as a whole.
In between, the batch before it is written and the next one fetched."""
POLL_MS = 500
"""How long a stop has to wait for an idle consumer."""
PACE_S = 0.03
"""Between two batches that are not full: under light load, fewer and larger transactions."""
REPORT_S = 1.0
"""Between two reports of offsets to Kafka, which only lag tools read."""
CONTROL_S = 1.0
"""How soon an idle consumer notices that its offsets were reset, or the projection stopped."""
CLOSE_S = 10.0
"""For what is being written, and again for the consumer."""
ATTEMPTS = 3
"""For a single event that its store refuses: it may have met a passing conflict."""

SESSION_TIMEOUT_MS = 6_000
"""How long the partitions of a killed worker wait for another one; the least that brokers allow by default."""
HEARTBEAT_MS = 2_000
MAX_POLL_INTERVAL_MS = 300_000
METADATA_MAX_AGE_MS = 10_000
"""How soon partitions are noticed that somebody has added."""
FETCH_MAX_BYTES = 4 * 1024 * 1024
"""Of one answer of a broker, compressed: about one full batch, so that the next is on its way while one is decoded."""

Rows = TypeVar("Rows")
log = structlog.stdlib.get_logger(__name__)


class Prepared(NamedTuple, Generic[Rows]):
    """A batch that is ready to be written, or the reason why it cannot be as a whole."""

    batch: Batch
    rows: Rows | None
    waiting: Sequence[DeadLetter]
    """Records that wait behind a dead letter of their key."""
    error: CorruptEvent | CannotApply | None
    parked_keys: int
    """How many keys had a dead letter then: with another number, it has to be prepared again."""


class Projector(Generic[Rows]):
    """One life of one projection's consumer: `run` until stopped, or until something breaks that a new life cures."""

    def __init__(
        self,
        projection: Projection[Rows],
        store: Store[Rows],
        *,
        topics: Sequence[str],
        group: str,
        kafka: Mapping[str, Any],
    ) -> None:
        self._projection = projection
        self._store = store
        self._topics = tuple(topics)
        self._decoder = decoder_of(projection)
        self._assignment = Assignment()
        self._consumer = LeanConsumer(
            **kafka,
            group_id=group,
            auto_offset_reset="none",
            enable_auto_commit=False,
            session_timeout_ms=SESSION_TIMEOUT_MS,
            heartbeat_interval_ms=HEARTBEAT_MS,
            max_poll_interval_ms=MAX_POLL_INTERVAL_MS,
            metadata_max_age_ms=METADATA_MAX_AGE_MS,
            max_partition_fetch_bytes=store.partition_fetch_max_bytes,
            fetch_max_bytes=FETCH_MAX_BYTES,
        )
        self._log = log.bind(projection=projection.name)
        self._positioned = -1
        """Version of the assignment whose partitions stand at their checkpoints; -1 for none."""
        self._checkpoints: dict[TopicPartition, Checkpoint] = {}
        """What the store has."""
        self._read: dict[TopicPartition, int] = {}
        """How far the log was read: the batch that is being written ends there."""
        self._writing: asyncio.Task[None] | None = None
        self._parked: set[tuple[TopicPartition, bytes]] = set()
        self._skipped: set[tuple[TopicPartition, int]] = set()
        """Records that somebody has decided to pass over."""
        self._state = State()
        self._control_due = 0.0
        self._report_due = 0.0
        self._reported: dict[TopicPartition, int] = {}
        """What Kafka was told last."""
        self.applied = 0
        """Records applied or parked in this life."""
        self._freed = FreedMemory()

    def __repr__(self) -> str:
        return f"Projector({self._projection.name!r}, {sorted(self._checkpoints)})"

    @property
    def partitions(self) -> frozenset[TopicPartition] | None:
        """What the group has given to this consumer, which may be nothing; None while it is in no group."""
        return frozenset(self._consumer.assignment()) if self._assignment.settled.is_set() else None

    def known_end(self, partition: TopicPartition) -> int | None:
        """Where the partition ends, as far as this consumer has heard."""
        return self._consumer.highwater(partition) if partition in self._consumer.assignment() else None

    async def run(self, stop: asyncio.Event) -> None:
        """Raises KafkaError when the consumer is of no use any more. Stopping loses nothing."""
        backoff = Backoff()
        try:
            await self._consumer.start()
            self._consumer.subscribe(self._topics, listener=self._assignment)
            while not stop.is_set():
                try:
                    await self._step()
                    backoff.reset()
                except FenceLost as lost:
                    self._log.info("fence lost, reading the offsets again", reason=str(lost))
                    self._positioned = -1
                except IllegalStateError:
                    self._positioned = -1  # a partition was revoked under our hands
                except Unavailable as away:
                    self._log.warning("waiting for a server", error=str(away))
                    self._positioned = -1
                    await backoff.wait(stop)
            await self._finish()
        finally:
            await self._close()

    async def _close(self) -> None:
        """Leaves the group also where a store that does not answer holds up what was being written: others go on."""
        try:
            if self._writing is not None:
                self._writing.cancel()
                done, _ = await asyncio.wait({self._writing}, timeout=CLOSE_S)
                await asyncio.gather(*done, return_exceptions=True)
        finally:
            async with asyncio.timeout(CLOSE_S):
                await self._consumer.stop()

    async def _finish(self) -> None:
        """Writes the last batch, if that is possible: if not, whoever comes next reads it again."""
        try:
            await self._written()
            await self._report(at_once=True)
        except (FenceLost, Unavailable) as error:
            self._log.info("stopped before the last batch was written", reason=str(error))

    async def _step(self) -> None:
        """One batch, or one look at what else there is to do."""
        if not self._assignment.settled.is_set():
            await asyncio.sleep(PACE_S)
            return
        is_writing = self._writing is not None and not self._writing.done()
        if self._positioned != self._assignment.version or (self._is_due and not is_writing):
            await self._take_position()
        if self._state.rests or self._state.stopped_reason is not None:
            await asyncio.sleep(CONTROL_S)
            return
        started = time.monotonic()
        batch = await self._next_batch()
        if batch is not None and batch.moves:
            prepared = await self._prepared(batch)
            await self._written()
            # While batch follows batch, it is looked between two of them, so that one is prepared while one is written.
            if self._is_due and not await self._take_position():
                return
            self._writing = asyncio.create_task(self._apply(prepared))
            await self._report()
        if batch is None or (len(batch) < self._store.batch_max_records and not self._is_behind()):
            await asyncio.sleep(max(0.0, started + PACE_S - time.monotonic()))

    def _is_behind(self) -> bool:
        """Whether a full batch waits anywhere, of which a fetch brought a part only."""
        ends = {tp: self.known_end(tp) or 0 for tp in self._read}
        return any(end - self._read[tp] >= self._store.batch_max_records for tp, end in ends.items())

    # -- positions --------------------------------------------------------------------------------

    @property
    def _is_due(self) -> bool:
        return time.monotonic() >= self._control_due

    async def _take_position(self) -> bool:
        """Sees to it that every partition of ours stands at its checkpoint, also after a reset by somebody else.

        Returns whether reading goes on where it was: if not, what was read and is not written is to be dropped.
        """
        await self._written()
        version = self._assignment.version
        ours = self._consumer.assignment()
        state = await self._store.state()
        if state.stopped_reason is not None and state != self._state:
            self._log.error("stopped", reason=state.stopped_reason)
        is_news, self._state = state != self._state, state
        await self._store.check()
        known = await self._store.checkpoints()
        if (fresh := ours - known.keys()) and state.stopped_reason is None:
            await self._begin(fresh)
            known = await self._store.checkpoints()
        checkpoints = {tp: known[tp] for tp in ours if tp in known}  # one that is nobody's any more takes none
        if not state.rests and state.stopped_reason is None and checkpoints.keys() != ours:
            raise FenceLost("the generation has come to its end")
        self._skipped = await self._store.skipped(ours)
        stays = not is_news and self._positioned == version and checkpoints == self._checkpoints
        if not stays:
            self._parked = await self._store.parked_keys(ours)
            for tp, checkpoint in checkpoints.items():
                self._consumer.seek(tp, checkpoint.next_offset)
            self._checkpoints, self._positioned = checkpoints, version
            self._read = {tp: checkpoint.next_offset for tp, checkpoint in checkpoints.items()}
        await self._report()
        self._control_due = time.monotonic() + CONTROL_S
        return stays

    async def _begin(self, fresh: Collection[TopicPartition]) -> None:
        """Makes checkpoints for all partitions of their topics, unless they have more than were ever read."""
        topics = {tp.topic for tp in fresh}
        there = {topic: self._consumer.partitions_for_topic(topic) or set() for topic in topics}
        read = await self._store.partitions_read(topics)
        if grown := growth(read, {topic: len(numbers) for topic, numbers in there.items()}):
            await self._store.stop(grown, dict.fromkeys(fresh), self._state)
            raise FenceLost(grown)
        partitions = [TopicPartition(topic, number) for topic, numbers in there.items() for number in sorted(numbers)]
        await self._store.begin(await self._consumer.beginning_offsets(partitions))

    async def _next_batch(self) -> Batch | None:
        """What came within POLL_MS; None if the partitions changed hands meanwhile, or the log has a hole."""
        version = self._positioned
        try:
            fetched = await self._consumer.getmany(timeout_ms=POLL_MS, max_records=self._store.batch_max_records)
        except OffsetOutOfRangeError as error:
            await self._written()
            stands = {tp: checkpoint.next_offset for tp, checkpoint in self._checkpoints.items()}
            await self._store.stop(f"the log does not have the next record any more: {error}", stands, self._state)
            self._positioned = -1
            return None
        moves = {}
        for tp, read in self._read.items():
            # Not the last record's offset: the log has gaps, where transactions ended or records were compacted.
            position = await self._consumer.position(tp)
            if (hold_at := self._checkpoints[tp].hold_at) is not None and position > hold_at:
                position = hold_at
                fetched[tp] = [record for record in fetched.get(tp, ()) if record.offset < hold_at]
                self._consumer.seek(tp, hold_at)
            if position != read:
                records = fetched.get(tp)
                moves[tp] = Move(read, position, records[-1].timestamp if records else 0)
        if self._assignment.version != version:
            return None
        self._read |= {tp: move.next for tp, move in moves.items()}
        return Batch(fetched, moves)

    async def _report(self, *, at_once: bool = False) -> None:
        """Tells Kafka how far we are, for lag tools only: nothing is lost if it does not hear."""
        offsets = {tp: point.next_offset for tp, point in self._checkpoints.items()}
        if not offsets or offsets == self._reported or (not at_once and time.monotonic() < self._report_due):
            return
        self._report_due = time.monotonic() + REPORT_S
        try:
            async with asyncio.timeout(REPORT_S):
                await self._consumer.commit(offsets)
            self._reported = offsets
        except (KafkaError, TimeoutError) as error:
            self._log.debug("offsets not reported to Kafka", error=repr(error))

    # -- batches ----------------------------------------------------------------------------------

    async def _prepared(self, batch: Batch) -> Prepared[Rows]:
        """Decodes and folds; needs no server."""
        # Of now: the batch before this one may be parked while this one is folded.
        parked_keys = len(self._parked)
        free, waiting = self._held_back(batch)
        try:
            return Prepared(batch, await self._rows(free), waiting, None, parked_keys)
        except (CorruptEvent, CannotApply) as error:
            return Prepared(batch, None, waiting, error, parked_keys)

    async def _written(self) -> None:
        """Waits for the batch that is being written. Raises FenceLost or Unavailable if it was not."""
        writing, self._writing = self._writing, None
        if writing is not None:
            await writing

    async def _apply(self, prepared: Prepared[Rows]) -> None:
        """Applies or parks every record of the batch. Raises FenceLost or Unavailable with part of it done."""
        if prepared.parked_keys != len(self._parked):
            prepared = await self._prepared(prepared.batch)
        batch = prepared.batch
        try:
            if prepared.error is not None:
                raise prepared.error
            await self._store.apply(prepared.rows, batch.moves, prepared.waiting)
        except (CorruptEvent, CannotApply, EventRefused) as error:
            if len(batch) > 1:
                for half in batch.halves():
                    await self._apply(await self._prepared(half))
            else:
                await self._retry_or_park(batch, error)
        else:
            self._advance(batch)

    async def _rows(self, records: Sequence[Record]) -> Rows | None:
        rows: Rows | None = None
        for piece in self._pieces(records):
            rows = folded(self._projection, self._decoder, piece, rows)
            await asyncio.sleep(0)
        return rows

    def _pieces(self, records: Sequence[Record]) -> Iterator[Sequence[Record]]:
        if isinstance(self._projection, ByPartition):
            runs = [list(run) for _, run in groupby(records, attrgetter("topic", "partition"))]
        else:
            runs = [list(records)]
        for run in runs:
            for start in range(0, len(run), PIECE_RECORDS):
                yield run[start : start + PIECE_RECORDS]

    def _held_back(self, batch: Batch) -> tuple[list[Record], list[DeadLetter]]:
        """The records to apply, and those that wait behind a dead letter of their key."""
        if not self._parked and not self._skipped:
            return list(chain.from_iterable(batch.records.values())), []
        free, blocked = [], []
        for tp, records in batch.records.items():
            for record in records:
                if (tp, record.offset) in self._skipped:
                    continue
                if record.key is not None and (tp, record.key) in self._parked:
                    blocked.append(DeadLetter(record, "waits behind an earlier dead letter of its key", waits=True))
                else:
                    free.append(record)
        return free, blocked

    async def _retry_or_park(self, batch: Batch, error: Exception) -> None:
        """`batch` is one record that failed with `error`."""
        (record,) = batch
        for _ in range(ATTEMPTS - 1 if isinstance(error, EventRefused) else 0):
            await asyncio.sleep(PACE_S)
            try:
                await self._store.apply(await self._rows([record]), batch.moves)
            except EventRefused as again:
                error = again
            else:
                self._advance(batch)
                return
        tp = TopicPartition(record.topic, record.partition)
        where = f"{record.topic}/{record.partition} at {record.offset}"
        replayed = record.offset < self._checkpoints[tp].rebuild_until
        if replayed and not self._state.accepts_dead_letters:
            if (tp, record.offset) in await self._store.skipped([tp]):
                raise FenceLost(f"{where} is skipped since a moment ago")
            stands = {tp: move.expected for tp, move in batch.moves.items()}
            reason = f"the rebuild met an event that cannot be applied, {where}: {error}"
            await self._store.stop(reason, stands, self._state)
            raise FenceLost(f"stopped at {where}")
        self._log.error("event parked", where=where, error=str(error))
        await self._store.apply(None, batch.moves, [DeadLetter(record, told(error))])
        if record.key is not None and not isinstance(self._projection, ByPlace):
            self._parked.add((tp, record.key))
        self._advance(batch)

    def _advance(self, batch: Batch) -> None:
        for tp, move in batch.moves.items():
            self._checkpoints[tp] = msgspec.structs.replace(self._checkpoints[tp], next_offset=move.next)
        self.applied += len(batch)
        self._freed.count(len(batch))
