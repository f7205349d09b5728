"""A consumer ends as it is told to, whatever its fetches are at."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from commands import kafka_consumer as of_commands
from domain.names import Names
from projections import kafka_consumer as of_projections
from projections.connections import kafka_options

CLASSES = (of_projections.KafkaConsumer, of_commands.KafkaConsumer)
ENOUGH_S = 20.0


async def started(consumer_class: Any, kafka_url: str, names: Names) -> Any:
    consumer = consumer_class(names.auctions, **kafka_options(kafka_url, "test"), group_id=None)
    await consumer.start()
    return consumer


@pytest.mark.parametrize("consumer_class", CLASSES)
async def test_stopped_while_a_fetch_waits(consumer_class: Any, kafka_url: str, names: Names) -> None:
    """As it does between two attempts at a broker that refuses: nobody is cancelled, and the connections are closed."""
    consumer = await started(consumer_class, kafka_url, names)
    consumer._fetcher._pending_tasks.add(asyncio.create_task(asyncio.sleep(ENOUGH_S)))
    await consumer.stop()
    assert not any(connection.connected() for connection in consumer._client._conns.values())
    assert consumer._client._sync_task is None


@pytest.mark.parametrize("consumer_class", CLASSES)
async def test_its_user_may_be_cancelled(consumer_class: Any, kafka_url: str, names: Names) -> None:
    """That is no business of the consumer's."""
    consumer = await started(consumer_class, kafka_url, names)

    async def ends_slowly() -> None:
        try:
            await asyncio.sleep(ENOUGH_S)
        finally:
            await asyncio.sleep(ENOUGH_S)

    fetch = asyncio.create_task(ends_slowly())
    await asyncio.sleep(0)
    consumer._fetcher._pending_tasks.add(fetch)
    stopping = asyncio.create_task(consumer.stop())
    await asyncio.sleep(0.05)
    stopping.cancel()
    with pytest.raises(asyncio.CancelledError):
        await stopping
    await consumer._client.close()
