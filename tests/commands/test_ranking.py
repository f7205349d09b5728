"""Ranking in Redis: the same total order as in the process, on whatever comes in."""

from __future__ import annotations

import random
import socket
import uuid
from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from commands.ranking import RANKING_EXPIRY_SECONDS, RedisRanking
from commands.redis_pipeline import RedisPipeline
from domain.auction import Candidate
from domain.limits import PRICE_MAX_MICROS
from domain.names import Names


@pytest.fixture
def names() -> Names:
    """Keys of its own; no topics are needed here."""
    return Names(f"t{uuid.uuid4().hex[:12]}")


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    async with Redis.from_url(redis_url) as redis:
        yield redis


def bids(dice: random.Random, number: int) -> list[Candidate]:
    """Random bids with many equal prices, some of them the highest that is allowed."""
    prices = [0, 1, 999_999, 1_000_000, PRICE_MAX_MICROS - 1, PRICE_MAX_MICROS]
    return [
        Candidate(
            bidder_id=f"bidder-{dice.randrange(10**6)}",
            bid_id=f"bid-{arrival}",
            seat="",
            price_micros=dice.choice(prices),
            floor_micros=0,
            deal_id=dice.choice([None, None, "deal"]),
            deal_at=None,
            arrival=arrival,
        )
        for arrival in dice.sample(range(1_000), number)
    ]


def expected(candidates: list[Candidate]) -> list[str]:
    """Deal preference, then price, then arrival: written down from the design, not from the code."""
    order = sorted(candidates, key=lambda each: (each.deal_id is None, -each.price_micros, each.arrival))
    return [each.bid_id for each in order]


@pytest.mark.parametrize("seed", range(20))
async def test_order_in_redis(redis: Redis, names: Names, seed: int) -> None:
    """Several imps at once are ranked by deal, price and arrival; one without bids stays empty."""
    dice = random.Random(seed)
    candidates = {f"imp-{i}": bids(dice, dice.randrange(1, 60)) for i in range(5)} | {"none": []}
    ranked = await RedisRanking(RedisPipeline(redis, timeout_s=1.0), names).rank(f"auction-{seed}", candidates)
    assert ranked.ranked_by == "redis"
    assert {imp: [each.bid_id for each in order] for imp, order in ranked.by_imp.items()} == {
        imp: expected(each) for imp, each in candidates.items()
    }


async def test_order_without_redis(names: Names) -> None:
    """With Redis away the process ranks by the same rule, and says so."""
    candidates = bids(random.Random(7), 50)
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        async with Redis(port=unused.getsockname()[1], retry=Retry(NoBackoff(), 0)) as away:
            ranked = await RedisRanking(RedisPipeline(away, timeout_s=1.0), names).rank("auction", {"imp": candidates})
    assert ranked.ranked_by == "process"
    assert [each.bid_id for each in ranked.by_imp["imp"]] == expected(candidates)


async def test_a_ranking_is_left_behind_for_a_while(redis: Redis, names: Names) -> None:
    """The sorted set can be looked at after the auction, and goes away by itself."""
    candidates = bids(random.Random(3), 4)
    await RedisRanking(RedisPipeline(redis, timeout_s=1.0), names).rank("a", {"1": candidates})
    key = names.ranking_key("a", "1")
    assert await redis.zcard(key) == 4
    assert 0 < await redis.ttl(key) <= RANKING_EXPIRY_SECONDS
