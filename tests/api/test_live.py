"""`GET /v1/live`: figures from Redis to browsers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import msgspec
import pytest
from redis.asyncio import Redis

from api.live import stream
from gavel.settings import Settings
from tests.api.running_api import RunningApi, api_process, free_port, until

SECONDS = 10.0
STOP_SECONDS = 8.0
"""The server waits 10 for open streams before it kills a worker."""


@asynccontextmanager
async def watching(api: RunningApi) -> AsyncIterator[aiohttp.StreamReader]:
    """A browser that follows the stream; its lines."""
    async with api.http.get("/v1/live", headers=api.authorized) as response, asyncio.timeout(SECONDS):
        assert response.status == 200
        assert response.headers["Content-Type"].startswith("text/event-stream")
        assert response.headers["Cache-Control"] == "no-store"
        yield response.content


async def next_event(lines: aiohttp.StreamReader) -> dict[str, str]:
    """The fields of the next event that has data."""
    fields: dict[str, str] = {}
    while True:
        line = (await lines.readline()).decode()
        assert line, "the stream has ended"
        if line == "\n" and "data" in fields:
            return fields
        name, _, value = line.rstrip("\n").partition(": ")
        if name:
            fields[name] = value


async def test_figures_come_once_a_second(api: RunningApi) -> None:
    """Each event has an id that grows and one object with the figures of the projection."""
    async with watching(api) as lines:
        first, second = await next_event(lines), await next_event(lines)
    assert first["retry"] == "2000"
    assert int(second["id"]) == int(first["id"]) + 1
    figures = msgspec.json.decode(second["data"])
    assert {"auctions", "bids", "wins", "impressions", "clicks", "spend", "held_ms", "lag"} <= figures.keys()


async def test_all_browsers_share_one_subscription(api: RunningApi, redis_url: str) -> None:
    """However many watch, the process subscribes once."""
    channel = api.services.names.live_channel
    async with watching(api) as one, watching(api) as two, Redis.from_url(redis_url) as redis:
        first, second = await next_event(one), await next_event(two)
        assert await redis.pubsub_numsub(channel) == [(channel.encode(), 1)]
    assert first["data"] == second["data"] or int(first["id"]) != int(second["id"])


async def test_a_closed_tab_is_forgotten(api: RunningApi) -> None:
    """Nothing is kept for a browser that is gone."""

    async def nobody_watches() -> bool:
        return api.services.live.listeners == 0

    await until(nobody_watches)
    async with watching(api) as lines:
        await next_event(lines)
        assert api.services.live.listeners == 1
    await until(nobody_watches)


async def test_silence_is_filled_with_heartbeats(api: RunningApi, monkeypatch: pytest.MonkeyPatch) -> None:
    """Comments keep the connection alive where there is nothing to tell."""
    monkeypatch.setattr(stream, "HEARTBEAT_S", 0.05)
    async with watching(api) as lines:
        async for line in lines:
            if line.startswith(b":"):
                return
    pytest.fail("the stream ended without a heartbeat")


async def test_a_stream_ends_after_its_time(api: RunningApi, monkeypatch: pytest.MonkeyPatch) -> None:
    """The browser is sent away in good order, and comes back by itself."""
    monkeypatch.setattr(stream, "STREAM_LIFE_S", 0.3)
    async with watching(api) as lines:
        while await lines.readline():
            pass
        assert lines.exception() is None


async def test_too_many_browsers(api: RunningApi, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the bound the answer is to come again, not a stream that costs the others."""
    monkeypatch.setattr(stream, "STREAMS_MAX", 0)
    async with api.http.get("/v1/live", headers=api.authorized) as response:
        problem = await response.json(content_type="application/problem+json")
    assert (response.status, problem["type"]) == (503, "/problems/overloaded")


async def test_a_watched_process_stops_in_time(settings: Settings) -> None:
    """An open stream does not hold up the end: the process stops in good order, not by being killed."""
    own = msgspec.structs.replace(settings, port=free_port(), data=settings.data / "stopping")
    headers = {"Authorization": f"Bearer {own.admin_key}"}
    async with (
        api_process(own) as process,
        aiohttp.ClientSession(f"http://127.0.0.1:{own.port}", headers=headers) as http,
        http.get("/v1/live") as response,
        asyncio.timeout(STOP_SECONDS),
    ):
        await response.content.readline()
        process.terminate()
        await response.content.read()
        assert await process.wait() == 0
