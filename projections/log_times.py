"""When records were logged: how old what a projection has not applied yet is, in seconds."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection, Mapping
from typing import Self

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError, OffsetOutOfRangeError

from projections.connections import kafka_options
from projections.kafka_consumer import KafkaConsumer

ANSWER_TIMEOUT_S = 2.0
POLL_MS = 100
FETCH_MAX_BYTES = 64 * 1024
"""Of one partition: one record of it is looked at."""

Position = tuple[TopicPartition, int]


class LogTimes:
    """Reads single records for the time at which they were logged.

    Connects at the first question, so it can be made while Kafka is away. Close it in the end.
    """

    def __init__(self, kafka_url: str, *, client_id: str) -> None:
        self._options = kafka_options(kafka_url, client_id)
        self._consumer: KafkaConsumer | None = None
        self._one_at_a_time = asyncio.Lock()
        self._known: dict[Position, float] = {}
        """A record keeps its time: who stands still is not asked about twice."""

    def __repr__(self) -> str:
        return f"LogTimes({self._options['bootstrap_servers']})"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            await consumer.stop()

    async def at(self, positions: Collection[Position]) -> Mapping[Position, float]:
        """When the first records at or after these positions were logged, in seconds since 1970.

        Those are missing of which Kafka does not tell in time.
        """
        async with self._one_at_a_time:
            self._known = {each: self._known[each] for each in positions if each in self._known}
            missing = set(positions) - self._known.keys()
            try:
                if missing:
                    await self._read(missing)
            except (KafkaError, OSError, TimeoutError):
                await self.close()
            return dict(self._known)

    async def _read(self, missing: set[Position]) -> None:
        async with asyncio.timeout(ANSWER_TIMEOUT_S):
            consumer = await self._connected()
            while missing:
                # A partition is read in one place at a time.
                asked = dict(sorted(missing))
                missing -= set(asked.items())
                consumer.assign(list(asked))
                for tp, offset in asked.items():
                    consumer.seek(tp, offset)
                await self._first_records(consumer, asked)
            consumer.assign([])

    async def _first_records(self, consumer: KafkaConsumer, asked: dict[TopicPartition, int]) -> None:
        while asked:
            try:
                fetched = await consumer.getmany(*asked, timeout_ms=POLL_MS)
            except OffsetOutOfRangeError as gone:
                for tp in gone.args[0]:
                    asked.pop(tp, None)
                continue
            for tp, records in fetched.items():
                if records:
                    self._known[tp, asked.pop(tp)] = records[0].timestamp / 1_000

    async def _connected(self) -> KafkaConsumer:
        if self._consumer is None:
            consumer = KafkaConsumer(
                **self._options,
                group_id=None,
                enable_auto_commit=False,
                auto_offset_reset="none",
                fetch_max_bytes=FETCH_MAX_BYTES,
                max_partition_fetch_bytes=FETCH_MAX_BYTES,
            )
            try:
                await consumer.start()
            except BaseException:
                await consumer.stop()
                raise
            self._consumer = consumer
        return self._consumer


def seconds_since(logged_at_s: float) -> float:
    """How long ago that was; never less than nothing, whatever clocks say."""
    return max(0.0, time.time() - logged_at_s)
