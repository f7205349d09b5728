"""Death in the middle of a script of Redis: after the offsets have moved, before the data is written.

The script is the product's, with a long loop put between the two in the worker's copy.
"""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
from redis.asyncio import Redis
from redis.exceptions import RedisError, ResponseError

from gavel.embedded import EmbeddedServers
from gavel.settings import Settings
from tests.points.conftest import Workers
from tests.points.story import Story, check_budgets
from tests.projections.conftest import ReadSide, eventually, opened

BUSY_MS = 50
"""From when on Redis tells others that it is in the middle of a script."""


@pytest.fixture
async def own_redis(read_side: ReadSide, data_folder: Path) -> AsyncIterator[tuple[ReadSide, EmbeddedServers]]:
    """The read side on a Redis that nobody else uses, which is started again when it dies."""
    servers = EmbeddedServers(Settings(data=data_folder / "mid-script"), only={"redis"})
    async with servers as urls:
        assert urls.redis_url is not None
        async with opened(msgspec.structs.replace(read_side.addresses, redis_url=urls.redis_url)) as other:
            yield other, servers


async def is_in_a_script(redis: Redis) -> bool:
    try:
        await redis.ping()
    except ResponseError as told:
        return str(told).startswith("BUSY")
    except RedisError:
        return False
    return False


@pytest.mark.parametrize("dies", ["redis", "the worker"])
async def test_in_the_middle_of_a_script(
    own_redis: tuple[ReadSide, EmbeddedServers], workers: Workers, dies: str
) -> None:
    """All of the script is there afterwards or nothing, and the rest of the log follows."""
    read_side, servers = own_redis
    await read_side.redis.config_set("busy-reply-threshold", BUSY_MS)
    story = Story(read_side)
    await story.goes_on(auctions=10)
    worker = await workers.started(read_side.addresses, ["budgets"], is_slow_in_scripts=True)
    await eventually(lambda: is_in_a_script(read_side.redis))
    if dies == "redis":
        # First the worker: one that lives would tell the script to the new Redis.
        os.kill(worker, signal.SIGKILL)
        os.kill(servers.pids["redis"], signal.SIGKILL)
    else:
        os.kill(worker, signal.SIGKILL)
    await workers.ended()
    await story.goes_on(auctions=10)
    await read_side.run_to_the_end("budgets")
    await check_budgets(read_side)
