"""Campaigns in auctions that follow one another, on a real Redis: what one auction reserves, the next one finds."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import msgspec
import pytest
from redis.asyncio import Redis

from commands.ports import Position
from domain.codec import encode
from domain.errors import LogUnavailable, Overloaded
from domain.events import Event
from domain.names import Names
from domain.replay import replay
from tests.commands.auction_scenario import Scenario
from tests.commands.exchange import Exchange

IN_ALL = 40
"""Auctions that are held at once."""


class Log:
    """Keeps what it is given, or fails as it is told."""

    def __init__(self) -> None:
        self.auctions: list[Sequence[Event]] = []
        self.fails: Exception | None = None

    def check(self, topic: str, key: str) -> None:
        """Always open."""

    async def append(self, topic: str, key: str, events: Sequence[Event]) -> Position:
        if self.fails is not None:
            raise self.fails
        self.auctions.append(events)
        return Position(topic, 0, len(self.auctions))


@pytest.fixture
def log() -> Log:
    return Log()


@pytest.fixture
async def exchange(log: Log, redis_url: str) -> AsyncIterator[Exchange]:
    async with Redis.from_url(redis_url) as redis:
        exchange = Exchange(log, Names("unused"), redis)
        yield exchange
        await exchange.close()


def scenario(campaigns: dict[str, Any], *, budgets: dict[str, Any] | None = None, **request: Any) -> Scenario:
    asked = {"id": "r", "imp": [{"id": "1", "banner": {"w": 300, "h": 250}, "bidfloor": 1}], **request}
    told = {"request": asked, "catalogue": {"campaigns": campaigns}, "budgets": budgets or {}, "expected": {}}
    return msgspec.convert(told, Scenario)


def winners(log: Log) -> list[str | None]:
    """The campaign of each auction, in the order in which they came to the log."""
    told = [msgspec.json.decode(encode(events[-1])) for events in log.auctions]
    return [each.get("direct", {}).get("campaign_id") for each in told]


async def test_auctions_at_once_do_not_overspend(exchange: Exchange, log: Log) -> None:
    """A budget for ten impressions is reserved ten times; the others go to the next campaign, and all replay so."""
    tight, wide = {"bid_cpm": "5.00", "budget": "10.00"}, {"bid_cpm": "2.00"}
    held = scenario({"tight": tight, "wide": wide}, budgets={"tight": {"spent": "9.99"}})
    await exchange.register(held, {})
    await asyncio.gather(*(exchange.hold(held.body) for _ in range(IN_ALL)))
    found = winners(log)
    assert (found.count("tight"), found.count("wide")) == (10, IN_ALL - 10)
    assert await exchange.reserved() == {"tight": "0.01", "wide": "0.03"}
    assert all(replay(events).differences == () for events in log.auctions)


async def test_even_pacing_holds_within_one_second(exchange: Exchange, log: Log) -> None:
    """A process counts what it reserves itself: it does not spend a morning's budget before it first hears of it."""
    # 8.64 over a hundred days are 0.000001 a second, so that the five minutes of lead are three impressions.
    even = {"bid_cpm": "0.10", "budget": "8.64", "pacing": "even", "starts_at": "-0m", "ends_at": "+2400h"}
    held = scenario({"even": even}, imp=[{"id": "1", "banner": {"w": 300, "h": 250}}], at=1)
    await exchange.register(held, {})
    for _ in range(IN_ALL):
        await exchange.hold(held.body)
    assert 3 <= winners(log).count("even") <= 5


async def test_what_is_not_going_to_be_logged_is_given_back(exchange: Exchange, log: Log) -> None:
    """An auction that the full log refuses at once reserves nothing; of one that may yet be logged everything stays."""
    held = scenario({"autumn": {"bid_cpm": "2.00"}})
    await exchange.register(held, {})
    log.fails = Overloaded("The log is full.")
    with pytest.raises(Overloaded):
        await exchange.hold(held.body)
    assert await exchange.reserved() == {"autumn": "0.00"}
    log.fails = LogUnavailable()
    with pytest.raises(LogUnavailable):
        await exchange.hold(held.body)
    assert await exchange.reserved() == {"autumn": "0.001"}


async def test_a_person_meets_a_capped_campaign_no_more_often(exchange: Exchange, log: Log) -> None:
    """Three times in any hour, in whatever auctions; another person is shown it all the same."""
    capped = {"bid_cpm": "2.00", "frequency_cap": {"impressions": 3, "per_seconds": 3600}}
    browser = "Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0"
    held = scenario({"capped": capped}, device={"ua": browser, "ip": "192.0.2.1"})
    await exchange.register(held, {})
    for _ in range(5):
        await exchange.hold(held.body)
    assert winners(log) == ["capped", "capped", "capped", None, None]
    await exchange.hold(scenario({}, device={"ua": browser, "ip": "198.51.100.1"}).body)
    assert winners(log)[-1] == "capped"


async def test_a_redis_that_is_away_keeps_campaigns_out(log: Log, redis_url: str) -> None:
    """Nothing is promised that nobody counts; the auction itself goes on."""
    async with (
        Redis.from_url(redis_url) as redis,
        Redis.from_url("redis://127.0.0.1:1", socket_connect_timeout=0.2) as away,
    ):
        exchange = Exchange(log, Names("unused"), redis, hot_redis=away)
        held = scenario({"autumn": {"bid_cpm": "2.00"}})
        await exchange.register(held, {})
        result = await exchange.hold(held.body)
        await exchange.close()
    assert (result.status, result.outcomes) == (204, ("skipped",))
