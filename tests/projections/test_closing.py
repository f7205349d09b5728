"""A consumer leaves its group in time, whatever its store is at."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from projections import engine
from projections.engine import Projector
from projections.registry import registered
from projections.servers import Servers
from tests.projections.conftest import ReadSide
from tests.projections.traffic import Traffic

CLOSE_S = 0.5
ENOUGH_S = 30.0


async def test_a_write_that_does_not_end(read_side: ReadSide, monkeypatch: pytest.MonkeyPatch) -> None:
    """Others get its partitions at once; what it was writing is undone whenever the database answers again."""
    monkeypatch.setattr(engine, "CLOSE_S", CLOSE_S)
    registration = registered("delivery")
    async with Servers(read_side.addresses, client_id="test") as servers:
        projection, store = await registration.opened(servers, 1)
        is_writing, answers = asyncio.Event(), asyncio.Event()

        async def rolls_back_for_long(*_: Any) -> None:
            is_writing.set()
            while not answers.is_set():
                try:
                    await answers.wait()
                except asyncio.CancelledError:
                    continue

        monkeypatch.setattr(store, "apply", rolls_back_for_long)
        topics = registration.topics_of(read_side.names)
        group = registration.group(read_side.names, 1)
        projector = Projector(projection, store, topics=topics, group=group, kafka=servers.kafka)
        running = asyncio.create_task(projector.run(asyncio.Event()))
        await read_side.log.append_traffic(Traffic(1), 5)
        async with asyncio.timeout(ENOUGH_S):
            await is_writing.wait()
        running.cancel()
        done, _ = await asyncio.wait({running}, timeout=ENOUGH_S)
        assert done, "it is still waiting for its store"
        assert projector._consumer._closed
        answers.set()
    await read_side.run_to_the_end("delivery")
    assert await read_side.applied("delivery") > 0
