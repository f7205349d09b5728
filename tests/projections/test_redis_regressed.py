"""A Redis that comes back with an older memory: its offsets are as old as its data, so the log brings both forward."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

import msgspec
import pytest
from redis.asyncio import Redis

from domain.events import ImpressionRecorded
from gavel.embedded import EmbeddedServers
from gavel.settings import Settings
from tests.projections.budget_story import award, met
from tests.projections.conftest import ReadSide, eventually, opened
from tests.projections.test_budgets import settled, until
from tests.projections.test_catalogue import cached, change
from tests.projections.traffic import Traffic


class Regressing(NamedTuple):
    """A Redis of its own, whose memory can be kept and put back."""

    servers: EmbeddedServers
    home: Path
    client: Redis
    """The test's own: its connections end with each life of the server."""

    @property
    def _kept(self) -> Path:
        return self.home.with_name("kept")

    async def keep(self) -> None:
        async with self._down():
            shutil.copytree(self.home, self._kept)

    async def put_back(self) -> None:
        async with self._down():
            shutil.rmtree(self.home)
            shutil.copytree(self._kept, self.home)

    @asynccontextmanager
    async def _down(self) -> AsyncIterator[None]:
        await self.servers.take_down("redis")
        yield
        await self.servers.bring_back("redis")
        await self.client.connection_pool.disconnect()


@asynccontextmanager
async def regressing(read_side: ReadSide, data: Path) -> AsyncIterator[tuple[ReadSide, Regressing]]:
    servers = EmbeddedServers(Settings(data=data), only={"redis"})
    async with servers as urls:
        assert urls.redis_url is not None
        async with opened(msgspec.structs.replace(read_side.addresses, redis_url=urls.redis_url)) as other:
            yield other, Regressing(servers, data / "redis", other.redis)


@pytest.fixture
def data(data_folder: Path, request: pytest.FixtureRequest) -> Path:
    return data_folder / str(request.node.name)


async def test_an_older_catalogue_is_brought_forward(read_side: ReadSide, data: Path) -> None:
    """Under a running projection, and though nothing new is logged."""
    await read_side.log.append([Traffic(1).bidder("b-1", "One"), Traffic(1).bidder("b-2", "Two")])
    async with regressing(read_side, data) as (other, redis), other.running("catalogue_cache"):
        await other.caught_up("catalogue_cache")
        old = await cached(other)
        await redis.keep()
        await read_side.log.append([change("b-1", 2, "Changed"), Traffic(1).bidder("b-3", "Three")])
        await other.caught_up("catalogue_cache")
        new = await cached(other)
        assert old == {"bidder:b-1": (1, "active", "One"), "bidder:b-2": (1, "active", "Two")}
        assert new == {
            "bidder:b-1": (2, "active", "Changed"),
            "bidder:b-2": (1, "active", "Two"),
            "bidder:b-3": (1, "active", "Three"),
        }
        await redis.put_back()

        async def is_forward() -> bool:
            return await cached(other) == new

        await eventually(is_forward)


async def test_older_budgets_are_brought_forward(read_side: ReadSide, data: Path) -> None:
    """Nobody reserves by the older accounts, which have forgotten money that was spent and room that was taken."""
    seen, unseen = award(100), award(20)
    await read_side.log.append([seen])
    async with regressing(read_side, data) as (other, redis), settled(other) as budgets:
        await until(budgets, lambda state: state.reserved_nanos == 100)
        await redis.keep()
        await read_side.log.append([met(ImpressionRecorded, seen), unseen])
        before = await until(budgets, lambda state: (state.spent_nanos, state.reserved_nanos) == (100, 20))
        await redis.put_back()
        assert await until(budgets, lambda _: True) == before
