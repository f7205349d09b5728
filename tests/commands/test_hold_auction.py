"""What an auction does when its surroundings fail, and what bidders are told."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import msgspec
import pytest
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from commands import hold_auction
from commands.kafka_log import KafkaLog
from domain.errors import LogUnavailable, Overloaded
from domain.limits import ANSWER_RESERVE_MS
from domain.names import Names
from tests.commands.auction_scenario import Scenario, ScenarioBidder, closed_port, listening
from tests.commands.eventually import eventually
from tests.commands.exchange import Exchange
from tests.commands.hostile_bidder import HostileBidder
from tests.commands.topic_content import read_topic

REQUEST = {"id": "r", "imp": [{"id": "1", "banner": {"w": 300, "h": 250}}], "tmax": 3_000, "unknown": {"kept": 1}}
BODY = msgspec.json.encode(REQUEST)
BID = {"id": "r", "seatbid": [{"bid": [{"id": "b1", "impid": "1", "price": 1, "adm": "ad"}]}]}


@pytest.fixture
async def log(kafka_url: str, names: Names) -> AsyncIterator[KafkaLog]:
    log = KafkaLog(kafka_url, names.topics)
    await log.start()
    yield log
    await log.close()


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    async with Redis.from_url(redis_url) as redis:
        yield redis


@asynccontextmanager
async def exchange_with(
    exchange: Exchange, *, terms: dict[str, Any] | None = None, **answers: dict[str, Any]
) -> AsyncIterator[dict[str, HostileBidder]]:
    """Bidders with these answers, registered; all is closed in the end."""
    scenario = Scenario(
        request={}, expected={}, bidders={name: ScenarioBidder(answer, terms or {}) for name, answer in answers.items()}
    )
    async with AsyncExitStack() as stack:
        bidders = await stack.enter_async_context(listening(scenario))
        stack.push_async_callback(exchange.close)
        await exchange.register(scenario, bidders)
        yield bidders


async def outcomes(kafka_url: str, names: Names) -> list[tuple[str, Any]]:
    events = [each.event for each in await read_topic(kafka_url, names.auctions)]
    return [(each["type"], each.get("outcome")) for each in events]


async def test_what_a_bidder_is_told(log: KafkaLog, names: Names, redis: Redis) -> None:
    """The whole request, unknown fields included, with the time that is really left, as OpenRTB 2.6 JSON."""
    async with exchange_with(exchange := Exchange(log, names, redis), alfa={"json": BID}) as bidders:
        await exchange.hold(BODY)
    [(head, body)] = bidders["alfa"].requests
    told = msgspec.json.decode(body)
    assert {**told, "tmax": 3_000} == REQUEST
    assert 0 < told["tmax"] <= 3_000 - ANSWER_RESERVE_MS
    lines = {line.lower() for line in head.split(b"\r\n")}
    assert {b"content-type: application/json", b"x-openrtb-version: 2.6"} <= lines


async def test_a_bidder_that_allows_less_time_is_told_less(log: KafkaLog, names: Names, redis: Redis) -> None:
    """A bidder's own timeout bounds its `tmax`."""
    exchange = Exchange(log, names, redis)
    async with exchange_with(exchange, terms={"timeout_ms": 100}, alfa={"json": BID}) as bidders:
        await exchange.hold(BODY)
    assert msgspec.json.decode(bidders["alfa"].requests[0][1])["tmax"] <= 100


async def test_time_spent_before_the_auction_counts(log: KafkaLog, names: Names, redis: Redis) -> None:
    """A request that waited in front of the exchange for its whole tmax is not offered any more."""
    exchange = Exchange(log, names, redis)
    async with exchange_with(exchange, alfa={"json": BID}) as bidders:
        result = await exchange.hold(BODY, received_ago_seconds=3)
    assert (result.status, bidders["alfa"].requests) == (204, [])


async def test_a_limit_of_requests_per_second_holds(log: KafkaLog, names: Names, redis: Redis, kafka_url: str) -> None:
    """A bidder whose limit is used up, by whatever process, is skipped and not called."""
    exchange = Exchange(log, names, redis)
    async with exchange_with(exchange, terms={"qps_limit": 3}, alfa={"json": BID}) as bidders:
        [bidder_id] = exchange.bidder_names
        this_second = int(time.time())
        for second in range(this_second, this_second + 60):
            await redis.set(exchange.names.quota_key(bidder_id, second), 3, ex=60)
        result = await exchange.hold(BODY)
    assert (result.status, bidders["alfa"].requests) == (204, [])
    assert await outcomes(kafka_url, names) == [
        ("bid_requested", None),
        ("bid_refused", "skipped"),
        ("auction_unsold", None),
    ]


async def test_redis_away_ranks_in_the_process(log: KafkaLog, names: Names, redis: Redis, kafka_url: str) -> None:
    """An auction does not need Redis; the award says who ranked."""
    async with Redis(port=await closed_port(), retry=Retry(NoBackoff(), 0)) as away:
        exchange = Exchange(log, names, redis, hot_redis=away)
        async with exchange_with(exchange, terms={"qps_limit": 1}, alfa={"json": BID}):
            result = await exchange.hold(BODY)
    assert result.status == 200
    events = [each.event for each in await read_topic(kafka_url, names.auctions)]
    assert events[-1]["ranked_by"] == "process"


async def test_what_cannot_be_logged_is_not_answered(names: Names, redis: Redis) -> None:
    """With Kafka away there is no answer, and no bidder is asked for nothing."""
    away = KafkaLog(f"127.0.0.1:{await closed_port()}", names.topics)
    exchange = Exchange(away, names, redis)
    async with exchange_with(exchange, alfa={"json": BID}) as bidders:
        with pytest.raises(LogUnavailable):
            await exchange.hold(BODY)
    assert bidders["alfa"].requests == []


async def test_past_the_bound_auctions_are_refused_at_once(
    log: KafkaLog, names: Names, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is under way goes on; what comes on top is refused, and accepted again afterwards."""
    monkeypatch.setattr(hold_auction, "AUCTIONS_IN_FLIGHT_MAX", 2)
    exchange = Exchange(log, names, redis)
    async with exchange_with(exchange, terms={"timeout_ms": 1_000}, alfa={"silent": True}) as bidders:
        held = [asyncio.create_task(exchange.hold(BODY)) for _ in range(2)]
        await eventually(lambda: len(bidders["alfa"].requests) == 2)
        with pytest.raises(Overloaded):
            await exchange.hold(BODY)
        assert [(await each).status for each in held] == [204, 204]
        assert (await exchange.hold(BODY)).status == 204


async def test_a_test_auction_keeps_the_keys_of_endpoints(log: KafkaLog, names: Names, redis: Redis) -> None:
    """Whoever asks for one reads where a bidder listens, but nothing of what its address may hold as a secret."""
    exchange = Exchange(log, names, redis)
    terms = {"endpoint": "http://127.0.0.1:9/bid?key=secret"}
    async with exchange_with(exchange, terms=terms, alfa={"json": BID}):
        result = await exchange.hold(msgspec.json.encode({**REQUEST, "test": 1}))
    [call] = msgspec.json.decode(result.body)["ext"]["debug"]["calls"]
    assert call["endpoint"] == "http://127.0.0.1:9/bid"
    assert b"secret" not in result.body
