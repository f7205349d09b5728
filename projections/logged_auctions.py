"""Auctions read straight from the log: one of them by its id, or all of them to be decided again."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from uuid import UUID

import msgspec
from aiokafka import TopicPartition

from domain.codec import Decoder
from domain.errors import CorruptEvent, NotFound
from domain.events import AuctionAwarded, AuctionUnsold, BidRequested, Event
from domain.names import Names
from domain.replay import DECIDING, AuctionReplay, Replayer, Replays
from projections.kafka_consumer import KafkaConsumer
from projections.log_reading import ends_of, partition_of, reading, until
from projections.watermarks import Ends

CLIENT_ID = "gavel-replay"
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
    ends = await ends_of(kafka_url, names.auctions, client_id=CLIENT_ID)
    total = sum(end.high - end.low for end in ends.values())
    due = started
    starts = {tp: end.low for tp, end in ends.items()}
    async with reading(kafka_url, starts, client_id=CLIENT_ID) as consumer:
        async for batch in until(consumer, ends):
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
    ends = await ends_of(kafka_url, names.auctions, client_id=CLIENT_ID)
    key = auction_id.encode()
    partition = partition_of(key, names.auctions, ends)
    end = ends[partition]
    async with reading(kafka_url, {partition: end.low}, client_id=CLIENT_ID) as consumer:
        found = await consumer.offsets_for_times({partition: held_at_ms - CLOCKS_APART_MS})
        start = end.high if found[partition] is None else found[partition].offset
        for first in dict.fromkeys((start, end.low)):
            consumer.seek(partition, first)
            events = await _events_of(key, consumer, {partition: end})
            if events:
                return events
    raise NotFound(f"there is no auction {auction_id} in the log")


async def _events_of(key: bytes, consumer: KafkaConsumer, ends: Mapping[TopicPartition, Ends]) -> Sequence[Event]:
    """Reads on until the auction is decided, or the log ends."""
    decode = Decoder(DECIDING).decode
    events: list[Event] = []
    undecided: set[str] | None = None
    async for batch in until(consumer, ends):
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
