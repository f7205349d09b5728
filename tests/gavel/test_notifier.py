"""`gavel notify` at work: what bidders hear, and how often, whatever dies in between."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator

import aiohttp
import pytest
from aiohttp import web

from domain.events import NoticeDelivered, NoticeFailed
from domain.limits import NOTICES_IN_FLIGHT_MAX, NOTICES_PER_HOST_MAX
from domain.names import Names
from gavel.embedded.ports import choose_port
from projections.servers import Addresses
from tests.commands.notice_receiver import Behaviour, NoticeReceiver
from tests.gavel.notifier_bench import PATIENCE_S, QUICK, NotifierBench
from tests.projections.notice_story import NoticeStory
from tests.projections.traffic import Log


@pytest.fixture
async def bench(kafka_url: str, database: str, redis_url: str, names: Names) -> AsyncIterator[NotifierBench]:
    addresses = Addresses(kafka_url=kafka_url, postgres_url=database, redis_url=redis_url, names=names)
    async with Log(kafka_url, names) as log:
        yield NotifierBench(addresses, log)


def failing(times: int, *, status: int = 500) -> Behaviour:
    """Fails the first calls of each path."""
    seen: dict[str, int] = {}

    async def answer(request: web.Request) -> web.Response:
        seen[request.path] = seen.get(request.path, 0) + 1
        return web.Response(status=status if seen[request.path] <= times else 200)

    return answer


async def test_bidders_hear_once(bench: NotifierBench) -> None:
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
        assert (win.auction_id, win.imp_id, win.bid_id) == (story.auction_id, "1", "bid-winner")
        assert (win.bidder_id, win.attempts, win.http_status, win.causation_id) == ("winner", 1, 204, story.won.id)


@pytest.mark.parametrize("status", [500, 404, 302, 429])
async def test_what_is_not_taken_is_sent_again(bench: NotifierBench, status: int) -> None:
    """Anything but 2xx counts as not heard."""
    async with NoticeReceiver(failing(2, status=status)).listening() as receiver:
        await bench.filled(NoticeStory(f"{receiver.url}/winner", f"{receiver.url}/loser"))
        async with bench.notifying():
            await bench.all_ended()
        assert len(receiver.calls) == 6
        assert bench.attempted == {
            ("win", "retried"): 2, ("win", "delivered"): 1, ("loss", "retried"): 2, ("loss", "delivered"): 1,
        }  # fmt: skip
        assert sorted((type(each), each.attempts) for each in await bench.ends()) == [(NoticeDelivered, 3)] * 2


async def test_in_the_end_it_has_failed(bench: NotifierBench) -> None:
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


async def test_a_slow_receiver_keeps_nobody_else_waiting(bench: NotifierBench) -> None:
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
        async with bench.notifying(timeout_s=PATIENCE_S):
            await bench.until("SELECT count(*) FROM notices WHERE delivered", [(2,)])
        assert len(quick.calls) == 2
        # Of each of its two bidders.
        assert most <= 2 * NOTICES_PER_HOST_MAX


@pytest.mark.parametrize("bidders", [1, 8])
async def test_bidders_that_name_hanging_hosts_keep_no_other_waiting(bench: NotifierBench, bidders: int) -> None:
    """A new host in every address, as many as there are calls at a time and more: the other bidder hears all."""
    hanging, closed = asyncio.Event(), asyncio.Event()
    connected = 0

    async def hang(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connected
        connected += 1
        if connected > 80:
            hanging.set()
        await closed.wait()
        writer.close()

    server = await asyncio.start_server(hang, "0.0.0.0", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, NoticeReceiver().listening() as quick:
        slow = [
            f"http://127.0.{number // 200}.{1 + number % 200}:{port}" for number in range(2 * NOTICES_IN_FLIGHT_MAX)
        ]
        await bench.filled(*(NoticeStory(each, each) for each in slow))
        await bench.rows(
            f"UPDATE notices SET bidder_id = 'slow' || get_byte(uuid_send(auction_id), 15) % {bidders} RETURNING 1"
        )
        async with bench.notifying(timeout_s=2 * PATIENCE_S):
            await asyncio.wait_for(hanging.wait(), PATIENCE_S)
            await bench.filled(*(NoticeStory(quick.url, quick.url) for _ in range(50)))
            await bench.until("SELECT count(*) FROM notices WHERE delivered", [(100,)])
            closed.set()
        assert len(quick.calls) == 100


async def test_a_notifier_that_is_killed_is_followed_by_another(bench: NotifierBench) -> None:
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


async def test_several_notifiers_share_the_work(bench: NotifierBench) -> None:
    """Each notice is sent by one of them."""
    async with NoticeReceiver().listening() as receiver:
        await bench.filled(*(NoticeStory(f"{receiver.url}/{n}", f"{receiver.url}/{n}") for n in range(100)))
        async with bench.notifying(), bench.notifying(), bench.notifying():
            await bench.all_ended()
        assert len(receiver.calls) == len(set(receiver.paths)) == 200
        assert len(await bench.ends()) == 200


async def test_it_stops_when_it_is_asked_to(bench: NotifierBench) -> None:
    """Within seconds, with what it has sent written down, and counted for Prometheus."""
    port = str(choose_port(None, set()))
    async with NoticeReceiver().listening() as receiver, bench.process("--metrics-port", port) as process:
        await bench.filled(NoticeStory(receiver.url, receiver.url))
        await bench.all_ended()
        async with aiohttp.ClientSession() as http, http.get(f"http://127.0.0.1:{port}/metrics") as answer:
            figures = (await answer.text()).splitlines()
        assert 'gavel_notices_total{kind="win",result="delivered"} 1.0' in figures
        process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), 20) == 0
