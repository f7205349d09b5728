"""What every other test relies on: real servers, a namespace and a database of its own."""

from __future__ import annotations

import asyncpg
from aiokafka import AIOKafkaProducer
from redis.asyncio import Redis

from domain.names import Names
from gavel.topics import describe_topics


async def test_a_namespace_has_its_topics(kafka_url: str, names: Names) -> None:
    """Every topic of a test exists, with leaders, and takes a record acknowledged by all replicas."""
    topics = await describe_topics(kafka_url, names)
    assert set(topics) == set(names.topics)
    assert all(topic.has_leaders for topic in topics.values())
    async with AIOKafkaProducer(bootstrap_servers=kafka_url, acks="all", enable_idempotence=True) as producer:
        written = await producer.send_and_wait(names.auctions, b"{}", key=b"a")
    assert written.offset == 0


async def test_a_database_is_fresh_and_migrated(database: str) -> None:
    """Each test's database has the migrations' version table and no other test's rows."""
    connection = await asyncpg.connect(database)
    try:
        assert await connection.fetchval("SELECT count(*) FROM alembic_version") == 1
    finally:
        await connection.close()


async def test_redis_answers(redis_url: str, names: Names) -> None:
    """A key of this test's namespace can be written and read."""
    async with Redis.from_url(redis_url) as redis:
        await redis.set(names.live_channel, "1")
        assert await redis.get(names.live_channel) == b"1"
