"""The lean consumer gives what an ordinary one gives."""

from __future__ import annotations

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from projections import lean_fetch
from projections.connections import kafka_options
from projections.lean_fetch import LeanConsumer, NotAsExpected
from projections.watermarks import Watermarks
from tests.projections.conftest import ReadSide
from tests.projections.traffic import Traffic

AT_ONCE = 37
"""Records of a call: fewer than there are in a batch of the log, so that calls end and begin in the middle of one."""
FIRST_OFFSET = 5


async def test_the_same_records_and_positions(read_side: ReadSide) -> None:
    """From the middle of a batch on, call by call, to the end: offsets, keys, values, times, and where it stands."""
    await read_side.log.append_traffic(Traffic(11), 60)
    partitions = await ends(read_side)
    assert len(partitions) > 1
    assert await read(AIOKafkaConsumer, read_side, partitions) == await read(LeanConsumer, read_side, partitions)


async def test_what_it_cannot_do_is_told_at_the_start(read_side: ReadSide, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another aiokafka inside, or an option that would be passed over: not a record is read."""
    await refused(
        LeanConsumer(**kafka_options(read_side.addresses.kafka_url, "test"), isolation_level="read_committed")
    )
    monkeypatch.setattr(lean_fetch, "PartitionRecords", lambda *_: object())
    await refused(LeanConsumer(**kafka_options(read_side.addresses.kafka_url, "test")))


async def refused(consumer: LeanConsumer) -> None:
    """It does not start."""
    with pytest.raises(NotAsExpected):
        await consumer.start()
    await consumer.stop()


async def ends(read_side: ReadSide) -> dict[TopicPartition, int]:
    """Of the partitions of auctions that hold enough."""
    async with Watermarks(read_side.addresses.kafka_url, client_id="test") as watermarks:
        high = await watermarks.high([read_side.names.auctions])
    return {tp: end for tp, end in high.items() if end > FIRST_OFFSET}


async def read(
    kind: type[AIOKafkaConsumer], read_side: ReadSide, partitions: dict[TopicPartition, int]
) -> list[tuple[object, ...]]:
    """All records of each partition in turn, with the position after every call."""
    found: list[tuple[object, ...]] = []
    consumer = kind(**kafka_options(read_side.addresses.kafka_url, "test"), auto_offset_reset="none")
    async with consumer:
        consumer.assign(list(partitions))
        for tp in partitions:
            consumer.seek(tp, FIRST_OFFSET)
        for tp, end in sorted(partitions.items()):
            while await consumer.position(tp) < end:
                for records in (await consumer.getmany(tp, timeout_ms=500, max_records=AT_ONCE)).values():
                    found.extend((each.topic, each.partition, each.offset, each.key, each.value) for each in records)
                    found.append((records[-1].timestamp, await consumer.position(tp)))
    return found
