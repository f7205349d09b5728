"""The append-only log on Kafka: acknowledged by all replicas, each event exactly once and in order.

aiokafka's own `send` makes a future and a serialisation step for every record. Here the events of many commands
are gathered per partition and sent as one batch, so a command costs one future and its share of a request.

Kafka away is a normal state: writes are refused at once while acknowledgements are overdue, and accepted again as
soon as the batches on their way have arrived. Those are never given up while the process lives: the producer is
idempotent and goes on trying, which is also why a timed-out append may still be written (AppendUndecided).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from typing import NamedTuple

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from commands.kafka_batch import Batch, Overdue, Partition
from commands.kafka_departures import Departures
from commands.kafka_partitioner import partition_of
from commands.kafka_producer import abandon, new_producer
from commands.ports import AppendUndecided, Position
from domain.codec import encode
from domain.errors import Fault, InvalidInput, LogUnavailable, Overloaded
from domain.events import Event
from domain.kafka_url import parse_kafka_url
from domain.limits import (
    LOG_ACK_OVERDUE_MS,
    LOG_BATCH_MAX_BYTES,
    LOG_BYTES_IN_FLIGHT_MAX,
    LOG_HOLD_MS,
)

START_MAX_SECONDS = 5.0
RECONNECT_SECONDS = 0.5
CLOSE_MAX_SECONDS = 5.0
EVENT_MAX_BYTES = LOG_BATCH_MAX_BYTES - 1024
"""The key and the batch's own head need room too."""


class _Sent(NamedTuple):
    at: float
    """Event-loop time."""
    partition: Partition
    broker: int | None
    """Who led the partition then."""
    producer: AIOKafkaProducer


class KafkaLog:
    """Implements ports.EventLog. `start` it, `close` it."""

    def __init__(
        self,
        kafka_url: str,
        topics: Sequence[str],
        *,
        client_id: str = "gavel",
        refusal_of: Callable[[Mapping[str, int]], Awaitable[str | None]] | None = None,
    ) -> None:
        """Only `topics` can be written to; raises InvalidInput for an address that cannot be read.

        `refusal_of` is told how many partitions each topic has when these are met first, and tells why nothing may be
        written to them, if so: a key must not move to another partition between two processes either.
        """
        self._url = parse_kafka_url(kafka_url)
        self._topics = tuple(topics)
        self._client_id = client_id
        self._refusal_of = refusal_of
        self._partitions: dict[str, list[Partition]] = {}
        """By topic; fixed once known, because a key must keep its partition."""
        self._producer: AIOKafkaProducer | None = None
        self._producers: set[AIOKafkaProducer] = set()
        """The one in use, and those that only wait for what they have sent."""
        self._connected = asyncio.Event()
        self._fault = "It was not started."
        self._undecided: set[Batch] = set()
        self._on_their_way: dict[Batch, _Sent] = {}
        """The oldest first."""
        self.departures = Departures(self._broker_of, self._busy_brokers)
        self._bytes_in_flight = 0
        self._closed = False
        self._tasks: set[asyncio.Task[None]] = set()

    def __repr__(self) -> str:
        connected = self._producer is not None
        return f"KafkaLog({self._url!r}, connected={connected}, {self._bytes_in_flight} bytes in flight)"

    @property
    def healthy(self) -> bool:
        """False while there is no connection, or while an acknowledgement is overdue."""
        return self._producer is not None and not self._closed and not self._overdue()

    @property
    def fault(self) -> str | None:
        """Why it is not healthy, for a person."""
        if self._producer is None or self._closed:
            return self._fault
        overdue = self._overdue()
        if not overdue:
            return None
        return f"A write to {overdue[0].partition} was not acknowledged within {LOG_ACK_OVERDUE_MS} ms."

    async def start(self) -> None:
        """Connects. Returns after a bounded time: with Kafka away it goes on trying, unhealthy until then."""
        connecting = self._spawn(self._connect())
        await asyncio.wait({connecting}, timeout=START_MAX_SECONDS)

    def check(self, topic: str, key: str) -> None:
        """Raises LogUnavailable if an append would be refused at once: nobody need work for it first."""
        self._partition_for(topic, key.encode())

    async def append(self, topic: str, key: str, events: Sequence[Event]) -> Position:
        """Writes events of one key, in order, in one batch where they fit into one; the position of the last one.

        Raises Overloaded or LogUnavailable at once, AppendUndecided after LOG_ACK_TIMEOUT_MS, InvalidInput for an
        event too large for the log. Cancelled or timed out, the events may still be written.
        """
        key_bytes = key.encode()
        return await self._append_to(self._partition_for(topic, key_bytes), key_bytes, events)

    async def append_everywhere(
        self, topic: str, key: str, event_of: Callable[[int, int], Event]
    ) -> Sequence[Position]:
        """Writes an event to each partition of the topic: `event_of` is given its number and how many there are.

        Raises as `append`, and LogUnavailable before any is written if one of them could not be. Some may have theirs
        when it fails later.
        """
        key_bytes = key.encode()
        partitions = self._open_topic(topic)
        for partition in partitions:
            self._check_writable(partition)
        events = [event_of(number, len(partitions)) for number in range(len(partitions))]
        appends = [
            self._append_to(partition, key_bytes, [event]) for partition, event in zip(partitions, events, strict=True)
        ]
        return await asyncio.gather(*appends)

    async def _append_to(self, partition: Partition, key_bytes: bytes, events: Sequence[Event]) -> Position:
        assert events, "nothing to append"
        payloads = [encode(event) for event in events]
        size = sum(map(len, payloads)) + len(payloads) * len(key_bytes)
        if size > EVENT_MAX_BYTES:
            _refuse_too_large(events, payloads, len(key_bytes))
        if self._bytes_in_flight + size > LOG_BYTES_IN_FLIGHT_MAX:
            raise Overloaded(f"{self._bytes_in_flight} bytes are on their way to the log already.")
        self._bytes_in_flight += size
        batches = partition.add(key_bytes, payloads)
        try:
            for batch, _ in batches:
                base_offset = await batch.acknowledgement()
        except Overdue:
            decisions = [batch.decision for batch, _ in batches]
            raise AppendUndecided(lambda: _all_written(decisions)) from None
        topic, number = partition.place
        return Position(topic, number, base_offset + batches[-1][1] if base_offset >= 0 else -1)

    async def close(self) -> int:
        """Waits a bounded time for what is on its way; the number of events that were not acknowledged."""
        self._closed = True
        self._fault = "It was closed."
        if self._undecided:
            await asyncio.wait([batch.decision for batch in self._undecided], timeout=CLOSE_MAX_SECONDS)
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        left = sum(batch.events for batch in self._undecided)
        for batch in list(self._undecided):
            batch.refused("The log was closed before the acknowledgement came.")
            self.decided(batch)
        self._producer = None
        for producer in list(self._producers):
            await self._end(producer)
        return left

    # -- what the partitions ask for (kafka_batch.BatchOwner) --------------------------------------

    async def producer(self) -> AIOKafkaProducer:
        while self._producer is None:
            await self._connected.wait()
        return self._producer

    def new_batch(self) -> Batch:
        assert self._producer is not None, "appends are refused while there is none"
        batch = Batch(self._producer.create_batch())
        self._undecided.add(batch)
        return batch

    def sent(self, batch: Batch, partition: Partition, producer: AIOKafkaProducer) -> None:
        self._on_their_way[batch] = _Sent(
            asyncio.get_running_loop().time(), partition, self._broker_of(partition), producer
        )

    def decided(self, batch: Batch) -> None:
        self._on_their_way.pop(batch, None)
        self._undecided.discard(batch)
        self._bytes_in_flight -= batch.size_bytes
        self.departures.answered()

    def broken(self, producer: AIOKafkaProducer, reason: str) -> None:
        if self._producer is not producer:
            return
        self._producer = None
        self._connected.clear()
        self._fault = f"The producer is being replaced after {reason}"
        self._spawn(self._retire(producer))
        self._spawn(self._connect())

    # -- the connection ----------------------------------------------------------------------------

    async def _connect(self) -> None:
        """Tries until there is a producer that knows all topics."""
        while self._producer is None:
            producer = new_producer(self._url, self._client_id)
            self._producers.add(producer)
            try:
                await producer.start()
                counts = {topic: len(await producer.partitions_for(topic)) for topic in self._topics}
                refusal = await self._refused(counts)
            except (KafkaError, OSError) as error:
                refusal = f"Kafka cannot be reached at {self._url!r}: {error!r}"
            if refusal is not None:
                self._fault = refusal
                await self._end(producer)
                await asyncio.sleep(RECONNECT_SECONDS)
            else:
                self._open_partitions(counts)
                self._producer = producer
                self._connected.set()

    async def _refused(self, counts: Mapping[str, int]) -> str | None:
        """Asked until there are partitions: from then on nothing that is done to the topics moves a key."""
        return None if self._partitions or self._refusal_of is None else await self._refusal_of(counts)

    def _open_partitions(self, counts: dict[str, int]) -> None:
        """Once: a producer that comes later finds the partitions open, whatever was done to the topics since."""
        if self._partitions:
            return
        self._partitions = {
            topic: [Partition(topic, number, self) for number in range(count)] for topic, count in counts.items()
        }
        for partitions in self._partitions.values():
            for partition in partitions:
                self._spawn(partition.run())

    async def _retire(self, producer: AIOKafkaProducer) -> None:
        """Ends a producer once everything that it has sent is decided: none of that is sent twice."""
        decisions = [batch.decision for batch, sent in self._on_their_way.items() if sent.producer is producer]
        if decisions:
            await asyncio.wait(decisions)
        await self._end(producer)

    async def _end(self, producer: AIOKafkaProducer) -> None:
        await abandon(producer)
        self._producers.discard(producer)

    def _spawn(self, coroutine: Coroutine[None, None, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (defect := task.exception()):
            # Part of the log stands still: better to refuse all than to lose some.
            self._closed = True
            self._fault = f"It stopped by a defect: {defect!r}"
            asyncio.get_running_loop().call_exception_handler({"message": self._fault, "exception": defect})

    # -- the way of an append ----------------------------------------------------------------------

    def _partition_for(self, topic: str, key: bytes) -> Partition:
        """The partition that any Kafka client chooses for the key; raises LogUnavailable where it cannot be written."""
        partitions = self._open_topic(topic)
        partition = partitions[partition_of(key, len(partitions))]
        self._check_writable(partition)
        return partition

    def _open_topic(self, topic: str) -> Sequence[Partition]:
        if self._producer is None or self._closed:
            raise LogUnavailable(self._fault)
        return self._partitions[topic]

    def _check_writable(self, partition: Partition) -> None:
        overdue = self._overdue()
        if overdue:
            # One broker of several may be away: partitions that another one leads can still be written.
            broker = self._broker_of(partition)
            if any(broker == self._broker_of(each.partition) for each in overdue):
                raise LogUnavailable(f"Writes to broker {broker} were not acknowledged within {LOG_ACK_OVERDUE_MS} ms.")

    def _overdue(self) -> list[_Sent]:
        """What was sent too long ago and is not acknowledged."""
        limit = asyncio.get_running_loop().time() - LOG_ACK_OVERDUE_MS / 1000
        overdue = []
        for sent in self._on_their_way.values():
            if sent.at > limit:
                break
            overdue.append(sent)
        return overdue

    def _broker_of(self, partition: Partition) -> int | None:
        """The broker that leads it, as far as is known."""
        if self._producer is None:
            return None
        broker: int | None = self._producer.client.cluster.leader_for_partition(partition.place)
        return broker

    def _busy_brokers(self) -> set[int | None]:
        since = asyncio.get_running_loop().time() - LOG_HOLD_MS / 1000
        return {sent.broker for sent in self._on_their_way.values() if sent.at > since}


async def _all_written(decisions: Sequence[asyncio.Future[int]]) -> bool:
    await asyncio.wait(decisions)
    return all(decision.exception() is None for decision in decisions)


def _refuse_too_large(events: Sequence[Event], payloads: Sequence[bytes], key_bytes: int) -> None:
    """Raises InvalidInput naming the events that alone are too large; several together may go into several batches."""
    faults = [
        Fault(f"{type(event).__name__} {event.id}", f"{len(payload)} bytes; an event has at most {EVENT_MAX_BYTES}")
        for event, payload in zip(events, payloads, strict=True)
        if len(payload) + key_bytes > EVENT_MAX_BYTES
    ]
    if faults:
        raise InvalidInput(faults)
