"""A running read side for each test that asks for one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import asyncpg
import pytest
from redis.asyncio import Redis
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from domain.names import Names
from projections.connections import sqlalchemy_url
from projections.queries.progress import projection_status
from projections.redis_client import redis_client
from projections.run import run_projectors
from projections.servers import Addresses
from projections.watermarks import Watermarks
from tests.projections.traffic import Log

CAUGHT_UP_S = 120.0
LOOK_S = 0.05


class ReadSide:
    """What a test needs of one installation."""

    def __init__(self, addresses: Addresses, db: AsyncEngine, watermarks: Watermarks, redis: Redis, log: Log) -> None:
        self.addresses = addresses
        self.names = addresses.names
        self.db = db
        self.watermarks = watermarks
        self.redis = redis
        self.log = log

    @asynccontextmanager
    async def running(self, *projections: str) -> AsyncIterator[None]:
        """Projectors of these names, in this process."""
        stop = asyncio.Event()
        task = asyncio.create_task(run_projectors(self.addresses, projections, stop))
        try:
            yield
        finally:
            stop.set()
            await task

    async def caught_up(self, *projections: str) -> None:
        """Waits until each has applied all that is in the log now."""

        async def everything_applied() -> bool:
            statuses = await projection_status(self.db, self.watermarks, names=self.names, redis=self.redis)
            return all(status.lag == 0 for status in statuses if status.name in projections)

        await eventually(everything_applied)

    async def run_to_the_end(self, *projections: str) -> None:
        """Starts projectors, and stops them when they have applied all that is in the log now."""
        async with self.running(*projections):
            await self.caught_up(*projections)

    async def fetch(self, query: str, *arguments: object) -> list[asyncpg.Record]:
        connection = await asyncpg.connect(self.addresses.postgres_url)
        try:
            return await connection.fetch(query, *arguments)
        finally:
            await connection.close()

    async def applied(self, projection: str) -> int:
        """Records that the projection has applied, over all its partitions."""
        query = (
            "SELECT coalesce(sum(next_offset), 0) FROM projection_offsets JOIN projections USING (projection) "
            "WHERE projection = $1 AND generation = active_generation"
        )
        return int((await self.fetch(query, projection))[0][0])


async def eventually(condition: Callable[[], Awaitable[bool]]) -> None:
    """Polls until the condition holds."""
    async with asyncio.timeout(CAUGHT_UP_S):
        while not await condition():  # noqa: ASYNC110 - what is waited for happens in other processes
            await asyncio.sleep(LOOK_S)


@pytest.fixture
async def read_side(kafka_url: str, database: str, redis_url: str, names: Names) -> AsyncIterator[ReadSide]:
    """Fresh topics, a fresh database, and names in Redis of its own."""
    addresses = Addresses(kafka_url=kafka_url, postgres_url=database, redis_url=redis_url, names=names)
    async with opened(addresses) as read_side:
        yield read_side


@asynccontextmanager
async def opened(addresses: Addresses) -> AsyncIterator[ReadSide]:
    """The read side at these addresses."""
    db = create_async_engine(sqlalchemy_url(addresses.postgres_url))
    redis = redis_client(addresses.redis_url)
    kafka_url = addresses.kafka_url
    async with Watermarks(kafka_url, client_id="test") as watermarks, Log(kafka_url, addresses.names) as log:
        yield ReadSide(addresses, db, watermarks, redis, log)
    await redis.aclose()
    await db.dispose()
