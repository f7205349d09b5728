"""A bidder that answers after its deadline: the client waits on for a while, and the log hears of it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable

import msgspec
import pytest
from redis.asyncio import Redis
from structlog.testing import capture_logs

from commands.bidder_client import KeepAliveBidderClient
from commands.kafka_log import KafkaLog
from commands.late_answers import Decided, LateAnswers, LateCall
from commands.ports import BidderAnswer, BidderTimeout, LateAnswer
from domain.late_answer import said_too_late
from domain.names import Names
from gavel.process_clock import SystemClock, fresh_id
from tests.commands.auction_scenario import Scenario, ScenarioBidder
from tests.commands.eventually import eventually
from tests.commands.exchange import Exchange
from tests.commands.hostile_bidder import hostile_bidder, ok, says
from tests.commands.topic_content import read_topic


@pytest.fixture
async def client() -> AsyncIterator[KeepAliveBidderClient]:
    client = KeepAliveBidderClient(allow_private=True)
    yield client
    await client.close()


async def post(client: KeepAliveBidderClient, url: str, seconds: float = 5.0) -> BidderAnswer:
    return await client.post(url, (), b"{}", time.monotonic() + seconds)


# -- the client ----------------------------------------------------------------------------------------


async def timed_out(client: KeepAliveBidderClient, url: str, seconds: float) -> Awaitable[LateAnswer | None] | None:
    """The late answer of a call that must run into its deadline, and not long past it."""
    started = time.monotonic()
    with pytest.raises(BidderTimeout) as timeout:
        await post(client, url, seconds)
    assert seconds * 0.9 < time.monotonic() - started < seconds + 2
    return timeout.value.late


async def test_a_late_answer_is_told_and_its_connection_kept(client: KeepAliveBidderClient) -> None:
    """A bidder past the deadline costs exactly the deadline; what it says later is not taken for the next answer."""
    release = asyncio.Event()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(bidder.requests) == 1:
            await release.wait()
            await says(ok(b"late"))(reader, writer)
        else:
            await says(ok(b"in time"))(reader, writer)

    async with hostile_bidder(answer) as bidder:
        late = await timed_out(client, bidder.url, 0.1)
        assert late is not None
        assert await post(client, bidder.url) == (200, b"in time")
        assert bidder.connections == 2
        release.set()
        answered = await late
        assert answered is not None
        assert answered.answer == (200, b"late")
        for following in await asyncio.gather(post(client, bidder.url), post(client, bidder.url)):
            assert following == (200, b"in time")
        assert bidder.connections == 2


@pytest.mark.parametrize("then", ["nothing", "garbage", "hangs up"])
async def test_an_answer_that_never_comes_is_given_up(
    client: KeepAliveBidderClient, monkeypatch: pytest.MonkeyPatch, then: str
) -> None:
    """The wait for a late answer is bounded, ends with the connection, and asks nobody a second time."""
    monkeypatch.setattr("commands.bidder_connection.LATE_ANSWER_MAX_SECONDS", 0.1 if then == "nothing" else 30)
    release = asyncio.Event()

    async def answer(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(bidder.requests) == 1:
            writer.write(ok(b"first"))  # so that the call that is late goes over a kept connection
            return
        await release.wait()
        if then == "garbage":
            writer.write(b"SSH-2.0")
        writer.close()

    async with hostile_bidder(answer) as bidder:
        await post(client, bidder.url)
        late = await timed_out(client, bidder.url, 0.1)
        assert late is not None
        if then != "nothing":
            release.set()
        async with asyncio.timeout(10):
            assert await late is None
        await eventually(lambda: all(pool.is_empty for pool in client._pools.values()))
        assert (bidder.connections, len(bidder.requests)) == (1, 2)


async def test_only_so_many_late_answers_are_waited_for(
    client: KeepAliveBidderClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Past the bound a late call takes its connection along, so that a silent bidder cannot hold all of them."""
    monkeypatch.setattr("commands.bidder_pool.LATE_ANSWERS_PER_BIDDER_MAX", 2)
    async with hostile_bidder(lambda *_: asyncio.sleep(60)) as bidder:
        lates = await asyncio.gather(*(timed_out(client, bidder.url, 0.2) for _ in range(5)))
        assert sum(late is not None for late in lates) == 2
        await client.close()
        assert [await late for late in lates if late is not None] == [None, None]


# -- the log -------------------------------------------------------------------------------------------

REQUEST = {"id": "r", "imp": [{"id": "1", "banner": {"w": 300, "h": 250}}, {"id": "2", "banner": {"w": 9, "h": 9}}]}


@pytest.fixture
async def log(kafka_url: str, names: Names) -> AsyncIterator[KafkaLog]:
    log = KafkaLog(kafka_url, names.topics)
    await log.start()
    yield log
    await log.close()


async def test_a_late_bid_is_logged_after_the_auction_and_changes_nothing(
    log: KafkaLog, names: Names, redis_url: str, kafka_url: str
) -> None:
    """The bidder's time-out stands for each imp, the imps stay unsold, then comes what it would have bid, and when."""
    release = asyncio.Event()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await release.wait()
        bid = {"id": "b1", "impid": "1", "price": 2.5, "adm": "ad"}
        await says(ok(msgspec.json.encode({"id": "r", "cur": "EUR", "seatbid": [{"bid": [bid]}]})))(reader, writer)

    async with Redis.from_url(redis_url) as redis, hostile_bidder(answer) as bidder:
        exchange = Exchange(log, names, redis)
        scenario = Scenario(request={}, expected={}, bidders={"alfa": ScenarioBidder({}, {"timeout_ms": 200})})
        await exchange.register(scenario, {"alfa": bidder})
        result = await exchange.hold(msgspec.json.encode(REQUEST))
        assert (result.status, result.outcomes) == (204, ("timeout", "timeout"))
        release.set()
        await eventually(lambda: exchange.late_answers_logged)
        await exchange.close()
        [bidder_id] = exchange.bidder_names
    events = [each.event for each in await read_topic(kafka_url, names.auctions)]
    assert [each["type"] for each in events] == [
        "bid_requested",
        "bid_refused",
        "bid_refused",
        "auction_unsold",
        "auction_unsold",
        "bidder_answered_late",
    ]
    late = events[-1]
    assert late["bids"] == [{"bid_id": "b1", "imp_id": "1", "price_micros": 2_500_000, "currency": "EUR"}]
    assert (late["auction_id"], late["bidder_id"]) == (result.auction_id, bidder_id)
    assert (late["http_status"], late["causation_id"]) == (200, events[0]["id"])
    assert late["latency_ms"] >= 200


async def test_a_late_answer_that_the_log_refuses_is_told(
    log: KafkaLog, names: Names, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One too large for an event is left out, with a warning that names the bidder and the bound."""
    monkeypatch.setattr("commands.kafka_log.EVENT_MAX_BYTES", 1_000)
    bids = [{"id": "b" * 250, "impid": "i" * 250, "price": 1}] * 4
    body = msgspec.json.encode({"id": "r", "seatbid": [{"bid": bids}]})

    async def call() -> LateAnswer:
        return LateAnswer(BidderAnswer(200, body), 2.0)

    late_answers = LateAnswers(
        log=log, topic=names.auctions, clock=SystemClock(), ids=fresh_id, logged=lambda: pytest.fail("it is in the log")
    )
    with capture_logs() as logs:
        late_answers.expect(Decided(fresh_id(), "r", fresh_id(), test=False), "alfa", LateCall(call(), 1.0))
        await eventually(lambda: "waiting=0" in repr(late_answers))
    [told] = logs
    assert (told["log_level"], told["bidder_id"]) == ("warning", "alfa")
    assert "at most 1000" in told["error"]


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        pytest.param(204, b"", "", id="no bid"),
        pytest.param(200, b"", "", id="nothing"),
        pytest.param(200, b"{}", "", id="an empty object"),
        pytest.param(500, b"", "The bidder answered with the status 500.", id="an error"),
        pytest.param(200, b"[", "The answer is not a bid response: ", id="broken JSON"),
        pytest.param(
            200,
            b'{"id":"r","seatbid":[{"bid":[{"id":"b"}]}]}',
            "seatbid[0].bid[0]: Object missing required field `impid`.",
            id="a bid that cannot be read",
        ),
    ],
)
def test_a_late_answer_without_bids_says_why(status: int, body: bytes, expected: str) -> None:
    """Whatever comes late is kept with what is wrong about it."""
    bids, reason = said_too_late("r", status, body)
    assert bids == ()
    assert reason.startswith(expected)
    assert bool(reason) == bool(expected)


def test_a_late_answer_to_another_request_says_so() -> None:
    """Its bids are kept, and that they are not for this request."""
    body = b'{"id":"other","seatbid":[{"bid":[{"id":"b","impid":"1","price":1}]}]}'
    said = said_too_late("r", 200, body)
    assert [bid.bid_id for bid in said.bids] == ["b"]
    assert said.reason == "The answer's id is not the id of the request."
