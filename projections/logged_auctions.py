"""Auctions read straight from the log: one of them by its id, or all of them to be decided again."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from uuid import UUID

import msgspec
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError
from aiokafka.partitioner import DefaultPartitioner

from domain.codec import Decoder
from domain.errors import CorruptEvent, LogUnavailable, NotFound
from domain.events import AuctionAwarded, AuctionUnsold, BidRequested, Event
from domain.names import Names
from domain.replay import DECIDING, AuctionReplay, Replayer, Replays
from projections.batch import Record
from projections.connections import kafka_options
from projections.watermarks import Ends, Watermarks

CLIENT_ID = "gavel-replay"
POLL_MS = 500
SILENCE_MAX_S = 30.0
"""A broker that says nothing for so long, although there is more to read, is away."""
FETCH_MAX_BYTES = 2 * 1024 * 1024
PROGRESS_S = 0.2
CLOCKS_APART_MS = 60_000
"""An auction's id is made before its events are written, by a machine whose clock may be wrong by so much."""
FAILURES_TOLD_MAX = 20


class ReplayProgress(msgspec.Struct, frozen=True):
    """How far a replay of the whole log is."""

    records: int
    """Read so far, of `total`."""
    total: int
    auctions: int
    seconds: float

    @property
    def auctions_per_second(self) -> float:
        return self.auctions / self.seconds if self.seconds else 0.0


class LogReplay(msgspec.Struct, frozen=True, kw_only=True):
    """What a replay of the whole log found."""

    found: Replays
    failures: tuple[AuctionReplay, ...]
    """The first auctions that were not confirmed, with every difference."""
    undecided: int
    """Auctions whose end the log does not hold: under way, or answered 503 because it could not be logged whole."""
    corrupt: tuple[str, ...]
    """Where the first events stand that cannot be understood, and why."""
    corrupt_events: int
    seconds: float

    @property
    def is_confirmed(self) -> bool:
        """Every auction that the log holds was decided as it is logged."""
        return not self.found.mismatches and not self.corrupt_events


async def replay_log(
    kafka_url: str, names: Names, *, on_progress: Callable[[ReplayProgress], None] = lambda _: None
) -> LogReplay:
    """Decides every auction again that is in the log as it stands now. Raises LogUnavailable.

    `on_progress` is called several times a second. Memory holds only auctions without an end.
    """
    decode = Decoder(DECIDING).decode
    replayer = Replayer()
    failures: list[AuctionReplay] = []
    corrupt: list[str] = []
    corrupt_events = records = 0
    started = time.monotonic()
    ends = await _ends(kafka_url, names.auctions)
    total = sum(end.high - end.low for end in ends.values())
    due = started
    async with _reading(kafka_url, {tp: end.low for tp, end in ends.items()}) as consumer:
        async for batch in _until(consumer, ends):
            records += len(batch)
            for record in batch:
                try:
                    event = decode(record.value or b"")
                except CorruptEvent as error:
                    corrupt_events += 1
                    if len(corrupt) < FAILURES_TOLD_MAX:
                        corrupt.append(f"{record.topic}/{record.partition} at {record.offset}: {error}")
                    continue
                replayed = None if event is None else replayer.take(event)
                if replayed is not None and replayed.differences and len(failures) < FAILURES_TOLD_MAX:
                    failures.append(replayed)
            if time.monotonic() >= due:
                due = time.monotonic() + PROGRESS_S
                on_progress(ReplayProgress(records, total, replayer.found.auctions, time.monotonic() - started))
    seconds = time.monotonic() - started
    on_progress(ReplayProgress(total, total, replayer.found.auctions, seconds))
    return LogReplay(
        found=replayer.found,
        failures=tuple(failures),
        undecided=len(replayer.undecided),
        corrupt=tuple(corrupt),
        corrupt_events=corrupt_events,
        seconds=seconds,
    )


async def deciding_events(kafka_url: str, names: Names, auction_id: str) -> Sequence[Event]:
    """The events of one auction that a replay needs, in the order of the log.

    The id tells when it was held, so only the log from there on is read; from the log's start where nothing is found,
    for a log that was copied carries other times. Raises NotFound, LogUnavailable, CorruptEvent.
    """
    try:
        held_at_ms = UUID(auction_id).int >> 80
    except ValueError:
        raise NotFound(f"{auction_id!r} is not the id of an auction") from None
    ends = await _ends(kafka_url, names.auctions)
    numbers = sorted(tp.partition for tp in ends)
    key = auction_id.encode()
    partition = TopicPartition(names.auctions, DefaultPartitioner()(key, numbers, numbers))
    end = ends[partition]
    async with _reading(kafka_url, {partition: end.low}) as consumer:
        found = await consumer.offsets_for_times({partition: held_at_ms - CLOCKS_APART_MS})
        start = end.high if found[partition] is None else found[partition].offset
        for first in dict.fromkeys((start, end.low)):
            consumer.seek(partition, first)
            events = await _events_of(key, consumer, {partition: end})
            if events:
                return events
    raise NotFound(f"there is no auction {auction_id} in the log")


async def _events_of(key: bytes, consumer: AIOKafkaConsumer, ends: Mapping[TopicPartition, Ends]) -> Sequence[Event]:
    """Reads on until the auction is decided, or the log ends."""
    decode = Decoder(DECIDING).decode
    events: list[Event] = []
    undecided: set[str] | None = None
    async for batch in _until(consumer, ends):
        for record in batch:
            event = decode(record.value or b"") if record.key == key else None
            if event is None:
                continue
            events.append(event)
            if isinstance(event, BidRequested):
                undecided = {each.imp_id for each in event.imps}
            elif isinstance(event, AuctionAwarded | AuctionUnsold) and undecided is not None:
                undecided.discard(event.imp_id)
        if undecided is not None and not undecided:
            break
    return events


async def _ends(kafka_url: str, topic: str) -> Mapping[TopicPartition, Ends]:
    async with Watermarks(kafka_url, client_id=CLIENT_ID) as watermarks:
        return await watermarks.ends([topic])


@asynccontextmanager
async def _reading(kafka_url: str, starts: Mapping[TopicPartition, int]) -> AsyncIterator[AIOKafkaConsumer]:
    """A consumer of no group, standing at these offsets. Raises LogUnavailable."""
    consumer = AIOKafkaConsumer(
        **kafka_options(kafka_url, CLIENT_ID),
        group_id=None,
        enable_auto_commit=False,
        auto_offset_reset="none",
        max_partition_fetch_bytes=FETCH_MAX_BYTES,
    )
    try:
        await consumer.start()
        consumer.assign(list(starts))
        for partition, offset in starts.items():
            consumer.seek(partition, offset)
        yield consumer
    except (KafkaError, OSError) as error:
        raise LogUnavailable(f"Kafka cannot be read: {error!r}") from error
    finally:
        await consumer.stop()


async def _until(consumer: AIOKafkaConsumer, ends: Mapping[TopicPartition, Ends]) -> AsyncIterator[Sequence[Record]]:
    """Batches of one partition each, until every partition has reached its end; the log has gaps in its offsets."""
    heard_at = time.monotonic()
    while True:
        behind = [tp for tp, end in ends.items() if await consumer.position(tp) < end.high]
        if not behind:
            return
        fetched = await consumer.getmany(*behind, timeout_ms=POLL_MS)
        if fetched:
            heard_at = time.monotonic()
        elif time.monotonic() - heard_at > SILENCE_MAX_S:
            raise LogUnavailable(f"Kafka has said nothing for {SILENCE_MAX_S:.0f} s")
        for partition, records in fetched.items():
            yield [record for record in records if record.offset < ends[partition].high]
