"""An upload and a follower while their broker dies: they wait, and go on where they were."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from redis.asyncio import Redis

from commands.feeds.follow_connector import Told
from commands.feeds.load_feed import LoadFeed
from commands.kafka_log import KafkaLog
from domain.feeds.debezium import Columns
from domain.names import Names
from gavel.catalogue_desk import catalogue_desk
from gavel.feed_following import Connector, follow_connector
from gavel.settings import Settings
from tests.commands.conftest import OwnBroker
from tests.commands.feeds.test_uploads import Desk, ndjson
from tests.commands.topic_content import read_topic

LINES = 30_000
PIECE = 64 * 1024
MESSAGES = 3_000
FOLLOWED_WITHIN_S = 120


async def test_a_broker_killed_under_a_load(own_broker: OwnBroker, own_names: Names, redis_url: str) -> None:
    """Every record stands in the log once and in order, between the marks of its load."""
    log = KafkaLog(own_broker.url, [own_names.feeds_bulk, own_names.feeds_changes])
    await log.start()
    redis = Redis.from_url(redis_url)
    try:
        desk = Desk(log, redis, own_names, own_broker.url)
        content = ndjson(map(str, range(LINES)))

        async def chunks() -> AsyncIterator[bytes]:
            for at in range(0, len(content), PIECE):
                if at // PIECE == 6:
                    own_broker.kill()
                await asyncio.sleep(0)
                yield content[at : at + PIECE]

        load: LoadFeed = desk.load
        received = await load(desk.bulk(b"")._replace(chunks=chunks()))
        assert (received.received, received.rejected) == (LINES, 0)
        opened, *records, end = await desk.bulk_log()
        assert [each["key"] for each in records] == [str(number) for number in range(LINES)]
        assert (opened["type"], end["type"], end["records"]) == ("feed_load_opened", "feed_load_received", LINES)
    finally:
        await redis.aclose()
        await log.close()


async def test_a_broker_killed_under_a_follower(
    own_broker: OwnBroker, own_names: Names, redis_url: str, postgres_url: str, tmp_path: Path
) -> None:
    """Every message's change is in the log, first told in order; what is told twice has the same place, and no more."""
    settings = Settings(
        data=tmp_path,
        namespace=own_names.namespace,
        kafka_url=own_broker.url,
        redis_url=redis_url,
        postgres_url=postgres_url,
    )
    async with catalogue_desk(settings, client_id="test") as desk:
        await desk.change.register("feed_client", b'{"name": "shop"}', command_id="register")
    topic = f"{own_names.namespace}.people"
    await told_by_a_connector(own_broker.url, topic)
    told = 0

    def note(batch: Told) -> None:
        nonlocal told
        if told == 0 < batch.messages:
            own_broker.kill()
        told += batch.messages

    connector = Connector(
        topic=topic, client="shop", bootstrap=None, group=None, columns=Columns("id"), until_caught_up=True
    )
    async with asyncio.timeout(FOLLOWED_WITHIN_S):
        await follow_connector(settings, connector, note)
    assert told >= MESSAGES
    logged = await read_topic(own_broker.url, own_names.feeds_changes)
    places = Counter(each.event["source"]["place"] for each in logged)
    assert list(places) == list(range(MESSAGES))
    assert {each.event["source"]["name"] for each in logged} == {logged[0].event["source"]["name"]}
    assert [each.event["key"] for each in logged] == [str(each.event["source"]["place"]) for each in logged]


async def told_by_a_connector(kafka_url: str, topic: str) -> None:
    """Rows that were inserted, their ids in the order of the topic, which has one partition."""
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka_url)
    await admin.start()
    await admin.create_topics([NewTopic(topic, num_partitions=1, replication_factor=1)])
    await admin.close()
    producer = AIOKafkaProducer(bootstrap_servers=kafka_url)
    await producer.start()
    for number in range(MESSAGES):
        envelope = {"op": "c", "before": None, "after": {"id": number}}
        await producer.send(topic, msgspec.json.encode(envelope))
    await producer.stop()
