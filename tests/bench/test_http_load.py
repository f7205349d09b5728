"""The load generator counts what came back and what did not: a measurement that hides failures is worth nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from bench.http_load import LoadPlan, generate

REQUEST = b"GET / HTTP/1.1\r\nHost: test\r\n\r\n"
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@pytest.mark.parametrize("rate", [None, 2_000.0])
async def test_requests_whose_connection_is_cut_are_counted_as_failed(rate: float | None) -> None:
    """Every seventh request meets a server that hangs up; all others are counted as answered."""
    received = 0

    async def hang_up_on_every_seventh(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal received
        while await reader.readline():
            await reader.readuntil(b"\r\n\r\n")
            received += 1
            if received % 7 == 0:
                break
            writer.write(ANSWER)
        writer.close()

    async with serving(hang_up_on_every_seventh) as port:
        result = await generate(LoadPlan(port=port, requests=[REQUEST], count=700, connections=4, rate=rate))

    assert received == 700
    assert result.statuses == {200: 600}
    assert result.failed == 100


async def test_an_open_loop_counts_the_wait_before_a_request_could_be_sent() -> None:
    """Ten requests due at once over one connection of 20 ms each: the last has waited for all others."""

    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.readline():
            await reader.readuntil(b"\r\n\r\n")
            await asyncio.sleep(0.02)
            writer.write(ANSWER)
        writer.close()

    async with serving(slow) as port:
        plan = LoadPlan(port=port, requests=[REQUEST], count=10, connections=1, rate=100_000.0)
        result = await generate(plan)

    assert result.statuses == {200: 10}
    assert result.latencies.max_ms >= 10 * 20
    assert result.latencies.p50_ms >= 5 * 20


async def test_what_is_never_answered_fails_at_the_timeout() -> None:
    """A server that accepts and says nothing ends the load at its bound."""
    forever = asyncio.Event()

    async def silent(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await forever.wait()
        writer.close()

    async with serving(silent) as port:
        plan = LoadPlan(port=port, requests=[REQUEST], count=5, connections=2, timeout_seconds=0.3)
        result = await generate(plan)
        forever.set()

    assert (result.statuses, result.failed) == ({}, 5)


@asynccontextmanager
async def serving(handler: Handler) -> AsyncIterator[int]:
    """A server on a free port."""
    server = await asyncio.start_server(handler, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]
