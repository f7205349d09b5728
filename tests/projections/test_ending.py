"""What has no end of its own ends when it is told to, at whatever moment that comes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from projections import ending
from projections.ending import ended, until_stopped
from projections.feed_audit import FeedAudit
from projections.servers import Servers
from tests.projections.conftest import ReadSide

MOMENTS = 60
"""Turns of the event loop, in which it asks Redis."""
ENOUGH_S = 20.0


@asynccontextmanager
async def servers_of(read_side: ReadSide) -> AsyncIterator[Servers]:
    async with Servers(read_side.addresses, client_id="test") as servers:
        await servers.redis.ping()
        yield servers


async def test_an_audit_ends_at_every_moment(read_side: ReadSide, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where its client has just sent something, and would forget that it was cancelled."""
    monkeypatch.setattr(ending, "AGAIN_S", 0.01)
    async with servers_of(read_side) as servers:
        audit = FeedAudit(servers.redis, servers.pool, servers.names)
        for moment in range(MOMENTS):
            stop = asyncio.Event()
            running = asyncio.create_task(audit.run(stop))
            for _ in range(moment):
                await asyncio.sleep(0)
            stop.set()
            async with asyncio.timeout(ENOUGH_S):
                await running


async def test_one_that_forgets_is_told_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """As often as it takes."""
    monkeypatch.setattr(ending, "AGAIN_S", 0.01)
    times = 0

    async def forgets_twice() -> None:
        nonlocal times
        while True:
            try:
                await asyncio.sleep(ENOUGH_S)
            except asyncio.CancelledError:
                times += 1
                if times > 2:
                    raise

    task = asyncio.create_task(forgets_twice())
    await asyncio.sleep(0)
    await ended(task)
    assert (task.cancelled(), times) == (True, 3)


async def test_an_orderly_end_is_left_its_time() -> None:
    """What it still awaits is not cancelled as well."""
    log: list[str] = []

    async def puts_things_away() -> None:
        try:
            await asyncio.sleep(ENOUGH_S)
        finally:
            await asyncio.sleep(0.05)
            log.append("put away")

    task = asyncio.create_task(puts_things_away())
    await asyncio.sleep(0)
    await ended(task, again_s=ENOUGH_S)
    assert log == ["put away"]


async def test_what_fails_is_heard_at_once() -> None:
    """Though nobody has said stop."""

    async def fails() -> None:
        raise ValueError("of its own")

    with pytest.raises(ValueError, match="of its own"):
        await until_stopped(asyncio.Event(), fails())


async def test_who_waits_for_it_may_be_cancelled() -> None:
    """Then the work has ended before the cancellation goes on."""
    is_put_away = asyncio.Event()

    async def works() -> None:
        try:
            await asyncio.sleep(ENOUGH_S)
        finally:
            is_put_away.set()

    running = asyncio.create_task(until_stopped(asyncio.Event(), works()))
    await asyncio.sleep(0.01)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert is_put_away.is_set()


async def test_where_one_fails_the_others_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """At once, though nobody has said stop, and one of them forgets that it was cancelled."""
    monkeypatch.setattr(ending, "AGAIN_S", 0.01)
    cancelled = 0

    async def forgets_once() -> None:
        nonlocal cancelled
        while True:
            try:
                await asyncio.sleep(ENOUGH_S)
            except asyncio.CancelledError:
                cancelled += 1
                if cancelled > 1:
                    raise

    async def fails() -> None:
        await asyncio.sleep(0.01)
        raise ValueError("of its own")

    with pytest.raises(ValueError, match="of its own"):
        await until_stopped(asyncio.Event(), forgets_once(), fails())
    assert cancelled == 2


async def test_an_end_is_waited_for_within_its_time() -> None:
    """Who looks at `stop` ends in order; who waits for a server that does not answer is cancelled."""
    stop, log = asyncio.Event(), []

    async def ends_in_order() -> None:
        await stop.wait()
        await asyncio.sleep(0.05)
        log.append("in order")

    async def waits() -> None:
        try:
            await asyncio.sleep(2 * ENOUGH_S)
        except asyncio.CancelledError:
            log.append("cancelled")
            raise

    asyncio.get_running_loop().call_later(0.01, stop.set)
    async with asyncio.timeout(ENOUGH_S):
        await until_stopped(stop, ends_in_order(), waits(), within_s=0.3)
    assert log == ["in order", "cancelled"]
