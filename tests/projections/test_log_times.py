"""When records were logged, as one who asks for single ones is told."""

from __future__ import annotations

from aiokafka import AIOKafkaConsumer, TopicPartition

from projections.connections import kafka_options
from projections.log_times import LogTimes
from tests.projections.conftest import ReadSide, eventually
from tests.projections.traffic import Traffic


async def times_in_the_log(read_side: ReadSide) -> dict[tuple[TopicPartition, int], float]:
    """Of every auction's events, read one after the other."""
    topic = read_side.names.auctions
    ends = await read_side.watermarks.high([topic])
    found: dict[tuple[TopicPartition, int], float] = {}
    consumer = AIOKafkaConsumer(
        topic, **kafka_options(read_side.addresses.kafka_url, "test"), auto_offset_reset="earliest", group_id=None
    )
    async with consumer:
        while len(found) < sum(ends.values()):
            record = await consumer.getone()
            tp = TopicPartition(record.topic, record.partition)
            found[tp, record.offset] = record.timestamp / 1_000
    return found


async def test_single_records_of_several_places(read_side: ReadSide) -> None:
    """Several of one partition and of all partitions; what the log does not have is left out and delays nothing."""
    await read_side.log.append_traffic(Traffic(1), 20)
    logged = await times_in_the_log(read_side)
    wanted = {at: logged[at] for at in sorted(logged) if at[1] % 5 == 0}
    assert len({tp for tp, _ in wanted}) > 1
    tp, _ = max(wanted)
    async with LogTimes(read_side.addresses.kafka_url, client_id="test") as times:

        async def all_are_told() -> bool:
            told = await times.at([*wanted, (tp, 1_000_000)])
            assert told.items() <= wanted.items()
            return told == wanted

        # On a busy machine it may give up before the last one, and goes on there when it is asked again.
        await eventually(all_are_told)


async def test_kafka_away() -> None:
    """Nothing is known then, and nobody waits for long."""
    async with LogTimes("127.0.0.1:1", client_id="test") as times:
        assert await times.at([(TopicPartition("gavel.auctions", 0), 0)]) == {}
