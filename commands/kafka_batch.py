"""Events on their way into one partition: gathered into a batch, sent one batch at a time.

While a batch is on its way the next one fills, so batches grow by themselves as the load grows.
One batch at a time keeps the order, also when a send is retried.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Protocol

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError
from aiokafka.producer.message_accumulator import BatchBuilder

from commands.kafka_departures import Departures
from domain.errors import LogUnavailable
from domain.limits import LOG_ACK_TIMEOUT_MS, LOG_BATCH_MAX_BYTES

RECORD_OVERHEAD_MAX_BYTES = 32
"""Lengths, offset and timestamp deltas of one record, generously."""


class Overdue(Exception):
    """The acknowledgement did not come in time."""


class Batch:
    """Records of one partition that are written together or not at all."""

    __slots__ = ("_builder", "_loop", "_timer", "_waiters", "decision", "events", "size_bytes")

    def __init__(self, builder: BatchBuilder) -> None:
        self._builder = builder
        self._loop = asyncio.get_running_loop()
        self._waiters: list[asyncio.Future[int]] = []
        self._timer = self._loop.call_later(LOG_ACK_TIMEOUT_MS / 1000, self._expire)
        self.decision: asyncio.Future[int] = self._loop.create_future()
        """The first record's offset (-1: written, but the broker no longer knows where), or LogUnavailable."""
        self.events = 0
        self.size_bytes = 0
        """Of keys and payloads."""

    def __repr__(self) -> str:
        return f"Batch({self.events} events, {self.size_bytes} bytes, decided={self.decision.done()})"

    @property
    def builder(self) -> BatchBuilder:
        return self._builder

    def has_room(self, needed_bytes: int) -> bool:
        return self.events == 0 or self._builder.size() + needed_bytes <= LOG_BATCH_MAX_BYTES

    def add(self, key: bytes, payload: bytes) -> bool:
        """False when it is full."""
        if self._builder.append(timestamp=None, key=key, value=payload) is None:
            return False
        self.events += 1
        self.size_bytes += len(key) + len(payload)
        return True

    def acknowledgement(self) -> asyncio.Future[int]:
        """The first record's offset; raises Overdue after LOG_ACK_TIMEOUT_MS, LogUnavailable if it is refused.

        A future of the caller's own, so that one caller's cancellation is nobody else's.
        """
        if self.decision.done():
            return self.decision
        waiter: asyncio.Future[int] = self._loop.create_future()
        if self._timer.cancelled() or self._timer.when() <= self._loop.time():
            waiter.set_exception(Overdue())
        else:
            self._waiters.append(waiter)
        return waiter

    def written(self, base_offset: int) -> None:
        """All replicas have it."""
        self._timer.cancel()
        self.decision.set_result(base_offset)
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(base_offset)
        self._waiters.clear()

    def refused(self, reason: str) -> None:
        """It was not written, or nobody will ever know."""
        self._timer.cancel()
        self.decision.set_exception(LogUnavailable(reason))
        self.decision.exception()  # waiters are told themselves; nobody else has to look
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_exception(LogUnavailable(reason))
        self._waiters.clear()

    def _expire(self) -> None:
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_exception(Overdue())
        self._waiters.clear()


class BatchOwner(Protocol):
    """What a partition needs of its log."""

    departures: Departures[Partition]

    async def producer(self) -> AIOKafkaProducer:
        """The one in use, once there is one."""
        ...

    def new_batch(self) -> Batch: ...

    def sent(self, batch: Batch, partition: Partition, producer: AIOKafkaProducer) -> None: ...

    def decided(self, batch: Batch) -> None: ...

    def broken(self, producer: AIOKafkaProducer, reason: str) -> None:
        """A batch failed: what the producer believes about sequence numbers is wrong from now on."""
        ...


class Partition:
    """Fills batches for one partition and sends them, one after the other."""

    def __init__(self, topic: str, number: int, owner: BatchOwner) -> None:
        self.place = TopicPartition(topic, number)
        self._owner = owner
        self._pending: deque[Batch] = deque()
        """The last one is being filled."""
        self._leave: asyncio.Future[None] | None = None
        """Waited for while no batch is on its way."""
        self._asked = False

    def __repr__(self) -> str:
        return f"Partition({self}, {len(self._pending)} batches pending)"

    def __str__(self) -> str:
        return f"{self.place.topic}-{self.place.partition}"

    def add(self, key: bytes, payloads: Sequence[bytes]) -> list[tuple[Batch, int]]:
        """Puts the records, in order, into as few batches as they fit; each batch with its last record's index."""
        needed = sum(map(len, payloads)) + len(payloads) * (len(key) + RECORD_OVERHEAD_MAX_BYTES)
        if not self._pending or not self._pending[-1].has_room(needed):
            self._pending.append(self._owner.new_batch())
        filled: list[tuple[Batch, int]] = []
        batch = self._pending[-1]
        for payload in payloads:
            if not batch.add(key, payload):
                filled.append((batch, batch.events - 1))
                batch = self._owner.new_batch()
                self._pending.append(batch)
                added = batch.add(key, payload)
                assert added, "an empty batch takes any record that is not too large"
        filled.append((batch, batch.events - 1))
        if self._leave is not None and not self._asked:
            self._asked = True
            self._owner.departures.after_linger(self)
        return filled

    def flush(self) -> None:
        """The next batch may leave."""
        if self._leave is not None and not self._leave.done():
            self._leave.set_result(None)

    async def run(self) -> None:
        """Sends batches until cancelled."""
        while True:
            self._leave = asyncio.get_running_loop().create_future()
            # Once for each batch: a second request would let the one after it leave before it is there.
            self._asked = bool(self._pending)
            if self._asked:
                self._owner.departures.at_once(self)
            await self._leave
            self._leave = None
            await self._deliver(await self._owner.producer())

    async def _deliver(self, producer: AIOKafkaProducer) -> None:
        batch = self._pending.popleft()
        batch.builder.close()
        self._owner.sent(batch, self, producer)
        try:
            delivery = await producer.send_batch(batch.builder, self.place.topic, partition=self.place.partition)
            metadata = await delivery
        except (KafkaError, AssertionError) as error:  # aiokafka asserts that the partition exists
            reason = f"{self}: {error!r}"
            batch.refused(reason)
            self._owner.broken(producer, reason)
        else:
            batch.written(metadata.offset)
        self._owner.decided(batch)
