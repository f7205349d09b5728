"""What the log does to a campaign's account, in whatever order its two topics are read, against a plain recount."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any, NamedTuple, cast

import pytest
from aiokafka import TopicPartition
from hypothesis import given, settings
from hypothesis import strategies as st
from redis.asyncio import Redis

from domain.event_parts import EngagementKind
from domain.events import AuctionAwarded, ClickRecorded, Event, ImpressionRecorded
from domain.names import Names
from projections.batch import Move
from projections.budget_settlement import SETTLE
from projections.budgets import Budgets
from projections.redis_store import RedisStore, offset_field
from projections.store import FenceLost
from tests.projections.budget_story import award, fresh_id, met, void

NOW = datetime.now(UTC)


class Plan(NamedTuple):
    """One imp that a campaign won, and what is logged of it."""

    nanos: int
    charged_on: EngagementKind
    days_ago: int
    is_over: bool
    """Nothing can come of the award any more."""
    impressions: int
    clicks: int
    charged: bool
    is_refunded: bool


plans = st.lists(
    st.builds(
        Plan,
        nanos=st.one_of(st.integers(1, 50), st.integers(10**16, 10**17)),
        charged_on=st.sampled_from(["impression", "click"]),
        days_ago=st.integers(0, 1),
        is_over=st.booleans(),
        impressions=st.integers(0, 3),
        clicks=st.integers(0, 2),
        charged=st.booleans(),
        is_refunded=st.booleans(),
    ),
    max_size=8,
)


def story(plan: Plan) -> tuple[AuctionAwarded, list[Event]]:
    """The award, and what follows on the topic of engagements."""
    at = NOW - timedelta(days=plan.days_ago)
    won = award(plan.nanos, at=at, charged_on=plan.charged_on, shown_s=-86_400 if plan.is_over else 86_400 * 3)
    clicks = [met(ClickRecorded, won, at=at, charged=plan.charged) for _ in range(plan.clicks)]
    impressions = [met(ImpressionRecorded, won) for _ in range(plan.impressions)]
    refunds = [void(impressions[0])] * 2 if plan.is_refunded and impressions else []
    return won, [*clicks[:1], *impressions, *clicks[1:], *refunds]


def expected(made: Sequence[Plan]) -> dict[str, int]:
    """Added up by what each plan means."""
    sums = dict.fromkeys(("spent", "reserved", "day_spent", "day_reserved", "impressions", "clicks"), 0)
    for plan in made:
        counts = plan.impressions > 0 and not plan.is_refunded
        sums["impressions"] += counts
        sums["clicks"] += plan.clicks > 0
        is_paid = counts if plan.charged_on == "impression" else plan.clicks > 0 and plan.charged
        is_held = plan.charged_on == "impression" and plan.impressions == 0 and not plan.is_over
        for name, nanos in (("spent", is_paid * plan.nanos), ("reserved", is_held * plan.nanos)):
            sums[name] += nanos
            sums[f"day_{name}"] += nanos * (plan.days_ago == 0)
    return sums


@settings(max_examples=40, deadline=None)
@given(made=plans, choices=st.randoms(use_true_random=False), batches=st.integers(1, 4))
async def test_any_interleaving_gives_the_same_account(
    redis_url: str, made: list[Plan], choices: Random, batches: int
) -> None:
    """Awards before or after their impressions, in batches of any size, some of them sent a second time."""
    stories = [story(plan) for plan in made]
    merged = interleaved([won for won, _ in stories], [event for _, followed in stories for event in followed], choices)
    names = Names(f"t{fresh_id()}")
    async with Redis.from_url(redis_url) as redis:
        projection = Budgets(names)
        store: RedisStore[list[str]] = RedisStore(redis, cast("Any", None), projection)
        log = TopicPartition(names.auctions, 0)
        await store.begin({log: 0})
        size = max(1, len(merged) // batches)
        for start in range(0, len(merged), size):
            rows = projection.fold(merged[start : start + size])
            await store.apply(rows, {log: Move(start, start + size)})
            with pytest.raises(FenceLost):
                await store.apply(rows, {log: Move(start, start + size)})
            await settle(redis, names, log, len(merged))
        assert await account_of(redis, names) == expected(made)


def interleaved(awards: list[AuctionAwarded], engagements: list[Event], choices: Random) -> list[Event]:
    """Two topics as one reader may meet them: each in its own order."""
    merged: list[Event] = []
    queues: list[list[Event]] = [[*awards], [*engagements]]
    while any(queues):
        merged.append(choices.choice([queue for queue in queues if queue]).pop(0))
    return merged


async def settle(redis: Redis, names: Names, log: TopicPartition, end: int) -> None:
    """Once all is read, whatever has ended is released; before that, nothing."""
    seconds, _ = await redis.time()
    await redis.register_script(SETTLE)(keys=names.budget_keys, args=[seconds, 0, 0, 1_000, offset_field(log), end, 1])


async def account_of(redis: Redis, names: Names) -> dict[str, int]:
    """The words of the account, without its older day."""
    text = cast("bytes | None", await redis.hget(names.budget_data[0], "c-1"))
    spent, reserved, day, of_day, held_of_day, _, _, _, impressions, clicks, _ = (
        text.decode() if text else "0 0 - 0 0 - 0 0 0 0 0"
    ).split()
    is_today = day == NOW.date().isoformat()
    return {
        "spent": int(spent),
        "reserved": int(reserved),
        "day_spent": int(of_day) * is_today,
        "day_reserved": int(held_of_day) * is_today,
        "impressions": int(impressions),
        "clicks": int(clicks),
    }
