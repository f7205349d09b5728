"""A bidder's limit of calls, on a real Redis and without one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from commands.quota import Quota
from commands.quota_share import QuotaShare
from commands.redis_pipeline import RedisPipeline
from domain.names import Names
from tests.commands.auction_scenario import closed_port

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
NO_RETRY = Retry(NoBackoff(), 0)


def quota_on(redis: Redis, names: Names, processes: int = 1) -> Quota:
    return Quota(
        RedisPipeline(redis, timeout_s=5.0),
        names,
        is_unlimited=lambda _: False,
        address_key=lambda: b"a key",
        processes=processes,
    )


async def allowed(quota: Quota, limit: int, calls: int, second: int = 0) -> int:
    now = NOON + timedelta(seconds=second)
    return sum([await quota.allows_call("bidder", limit, now) for _ in range(calls)])


@pytest.fixture
async def away() -> AsyncIterator[Redis]:
    async with Redis(port=await closed_port(), retry=NO_RETRY) as redis:
        yield redis


async def test_all_processes_share_one_limit(redis_url: str, names: Names) -> None:
    """Two processes together call no more often than the bidder allows, and as often again in the next second."""
    async with Redis.from_url(redis_url) as redis:
        one, other = quota_on(redis, names), quota_on(redis, names)
        for second in (0, 1):
            assert await allowed(one, 10, 7, second) + await allowed(other, 10, 7, second) == 10


async def test_without_redis_a_process_keeps_to_an_even_share(away: Redis, names: Names) -> None:
    """Of four processes that never could count together, each takes a quarter, in each second."""
    quota = quota_on(away, names, processes=4)
    assert [await allowed(quota, 20, 30, second) for second in range(3)] == [5, 5, 5]


async def test_one_call_a_second_is_always_left(away: Redis, names: Names) -> None:
    """A limit below the number of processes does not end a bidder's traffic."""
    assert await allowed(quota_on(away, names, processes=4), 2, 10) == 1


async def test_a_redis_that_hangs_costs_a_moment(names: Names) -> None:
    """Redis that takes connections and stays silent does not take the bidder's time: the share decides."""
    silent: list[asyncio.StreamWriter] = []
    server = await asyncio.start_server(lambda _, writer: silent.append(writer), "127.0.0.1", 0)
    async with Redis(port=server.sockets[0].getsockname()[1], retry=NO_RETRY) as redis:
        quota = quota_on(redis, names, processes=2)
        async with asyncio.timeout(2):
            assert await allowed(quota, 4, 6) == 2
    server.close()
    for writer in silent:
        writer.close()
        await writer.wait_closed()


def test_a_share_is_learnt_from_what_was_counted_together() -> None:
    """A process that made a fifth of the calls keeps to about a fifth of the limit when it is alone."""
    share = QuotaShare(processes=2)
    for second in range(20):
        for call in range(1, 11):
            share.counted(second, call * 5)
    assert 190 <= sum(share.allows(20, 1_000) for _ in range(1_000)) <= 210
