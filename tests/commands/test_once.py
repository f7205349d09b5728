"""Commands with a key on a real Redis: carried out once, answered the same, refused while nobody can know."""

from __future__ import annotations

import asyncio
import socket
import uuid
from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.utils import str_if_bytes

from commands.once import Once
from commands.ports import AppendUndecided
from commands.redis_pipeline import RedisPipeline
from domain.errors import Conflict, KeyReused, LogUnavailable, StillRunning, Unavailable
from domain.limits import IDEMPOTENCY_SECONDS
from domain.names import Names
from gavel.process_clock import fresh_id
from tests.commands.eventually import eventually


class Work:
    """What a command does, as far as `Once` can tell: it counts its runs and remembers the ids it ran under."""

    def __init__(self) -> None:
        self.ids: list[str] = []
        self.may_end = asyncio.Event()
        self.may_end.set()
        self.raises: Exception | None = None

    async def __call__(self, command_id: str) -> bytes:
        self.ids.append(command_id)
        await self.may_end.wait()
        if self.raises:
            raise self.raises
        return b"answer %d" % len(self.ids)


@pytest.fixture
def names() -> Names:
    """Keys of its own; no topics are needed here."""
    return Names(f"t{uuid.uuid4().hex[:12]}")


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    async with Redis.from_url(redis_url) as redis:
        yield redis


@pytest.fixture
async def once(redis: Redis, names: Names) -> AsyncIterator[Once]:
    pipeline = RedisPipeline(redis, timeout_s=1.0)
    once = Once(pipeline, names, fresh_id)
    yield once
    await once.close()
    await pipeline.close()


async def held(redis: Redis, names: Names) -> list[str]:
    return [str_if_bytes(key) for key in await redis.keys(f"{names.namespace}:idempotency:*")]


async def test_the_first_answer_is_given_again(once: Once, redis: Redis, names: Names) -> None:
    """The command runs once, under one id; the key is forgotten after a day."""
    work = Work()
    assert [await once("key", b"sent", work) for _ in range(3)] == [b"answer 1"] * 3
    assert len(work.ids) == 1
    [key] = await held(redis, names)
    assert IDEMPOTENCY_SECONDS - 60 < await redis.ttl(key) <= IDEMPOTENCY_SECONDS


async def test_without_a_key_every_command_counts(once: Once, redis: Redis, names: Names) -> None:
    """Each has an id of its own, and Redis is not asked."""
    work = Work()
    assert [await once(None, b"sent", work) for _ in range(2)] == [b"answer 1", b"answer 2"]
    assert len(set(work.ids)) == 2
    assert not await held(redis, names)


async def test_another_command_with_the_key(once: Once) -> None:
    """It is refused, whether the first one has ended or not."""
    work = Work()
    work.may_end.clear()
    first = asyncio.create_task(once("key", b"sent", work))
    await eventually(lambda: work.ids)
    with pytest.raises(KeyReused):
        await once("key", b"something else", work)
    with pytest.raises(StillRunning):
        async with asyncio.timeout(10):
            await once("key", b"sent", work)
    work.may_end.set()
    assert await first == b"answer 1"
    with pytest.raises(KeyReused):
        await once("key", b"something else", work)


async def test_a_refused_command_leaves_its_key_free(once: Once, redis: Redis, names: Names) -> None:
    """Nothing happened, so whatever is sent with the key next is the first."""
    work = Work()
    work.raises = Conflict()
    with pytest.raises(Conflict):
        await once("key", b"sent", work)
    assert not await held(redis, names)
    work.raises = None
    assert await once("key", b"mended", work) == b"answer 2"


async def test_a_command_that_may_have_happened_is_tried_under_its_id(once: Once) -> None:
    """The log knows whether it has; so the retry must be recognised there as the same command."""
    work = Work()
    work.raises = LogUnavailable()
    with pytest.raises(LogUnavailable):
        await once("key", b"sent", work)
    work.raises = None
    assert await once("key", b"sent", work) == b"answer 2"
    assert len(set(work.ids)) == 1


async def test_while_the_log_has_not_decided_nobody_tries_again(once: Once) -> None:
    """Once it has, a retry runs, under the same id."""
    decided = asyncio.Event()

    async def decision() -> bool:
        return await decided.wait()

    work = Work()
    work.raises = AppendUndecided(decision)
    with pytest.raises(AppendUndecided):
        await once("key", b"sent", work)
    with pytest.raises(StillRunning):
        await once("key", b"sent", work)
    work.raises = None
    decided.set()

    async def retried() -> bytes:
        while True:
            try:
                return await once("key", b"sent", work)
            except StillRunning:
                await asyncio.sleep(0)

    async with asyncio.timeout(10):
        assert await retried() == b"answer 2"
    assert len(set(work.ids)) == 1


async def test_a_process_that_died_is_taken_over_from(once: Once, redis: Redis, names: Names) -> None:
    """When its lease is over the next one runs the command under the id that the dead one had."""
    work = Work()
    work.may_end.clear()
    dying = Once(RedisPipeline(redis, timeout_s=1.0), names, fresh_id)
    lost = asyncio.create_task(dying("key", b"sent", work))
    await eventually(lambda: work.ids)
    await dying.close()
    with pytest.raises(asyncio.CancelledError):
        await lost
    with pytest.raises(StillRunning):
        async with asyncio.timeout(10):
            await once("key", b"sent", work)
    [key] = await held(redis, names)
    await redis.hset(key, "leased_until", "0")
    work.may_end.set()
    assert await once("key", b"sent", work) == b"answer 2"
    assert len(set(work.ids)) == 1


async def test_a_client_that_leaves_does_not_stop_its_command(once: Once) -> None:
    """Its retry gets the answer of what has happened meanwhile."""
    work = Work()
    work.may_end.clear()
    leaving = asyncio.create_task(once("key", b"sent", work))
    await eventually(lambda: work.ids)
    leaving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaving
    work.may_end.set()

    async with asyncio.timeout(10):
        while True:
            try:
                answer = await once("key", b"sent", work)
            except StillRunning:
                await asyncio.sleep(0)
            else:
                break
    assert (answer, len(work.ids)) == (b"answer 1", 1)


async def test_without_redis_a_command_with_a_key_is_refused(names: Names) -> None:
    """Rather that than a double; one without a key does not need Redis."""
    work = Work()
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        async with Redis(port=unused.getsockname()[1], retry=Retry(NoBackoff(), 0)) as away:
            once = Once(RedisPipeline(away, timeout_s=0.05), names, fresh_id)
            with pytest.raises(Unavailable, match="Redis is away"):
                await once("key", b"sent", work)
            assert not work.ids
            assert await once(None, b"sent", work) == b"answer 1"
