"""What stands in a topic, read with a plain consumer that knows nothing of the code under test."""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec
from aiokafka import AIOKafkaConsumer, TopicPartition


class Logged(NamedTuple):
    """One record."""

    partition: int
    offset: int
    key: str
    event: dict[str, Any]


async def read_topic(kafka_url: str, topic: str) -> list[Logged]:
    """All records up to the end that the topic has now; each partition's in order."""
    consumer = AIOKafkaConsumer(bootstrap_servers=kafka_url, enable_auto_commit=False, auto_offset_reset="earliest")
    await consumer.start()
    try:
        partitions = [TopicPartition(topic, number) for number in sorted(await _partitions(consumer, topic))]
        consumer.assign(partitions)
        await consumer.seek_to_beginning(*partitions)
        ends = await consumer.end_offsets(partitions)
        logged: list[Logged] = []
        while [partition for partition, end in ends.items() if await consumer.position(partition) < end]:
            for records in (await consumer.getmany(timeout_ms=500)).values():
                for record in records:
                    event = msgspec.json.decode(record.value, type=dict[str, Any])
                    logged.append(Logged(record.partition, record.offset, record.key.decode(), event))
    finally:
        await consumer.stop()
    return logged


async def _partitions(consumer: AIOKafkaConsumer, topic: str) -> set[int]:
    metadata = await consumer._client.fetch_all_metadata()
    partitions: set[int] = metadata.partitions_for_topic(topic)
    return partitions
