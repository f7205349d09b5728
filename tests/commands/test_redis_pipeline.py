"""Shared round trips: every caller gets its own answer, and a Redis that is away costs nobody time."""

from __future__ import annotations

import asyncio
import socket
import uuid
from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ResponseError

from commands import redis_pipeline
from commands.redis_pipeline import RedisAway, RedisPipeline, Script
from domain.names import Names


@pytest.fixture
def names() -> Names:
    """Keys of its own; no topics are needed here."""
    return Names(f"t{uuid.uuid4().hex[:12]}")


@pytest.fixture
async def pipeline(redis_url: str) -> AsyncIterator[RedisPipeline]:
    async with Redis.from_url(redis_url) as redis:
        pipeline = RedisPipeline(redis, timeout_s=1.0)
        yield pipeline
        await pipeline.close()


async def test_every_caller_gets_its_own_answer(pipeline: RedisPipeline, names: Names) -> None:
    """Five hundred concurrent calls are answered in their order, however they were put together."""
    key = f"{names.namespace}:counter"
    answers = await asyncio.gather(*(pipeline.call("INCR", key) for _ in range(500)))
    assert answers == list(range(1, 501))


async def test_an_error_is_its_callers_alone(pipeline: RedisPipeline, names: Names) -> None:
    """A command that Redis refuses does not disturb those beside it."""
    key = f"{names.namespace}:text"
    before, refused, after = await asyncio.gather(
        pipeline.call("SET", key, "a"), pipeline.call("INCR", key), pipeline.call("GET", key), return_exceptions=True
    )
    assert before
    assert isinstance(refused, ResponseError)
    assert after == b"a"


async def test_a_forgotten_script_is_told_again(pipeline: RedisPipeline, redis_url: str) -> None:
    """After Redis lost its scripts, as in a restart, the call still succeeds."""
    script = Script("return ARGV[1] + #KEYS")
    assert await pipeline.evaluate(script, ("{a}1", "{a}2"), 40) == 42
    async with Redis.from_url(redis_url) as redis:
        await redis.script_flush()
    assert await pipeline.evaluate(script, ("{a}1",), 40) == 41


async def test_a_redis_that_is_away_is_told_at_once() -> None:
    """The first call learns it from the refused connection, those after it without asking."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        async with Redis(port=unused.getsockname()[1], retry=Retry(NoBackoff(), 0)) as redis:
            pipeline = RedisPipeline(redis, timeout_s=0.05)
            for _ in range(3):
                with pytest.raises(RedisAway):
                    await pipeline.call("PING")


async def test_a_silent_redis_costs_no_more_than_the_timeout() -> None:
    """A server that accepts and never answers fails the calls after the client's timeout, and then at once."""

    async def read_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    silent = await asyncio.start_server(read_on, "127.0.0.1", 0)
    async with silent:
        port = silent.sockets[0].getsockname()[1]
        async with Redis(port=port, retry=Retry(NoBackoff(), 0)) as redis:
            pipeline = RedisPipeline(redis, timeout_s=0.05)
            async with asyncio.timeout(5):
                calls = await asyncio.gather(*(pipeline.call("PING") for _ in range(100)), return_exceptions=True)
            assert {type(each) for each in calls} == {RedisAway}


async def test_it_comes_back_by_itself(redis_url: str, names: Names) -> None:
    """After its connection was cut the next call learns it, and later ones are answered over a new one."""
    async with Redis.from_url(redis_url, retry=Retry(NoBackoff(), 0)) as redis:
        pipeline = RedisPipeline(redis, timeout_s=1.0)
        own_id = await pipeline.call("CLIENT", "ID")
        async with Redis.from_url(redis_url) as operator:
            await operator.execute_command("CLIENT", "KILL", "ID", own_id)
        answers = []
        async with asyncio.timeout(10):
            while not answers:
                try:
                    answers.append(await pipeline.call("CLIENT", "ID"))
                except RedisAway:
                    await asyncio.sleep(0.05)
        assert answers[0] != own_id
        await pipeline.close()


async def test_a_defect_leaves_nobody_waiting(pipeline: RedisPipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever called is told that Redis is away, the defect itself is logged, and later calls get their own answers."""
    assert await pipeline.call("ECHO", "before") == b"before"

    async def is_broken(_: object) -> bytes:
        raise ZeroDivisionError

    with monkeypatch.context() as patched:
        patched.setattr(redis_pipeline, "_answer", is_broken)
        async with asyncio.timeout(10):
            with pytest.raises(RedisAway):
                await pipeline.call("ECHO", "during")
    pipeline._away_until = 0.0
    assert await pipeline.call("ECHO", "after") == b"after"
