"""A broker that these tests may stop, suspend and kill."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from domain.names import Names
from gavel import settings
from gavel.embedded import EmbeddedServers
from gavel.topics import ensure_topics
from tests.commands.sample_events import fresh_id

KAFKA = "kafka-1"
PARTITIONS = 3


class OwnBroker:
    """One real broker; killed, it is started again by its supervisor."""

    def __init__(self, servers: EmbeddedServers, url: str) -> None:
        self._servers = servers
        self.url = url

    def suspend(self) -> None:
        os.kill(self._servers.pids[KAFKA], signal.SIGSTOP)

    def resume(self) -> None:
        os.kill(self._servers.pids[KAFKA], signal.SIGCONT)

    def kill(self) -> None:
        os.kill(self._servers.pids[KAFKA], signal.SIGKILL)

    async def take_down(self) -> None:
        await self._servers.take_down(KAFKA)

    async def bring_back(self) -> None:
        await self._servers.bring_back(KAFKA)


@pytest.fixture(scope="package")
async def own_broker(data_folder: Path) -> AsyncIterator[OwnBroker]:
    folder = data_folder / "own-broker"
    own = msgspec.structs.replace(settings.load(data=folder), kafka_url=None, brokers=1)
    servers = EmbeddedServers(own, only={"kafka"})
    async with servers as urls:
        assert urls.kafka_url is not None
        yield OwnBroker(servers, urls.kafka_url)


@pytest.fixture
async def own_names(own_broker: OwnBroker) -> Names:
    """A namespace of its own on that broker."""
    names = Names(f"t{fresh_id()[-12:]}")
    await ensure_topics(own_broker.url, names, PARTITIONS)
    return names
