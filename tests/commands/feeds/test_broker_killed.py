"""An upload while its broker dies: it waits, and goes on where it was."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from redis.asyncio import Redis

from commands.feeds.load_feed import LoadFeed
from commands.kafka_log import KafkaLog
from domain.names import Names
from tests.commands.conftest import OwnBroker
from tests.commands.feeds.test_uploads import Desk, ndjson

LINES = 30_000
PIECE = 64 * 1024


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
