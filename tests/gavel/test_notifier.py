"""`gavel notify` at work: what bidders hear, and how often, whatever dies in between."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import asyncpg
import pytest
from aiohttp import web

from commands.kafka_log import KafkaLog
from commands.notice_client import NoticeClient
from commands.send_notices import SendNotices
from domain import codec
from domain.events import NoticeDelivered, NoticeFailed
from domain.names import Names
from gavel.process_clock import SystemClock, fresh_id
from gavel.settings import variable
from projections.notice_outbox import NoticeOutbox
from projections.run import run_projectors
from projections.servers import Addresses
from tests.commands.notice_receiver import Behaviour, NoticeReceiver
from tests.projections.notice_story import NoticeStory
from tests.projections.traffic import Log

PATIENCE_S = 60.0
QUICK = (0.05, 0.05, 0.05)


class Bench:
    """One installation without an API: a log, an outbox, and notifiers as a test wants them."""

    def __init__(self, addresses: Addresses, log: Log) -> None:
        self.addresses = addresses
        self.log = log

    async def rows(self, query: str) -> list[tuple[object, ...]]:
        connection = await asyncpg.connect(self.addresses.postgres_url)
        try:
            return [tuple(row) for row in await connection.fetch(query)]
        finally:
            await connection.close()

    async def filled(self, *stories: NoticeStory) -> None:
        """The outbox holds the notices of these auctions, of two bids each."""
        before = len(await self.rows("SELECT FROM notices"))
        await self.log.append([event for each in stories for event in each.auction])
        stop = asyncio.Event()
        running = asyncio.create_task(run_projectors(self.addresses, ["notices"], stop))
        try:
            await self.until("SELECT count(*) FROM notices", [(before + 2 * len(stories),)])
        finally:
            stop.set()
            await running

    async def until(self, query: str, expected: object) -> None:
        """Looks until the query answers so."""
        deadline = time.monotonic() + PATIENCE_S
        while (found := await self.rows(query)) != expected:
            assert time.monotonic() < deadline, f"{found} instead of {expected}"
            await asyncio.sleep(0.05)

    async def all_ended(self) -> None:
        await self.until("SELECT FROM notices WHERE due_at IS NOT NULL", [])

    async def ends(self) -> list[NoticeDelivered | NoticeFailed]:
        """How notices ended, as the log has it."""
        payloads = await self.log.payloads(self.addresses.names.engagements)
        found = [codec.decode(each) for each in payloads]
        return [each for each in found if isinstance(each, NoticeDelivered | NoticeFailed)]

    @asynccontextmanager
    async def notifying(self, *, retry_seconds: tuple[float, ...] = QUICK) -> AsyncIterator[None]:
        """A notifier in this process."""
        stop = asyncio.Event()
        async with AsyncExitStack() as stack:
            pool = await stack.enter_async_context(asyncpg.create_pool(self.addresses.postgres_url, min_size=0))
            client = await stack.enter_async_context(NoticeClient(allow_private=True, timeout_s=1.0))
            log = KafkaLog(self.addresses.kafka_url, (self.addresses.names.engagements,))
            await log.start()
            stack.push_async_callback(log.close)
            notices = SendNotices(
                outbox=NoticeOutbox(pool), client=client, log=log, names=self.addresses.names, clock=SystemClock(),
                ids=fresh_id, chance=lambda: 0.5, retry_seconds=retry_seconds,
            )  # fmt: skip
            running = asyncio.create_task(notices.run(stop))
            try:
                yield
            finally:
                stop.set()
                await running

    @asynccontextmanager
    async def process(self) -> AsyncIterator[asyncio.subprocess.Process]:
        """`gavel notify`, as a deployment starts it."""
        settings = {
            "kafka_url": self.addresses.kafka_url, "postgres_url": self.addresses.postgres_url,
            "redis_url": self.addresses.redis_url, "namespace": self.addresses.names.namespace,
            "allow_private_endpoints": "true",
        }  # fmt: skip
        environment = os.environ | {variable(name): value for name, value in settings.items()}
        process = await asyncio.create_subprocess_exec(sys.executable, "-m", "gavel", "notify", env=environment)
        try:
            yield process
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()


@pytest.fixture
async def bench(kafka_url: str, database: str, redis_url: str, names: Names) -> AsyncIterator[Bench]:
    addresses = Addresses(kafka_url=kafka_url, postgres_url=database, redis_url=redis_url, names=names)
    async with Log(kafka_url, names) as log:
        yield Bench(addresses, log)


def failing(times: int, *, status: int = 500) -> Behaviour:
    """Fails the first calls of each path."""
    seen: dict[str, int] = {}

    async def answer(request: web.Request) -> web.Response:
        seen[request.path] = seen.get(request.path, 0) + 1
        return web.Response(status=status if seen[request.path] <= times else 200)

    return answer


async def test_bidders_hear_once(bench: Bench) -> None:
    """Winner and loser are called, the log says so, and nobody is called again."""
    async with NoticeReceiver().listening() as receiver:
        story = NoticeStory(f"{receiver.url}/winner", f"{receiver.url}/loser")
        await bench.filled(story)
        async with bench.notifying():
            await bench.all_ended()
        async with bench.notifying():
            pass
        assert receiver.paths == ["/loser/loss?p=&m=0.91&l=102", "/winner/win?p=0.91&m=0.90&l=0"]
        ends = {each.kind: each for each in await bench.ends() if isinstance(each, NoticeDelivered)}
        assert set(ends) == {"win", "loss"}
        win = ends["win"]
        assert win.url == f"{receiver.url}/winner/win?p=0.91&m=0.90&l=0"
        assert (win.auction_id, win.imp_id, win.bidder_id, win.bid_id) == (
            story.auction_id,
            "1",
            "winner",
            "bid-winner",
        )
        assert (win.attempts, win.http_status, win.causation_id) == (1, 204, story.won.id)


@pytest.mark.parametrize("status", [500, 404, 302, 429])
async def test_what_is_not_taken_is_sent_again(bench: Bench, status: int) -> None:
    """Anything but 2xx counts as not heard."""
    async with NoticeReceiver(failing(2, status=status)).listening() as receiver:
        await bench.filled(NoticeStory(f"{receiver.url}/winner", f"{receiver.url}/loser"))
        async with bench.notifying():
            await bench.all_ended()
        assert len(receiver.calls) == 6
        assert sorted((type(each), each.attempts) for each in await bench.ends()) == [(NoticeDelivered, 3)] * 2


async def test_in_the_end_it_has_failed(bench: Bench) -> None:
    """After the last attempt the log says why; one whose address cannot be called fails at once."""
    async with NoticeReceiver(failing(100)).listening() as receiver:
        await bench.filled(NoticeStory(receiver.url, "http://169.254.169.254"))
        async with bench.notifying():
            await bench.all_ended()
        assert len(receiver.calls) == len(QUICK) + 1
        ends = {each.bidder_id: each for each in await bench.ends() if isinstance(each, NoticeFailed)}
        assert ends["winner"].attempts == len(QUICK) + 1
        assert ends["winner"].reason == "Attempt 4, the last one: It answered with HTTP 500"
        assert ends["loser"].attempts == 1
        assert "169.254.169.254 is link-local" in ends["loser"].reason
    assert await bench.rows("SELECT delivered FROM notices") == [(False,), (False,)]


async def test_a_slow_receiver_keeps_nobody_else_waiting(bench: Bench) -> None:
    """However many of its notices hang, others get theirs, and it gets no more than its share of calls at a time."""
    at_once = most = 0

    async def hanging(_: web.Request) -> web.Response:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        try:
            await asyncio.sleep(PATIENCE_S)
        finally:
            at_once -= 1
        raise AssertionError

    async with NoticeReceiver(hanging).listening() as slow, NoticeReceiver().listening() as quick:
        await bench.filled(*(NoticeStory(slow.url, slow.url) for _ in range(20)))
        await bench.filled(NoticeStory(quick.url, quick.url))
        async with bench.notifying(retry_seconds=(PATIENCE_S,)):
            await bench.until("SELECT count(*) FROM notices WHERE delivered", [(2,)])
        assert len(quick.calls) == 2
        assert most == 16


async def test_a_notifier_that_is_killed_is_followed_by_another(bench: Bench) -> None:
    """What it had in its hands is sent once more after its lease, what had ended is not, and nothing is lost."""
    held = asyncio.Event()
    killed = asyncio.Event()

    async def holding(_: web.Request) -> web.Response:
        if not killed.is_set() and len(receiver.calls) > 10:
            held.set()
            await killed.wait()
        return web.Response(status=200)

    receiver = NoticeReceiver(holding)
    async with receiver.listening():
        stories = [NoticeStory(f"{receiver.url}/{number}", f"{receiver.url}/{number}") for number in range(20)]
        await bench.filled(*stories)
        async with bench.process() as process:
            await asyncio.wait_for(held.wait(), PATIENCE_S)
            ended_before = await bench.rows("SELECT count(*) FROM notices WHERE delivered")
            process.send_signal(signal.SIGKILL)
            await process.wait()
            killed.set()
        in_hands = len(receiver.calls)
        # As if its lease had run out.
        await bench.rows("UPDATE notices SET due_at = now() WHERE due_at > now() RETURNING 1")
        async with bench.process():
            await bench.all_ended()
        assert {each.path for each in receiver.calls} == {
            f"/{number}/{told}" for number in range(20) for told in ("win?p=0.91&m=0.90&l=0", "loss?p=&m=0.91&l=102")
        }
        assert len(receiver.calls) <= 40 + in_hands - int(str(ended_before[0][0]))
        assert len({(each.auction_id, each.kind) for each in await bench.ends()}) == 40


async def test_several_notifiers_share_the_work(bench: Bench) -> None:
    """Each notice is sent by one of them."""
    async with NoticeReceiver().listening() as receiver:
        await bench.filled(*(NoticeStory(f"{receiver.url}/{n}", f"{receiver.url}/{n}") for n in range(100)))
        async with bench.notifying(), bench.notifying(), bench.notifying():
            await bench.all_ended()
        assert len(receiver.calls) == len(set(receiver.paths)) == 200
        assert len(await bench.ends()) == 200


async def test_it_stops_when_it_is_asked_to(bench: Bench) -> None:
    """Within seconds, with what it has sent written down."""
    async with NoticeReceiver().listening() as receiver, bench.process() as process:
        await bench.filled(NoticeStory(receiver.url, receiver.url))
        await bench.all_ended()
        process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), 20) == 0
