"""What one bidder's trouble costs it, and that it costs the others nothing."""

from __future__ import annotations

import asyncio
import gzip
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import msgspec
import pytest
from redis.asyncio import Redis
from structlog.testing import capture_logs

from commands import fan_out
from commands.kafka_log import KafkaLog
from commands.ports import BidderAnswer
from domain.names import Names
from tests.commands.auction_scenario import Scenario, ScenarioBidder
from tests.commands.exchange import Exchange
from tests.commands.hostile_bidder import Answer, HostileBidder, hostile_bidder, ok, says
from tests.commands.topic_content import read_topic

BID = {"id": "r", "seatbid": [{"bid": [{"id": "b1", "impid": "1", "price": 1, "adm": "ad"}]}]}
BIDS = says(ok(msgspec.json.encode(BID)))
FAILS = says(b"HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n")


def request(tmax_ms: int = 2_000) -> bytes:
    imp = {"id": "1", "banner": {"w": 300, "h": 250}}
    return msgspec.json.encode({"id": "r", "imp": [imp], "tmax": tmax_ms, "unknown": {"kept": 1}})


async def stays_silent(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    await reader.read()


@pytest.fixture
async def log(kafka_url: str, names: Names) -> AsyncIterator[KafkaLog]:
    log = KafkaLog(kafka_url, names.topics)
    await log.start()
    yield log
    await log.close()


@pytest.fixture
async def exchange(log: KafkaLog, names: Names, redis_url: str) -> AsyncIterator[Exchange]:
    async with Redis.from_url(redis_url) as redis:
        exchange = Exchange(log, names, redis)
        yield exchange
        await exchange.close()


@asynccontextmanager
async def bidders(exchange: Exchange, **given: tuple[dict[str, Any], Answer]) -> AsyncIterator[list[HostileBidder]]:
    """Registered bidders by name, each with its terms and what it answers."""
    terms = {name: ScenarioBidder({}, terms) for name, (terms, _) in given.items()}
    async with AsyncExitStack() as stack:
        listening = {
            name: await stack.enter_async_context(hostile_bidder(answer)) for name, (_, answer) in given.items()
        }
        await exchange.register(Scenario(request={}, expected={}, bidders=terms), listening)
        yield list(listening.values())


async def test_a_compressed_request_goes_to_those_who_take_it(exchange: Exchange) -> None:
    """Each of several such bidders gets in gzip what the others get as it is, its own time in it."""
    packed = {"accepts_gzip": True}
    async with bidders(exchange, alfa=({}, BIDS), bravo=(packed, BIDS), carl=(packed, BIDS)) as (alfa, *others):
        await exchange.hold(request())
        [(_, plain)] = alfa.requests
        for bidder in others:
            [(head, body)] = bidder.requests
            assert b"\r\nContent-Encoding: gzip\r\n" in head
            told = msgspec.json.decode(gzip.decompress(body))
            assert {**told, "tmax": 0} == {**msgspec.json.decode(plain), "tmax": 0}
            assert 0 < told["tmax"] <= 2_000


async def test_a_late_bidder_does_not_make_the_auction_late(exchange: Exchange) -> None:
    """The answer comes when the slow bidder's own time is over, long before the auction's, and the other one wins."""
    async with bidders(exchange, slow=({"timeout_ms": 100}, stays_silent), quick=({}, BIDS)):
        started = time.monotonic()
        result = await exchange.hold(request(tmax_ms=5_000))
        assert time.monotonic() - started < 2.5
    assert sorted(result.outcomes) == ["timeout", "won"]


async def test_a_bidder_that_fails_is_spared_and_comes_back_once_it_is_well(exchange: Exchange) -> None:
    """Most auctions pass it over, some still ask it; as soon as it answers again, it is asked more and more."""
    is_well = False

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await (BIDS if is_well else FAILS)(reader, writer)

    async def outcomes(auctions: int) -> Counter[str]:
        held = [(await exchange.hold(request())).outcomes for _ in range(auctions)]
        return Counter(outcome for each in held for outcome in each)

    async with bidders(exchange, alfa=({}, answer)):
        assert await outcomes(20) == {"error": 20}
        await outcomes(250)
        sick = await outcomes(100)
        assert sick["skipped"] > 35
        assert sick["skipped"] + sick["error"] == 100
        assert sick["error"] > 2
        is_well = True
        recovering = await outcomes(250)
        assert recovering["won"] > 25
        assert (await outcomes(50))["skipped"] / 50 < sick["skipped"] / 100 / 2


async def test_why_a_bidder_was_spared_is_in_the_log(exchange: Exchange, names: Names, kafka_url: str) -> None:
    """The event says how bad it was, with the code of a bidder that is left out to save calls."""
    async with bidders(exchange, alfa=({}, FAILS)):
        while "skipped" not in (await exchange.hold(request())).outcomes:
            pass
    events = [each.event for each in await read_topic(kafka_url, names.auctions)]
    [spared] = [each for each in events if each.get("outcome") == "skipped"]
    assert spared["code"] == 203
    assert "of the bidder's last calls" in spared["reason"]


async def test_an_impatient_publisher_does_not_spoil_a_bidders_health(exchange: Exchange) -> None:
    """Time-outs of calls that had next to no time leave the bidder's traffic as it was."""
    async with bidders(exchange, alfa=({"timeout_ms": 6}, stays_silent)):
        for _ in range(60):
            assert (await exchange.hold(request())).outcomes == ("timeout",)


async def test_an_answer_that_nobody_foresaw_costs_its_bidder_only(
    exchange: Exchange, monkeypatch: pytest.MonkeyPatch, names: Names, kafka_url: str
) -> None:
    """A defect in judging it is told loudly, the bidder's outcome is an error, and the others' auction goes on."""
    judged = fan_out.understood

    def understood(answer: BidderAnswer, *context: Any) -> Any:
        return judged(answer, *context) if b"seatbid" in answer.body else 1 / 0

    monkeypatch.setattr(fan_out, "understood", understood)
    odd = says(ok(b'{"id": "r", "nbr": 1}'))
    async with bidders(exchange, alfa=({}, BIDS), bravo=({}, odd)):
        with capture_logs() as logs:
            result = await exchange.hold(request())
        ids = {name: bidder_id for bidder_id, name in exchange.bidder_names.items()}
    assert sorted(result.outcomes) == ["error", "won"]
    [told] = [each for each in logs if each["log_level"] == "error"]
    assert (told["bidder_id"], told["exc_info"]) == (ids["bravo"], True)
    events = [each.event for each in await read_topic(kafka_url, names.auctions)]
    [refused] = [each for each in events if each["type"] == "bid_refused"]
    assert (refused["bidder_id"], refused["outcome"], refused["code"]) == (ids["bravo"], "error", 102)


async def test_a_call_that_is_not_made_is_not_counted(exchange: Exchange, redis_url: str) -> None:
    """A bidder that is passed over for want of time keeps all calls of its limit."""
    async with bidders(exchange, alfa=({"qps_limit": 3}, BIDS)):
        result = await exchange.hold(request(), received_ago_seconds=3)
        assert result.outcomes == ("skipped",)
        async with Redis.from_url(redis_url) as redis:
            [bidder_id] = exchange.bidder_names
            pattern = exchange.names.quota_key(bidder_id, 0).removesuffix("0") + "*"
            assert await redis.keys(pattern) == []
            await exchange.hold(request())
            assert len(await redis.keys(pattern)) == 1
