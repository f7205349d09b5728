"""Notices while a server is away."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from aiohttp import web

from commands.settlements import Settlements
from domain.errors import Unavailable
from domain.limits import LOG_ACK_TIMEOUT_MS
from domain.names import Names
from domain.notices import NoticeKey
from projections.servers import Addresses
from tests.commands.conftest import OwnBroker
from tests.commands.notice_receiver import NoticeReceiver
from tests.commands.sample_events import fresh_id
from tests.gavel.notifier_bench import NotifierBench
from tests.projections.notice_story import NoticeStory
from tests.projections.traffic import Log


async def test_nothing_is_told_twice_because_kafka_was_away(
    own_broker: OwnBroker, own_names: Names, database: str, redis_url: str
) -> None:
    """A notice that was heard while the log did not answer is written down later, and its receiver left alone."""
    called, released = asyncio.Event(), asyncio.Event()

    async def holding(_: web.Request) -> web.Response:
        called.set()
        await released.wait()
        return web.Response(status=204)

    addresses = Addresses(kafka_url=own_broker.url, postgres_url=database, redis_url=redis_url, names=own_names)
    async with Log(own_broker.url, own_names) as log, NoticeReceiver(holding).listening() as receiver:
        bench = NotifierBench(addresses, log)
        await bench.filled(NoticeStory(receiver.url, receiver.url))
        async with bench.notifying(timeout_s=30.0):
            await asyncio.wait_for(called.wait(), 30)
            own_broker.suspend()
            try:
                released.set()
                # Longer than an append is waited for, so that it is undecided.
                await asyncio.sleep(1.5 * LOG_ACK_TIMEOUT_MS / 1000)
                assert bench.attempted == {}
            finally:
                own_broker.resume()
            await bench.all_ended()
        assert len(receiver.calls) == 2
        assert sorted(each.kind for each in await bench.ends()) == ["loss", "win"]


class OutboxThatComesBack:
    """Away for the first calls."""

    def __init__(self, away: int) -> None:
        self._away = away
        self.ended: dict[NoticeKey, bool] = {}
        self.retries: dict[NoticeKey, float] = {}

    async def settle(self, ended: Mapping[NoticeKey, bool], retries: Mapping[NoticeKey, float]) -> None:
        self._away -= 1
        if self._away >= 0:
            raise Unavailable
        self.ended |= ended
        self.retries |= retries


async def test_what_ended_while_the_database_was_away_is_settled_later() -> None:
    """Nothing is forgotten meanwhile, not even when the notifier is stopped in the middle of it."""
    outbox = OutboxThatComesBack(away=2)
    settlements = Settlements(outbox)  # type: ignore[arg-type] # only settles
    running = asyncio.create_task(settlements.run())
    first, second = (NoticeKey(fresh_id(), fresh_id(), 0, "win") for _ in range(2))
    settlements.ended(first, delivered=True)
    await asyncio.sleep(0)
    settlements.retry(second, 4.0)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert outbox.ended == {first: True}
    assert outbox.retries == {second: 4.0}
