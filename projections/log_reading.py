"""The log, read as it stands: from chosen offsets to where it ended when it was asked, by a consumer of no group."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError
from aiokafka.partitioner import DefaultPartitioner

from domain.errors import LogUnavailable
from projections.batch import Record
from projections.connections import kafka_options
from projections.kafka_consumer import KafkaConsumer
from projections.watermarks import Ends, Watermarks

POLL_MS = 500
SILENCE_MAX_S = 30.0
"""A broker that says nothing for so long, although there is more to read, is away."""
FETCH_MAX_BYTES = 2 * 1024 * 1024


async def ends_of(kafka_url: str, topic: str, *, client_id: str) -> Mapping[TopicPartition, Ends]:
    """Both ends of every partition. Raises LogUnavailable."""
    async with Watermarks(kafka_url, client_id=client_id) as watermarks:
        return await watermarks.ends([topic])


def partition_of(key: bytes, topic: str, ends: Mapping[TopicPartition, Ends]) -> TopicPartition:
    """Where a key's records stand."""
    numbers = sorted(tp.partition for tp in ends)
    return TopicPartition(topic, DefaultPartitioner()(key, numbers, numbers))


@asynccontextmanager
async def reading(
    kafka_url: str, starts: Mapping[TopicPartition, int], *, client_id: str
) -> AsyncIterator[KafkaConsumer]:
    """A consumer that stands at these offsets. Raises LogUnavailable."""
    consumer = KafkaConsumer(
        **kafka_options(kafka_url, client_id),
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


async def until(consumer: KafkaConsumer, ends: Mapping[TopicPartition, Ends]) -> AsyncIterator[Sequence[Record]]:
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
