"""How far the log reaches: the ends of all partitions, asked over one connection that stays open."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import NamedTuple, Self

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from domain.errors import LogUnavailable
from projections.connections import kafka_options
from projections.kafka_consumer import KafkaConsumer

ANSWER_TIMEOUT_S = 5.0


class Ends(NamedTuple):
    """The offsets that a partition holds: from `low`, up to but not including `high`."""

    low: int
    high: int


class Watermarks:
    """Asks Kafka for the ends of partitions.

    Connects at the first question, so it can be made while Kafka is away. A question raises LogUnavailable
    when Kafka does not answer in time. Close it in the end.
    """

    def __init__(self, kafka_url: str, *, client_id: str) -> None:
        self._options = kafka_options(kafka_url, client_id)
        self._consumer: KafkaConsumer | None = None
        self._one_at_a_time = asyncio.Lock()

    def __repr__(self) -> str:
        return f"Watermarks({self._options['bootstrap_servers']})"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            await consumer.stop()

    async def high(self, topics: Iterable[str]) -> dict[TopicPartition, int]:
        """The next offset of every partition of the topics."""
        async with self._one_at_a_time:
            return await self._ask(topics, low=False)

    async def ends(self, topics: Iterable[str]) -> dict[TopicPartition, Ends]:
        """Both ends of every partition of the topics."""
        topics = tuple(topics)
        async with self._one_at_a_time:
            low = await self._ask(topics, low=True)
            high = await self._ask(topics, low=False)
        return {tp: Ends(low[tp], high[tp]) for tp in low}

    async def _ask(self, topics: Iterable[str], *, low: bool) -> dict[TopicPartition, int]:
        try:
            async with asyncio.timeout(ANSWER_TIMEOUT_S):
                consumer = await self._connected()
                partitions = [tp for topic in topics for tp in await _partitions(consumer, topic)]
                ask = consumer.beginning_offsets if low else consumer.end_offsets
                return dict(await ask(partitions))
        except (KafkaError, OSError, TimeoutError) as error:
            await self.close()
            raise LogUnavailable(f"Kafka does not say how far the log reaches: {error!r}") from error

    async def _connected(self) -> KafkaConsumer:
        if self._consumer is None:
            # Without a group or a topic it fetches nothing: it only asks.
            consumer = KafkaConsumer(**self._options, group_id=None, enable_auto_commit=False)
            try:
                await consumer.start()
            except BaseException:
                await consumer.stop()
                raise
            self._consumer = consumer
        return self._consumer


async def _partitions(consumer: KafkaConsumer, topic: str) -> list[TopicPartition]:
    numbers = consumer.partitions_for_topic(topic)
    if not numbers:
        # The question about the partition that every topic has makes the client learn of the others.
        await consumer.end_offsets([TopicPartition(topic, 0)])
        numbers = consumer.partitions_for_topic(topic)
    return [TopicPartition(topic, number) for number in sorted(numbers)]
