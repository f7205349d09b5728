"""Campaigns' budgets on a real Redis, against a plain model of what an account is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from commands.budgets import RedisBudgets
from commands.charge_click import ChargeClick
from commands.ports import Position, Wanted
from commands.redis_pipeline import RedisPipeline
from domain.catalogue import FrequencyCap
from domain.errors import LogUnavailable
from domain.events import Event
from domain.names import Names
from domain.tokens import EngagementClaims
from projections.budget_settlement import SETTLE
from tests.commands.auction_scenario import Scenario, closed_port
from tests.commands.exchange import Exchange
from tests.commands.sample_events import fresh_id

NOON = datetime(2126, 3, 1, 12, tzinfo=UTC)
"""So late that Redis forgets nothing of these tests while they run."""
NO_RETRY = Retry(NoBackoff(), 0)
LARGE = 2**53 + 1
"""Where a floating-point number can no longer tell a sum from the next."""


def wanted(
    number: int = 1, nanos: int = 100, *, budget: int = 1_000, campaign: str = "c-1", at: datetime = NOON, **more: Any
) -> Wanted:
    plain = Wanted(campaign, f"a-{number}", "1", nanos, at, at + timedelta(hours=1), budget, None, None, "")
    return plain._replace(**more)


async def make_known(redis: Redis, names: Names) -> None:
    """As the projection does once it has applied an empty log."""
    settle = redis.register_script(SETTLE)
    seconds, micros = await redis.time()
    for look in range(2):
        await settle(keys=names.budget_keys, args=[f"{seconds + look}.{micros:06}", 0, "", 1])


@asynccontextmanager
async def budgets_on(redis_url: str, *, known: bool = True) -> AsyncIterator[tuple[RedisBudgets, Redis, Names]]:
    names = Names(f"t{fresh_id()}")
    async with Redis.from_url(redis_url) as redis:
        if known:
            await make_known(redis, names)
        pipeline = RedisPipeline(redis, timeout_s=5.0)
        yield RedisBudgets(pipeline, names), redis, names
        await pipeline.close()


async def reasons(budgets: RedisBudgets, asked: Sequence[Wanted]) -> list[str]:
    return [reason or "" for reason in await budgets.reserve(asked)]


async def test_no_more_is_reserved_than_the_budget_holds(redis_url: str) -> None:
    """The last nano-unit is given, the next one is refused with a sentence."""
    async with budgets_on(redis_url) as (budgets, _, _):
        assert await reasons(budgets, [wanted(1, 600), wanted(2, 400)]) == ["", ""]
        (refused,) = await reasons(budgets, [wanted(3, 1)])
        assert "budget has no room" in refused
        state = await budgets.state_of("c-1")
        assert (state.spent_nanos, state.reserved_nanos, state.day_reserved_nanos) == (0, 1_000, 1_000)
        assert await reasons(budgets, [wanted(3, 1, campaign="c-2")]) == [""]


async def test_the_day_has_a_budget_of_its_own(redis_url: str) -> None:
    """The next day has room again, the day before still counts its own, and one before that is over."""
    async with budgets_on(redis_url) as (budgets, _, _):
        days = [NOON + timedelta(days=day) for day in (0, 1, 0, 1, -1)]
        asked = [wanted(n, 60, daily_budget_nanos=100, at=at) for n, at in enumerate(days)]
        told = await reasons(budgets, asked)
        assert told[:2] == ["", ""]
        assert "of the day" in told[2]
        assert "of the day" in told[3]
        assert "day of the award is over" in told[4]


async def test_an_award_that_is_not_logged_gives_back_what_it_reserved(redis_url: str) -> None:
    """Once; and nothing of what another campaign holds for the same imp."""
    async with budgets_on(redis_url) as (budgets, _, _):
        await budgets.reserve([wanted(1), wanted(2)])
        await budgets.release([wanted(1, campaign="c-2")])
        assert (await budgets.state_of("c-1")).reserved_nanos == 200
        for _ in range(2):
            await budgets.release([wanted(1)])
            assert (await budgets.state_of("c-1")).reserved_nanos == 100


async def test_an_imp_that_is_decided_again_is_reserved_once(redis_url: str) -> None:
    """Asked twice the same, or for another price, or by another campaign, it costs once."""
    async with budgets_on(redis_url) as (budgets, _, _):
        assert await reasons(budgets, [wanted(1, 900), wanted(1, 900), wanted(1, 800)]) == ["", "", ""]
        assert (await budgets.state_of("c-1")).reserved_nanos == 800
        assert await reasons(budgets, [wanted(1, 700, campaign="c-2")]) == [""]
        assert (await budgets.state_of("c-1")).reserved_nanos == 0
        assert (await budgets.state_of("c-2")).reserved_nanos == 700


async def test_clicks_are_charged_while_there_is_budget(redis_url: str) -> None:
    """A click and the impression of the same ad are two things; a click met twice costs once."""
    async with budgets_on(redis_url) as (budgets, _, _):
        assert await reasons(budgets, [wanted(1, 0)]) == [""]
        assert [await budgets.charge_click(wanted(n, 400)) for n in (1, 1, 2, 3)] == [None, None, None, "no_budget"]
        assert (await budgets.state_of("c-1")).reserved_nanos == 800


async def test_a_click_of_a_campaign_that_this_process_has_not_heard_of(redis_url: str) -> None:
    """As one that was started while Redis was away: nobody can tell whether there is room."""
    claims = EngagementClaims(
        kind="click",
        auction_id="a-1",
        imp_id="1",
        bidder_id="direct",
        bid_id="x",
        price_micros=1,
        clearing_price_micros=1,
        revenue_micros=1,
        currency="USD",
        awarded_at=NOON,
        expires_at=int(NOON.timestamp()) + 60,
        campaign_id="c-1",
        charged_on="click",
        charge_nanos=400,
    )
    async with budgets_on(redis_url) as (budgets, _, _):
        assert await ChargeClick(budgets, lambda _: None)(claims, NOON) == "budget_unknown"
        assert (await budgets.state_of("c-1")).reserved_nanos == 0


async def test_a_person_meets_a_campaign_no_more_often_than_it_wants(redis_url: str) -> None:
    """Ads that may yet be shown count, for the window from the last moment at which they may be; strangers get none."""
    async with budgets_on(redis_url) as (budgets, _, _):

        async def asks(number: int, person: str, minutes: int) -> str:
            at = NOON + timedelta(minutes=minutes)
            cap = FrequencyCap(impressions=2, per_seconds=600)
            (told,) = await reasons(budgets, [wanted(number, 1, frequency_cap=cap, person=person, at=at)])
            return told

        assert [await asks(n, "ann", 0) for n in (1, 2)] == ["", ""]
        assert "frequency cap" in await asks(3, "ann", 0)
        assert await asks(4, "bob", 0) == ""
        assert "nothing may be known" in await asks(5, "", 0)
        assert "frequency cap" in await asks(6, "ann", 60 + 9)
        assert await asks(7, "ann", 60 + 10) == ""
        assert (await budgets.state_of("c-1")).reserved_nanos == 4


async def test_sums_beyond_floating_point_are_exact(redis_url: str) -> None:
    """A budget of more nano-units than a float can count is used up to the last one."""
    async with budgets_on(redis_url) as (budgets, _, _):
        budget = LARGE * 2 + 1
        told = await reasons(budgets, [wanted(n, each, budget=budget) for n, each in enumerate((LARGE, LARGE, 1, 1))])
        assert told[:3] == ["", "", ""]
        assert "no room" in told[3]
        assert (await budgets.state_of("c-1")).reserved_nanos == budget


@pytest.mark.parametrize("lost", ["everything", "accounts", "held", "ends", "changed", "offsets"])
async def test_a_redis_that_forgot_something_reserves_nothing(redis_url: str, lost: str) -> None:
    """Flushed, or with any part of its memory evicted: what was spent is not known, and nobody is told otherwise."""
    async with budgets_on(redis_url) as (budgets, redis, names):
        await budgets.start()
        assert repr(budgets).endswith("are_known=True)")
        assert await reasons(budgets, [wanted(1)]) == [""]
        keys = [key for key in names.budget_keys if lost == "everything" or key.endswith(lost)]
        assert keys
        await redis.delete(*keys)
        (told,) = await reasons(budgets, [wanted(2)])
        assert "being read from the log" in told
        async with asyncio.timeout(10):
            while budgets.are_known:  # noqa: ASYNC110 - what is waited for happens in Redis
                await asyncio.sleep(0.05)
        await budgets.close()


async def test_nothing_is_known_before_the_log_was_read(redis_url: str) -> None:
    """A Redis that nobody has filled yet knows of no spending, which does not mean that there was none."""
    async with budgets_on(redis_url, known=False) as (budgets, _, _):
        await budgets.start()
        assert not budgets.are_known
        (told,) = await reasons(budgets, [wanted(1)])
        assert "being read from the log" in told
        assert await budgets.charge_click(wanted(1)) == "budget_unknown"
        await budgets.close()


async def test_without_redis_nothing_is_reserved(names: Names) -> None:
    """Whoever asks is told why, at once; giving back is not an error either."""
    async with Redis(port=await closed_port(), retry=NO_RETRY) as away:
        budgets = RedisBudgets(RedisPipeline(away, timeout_s=0.25), names)
        (told,) = await reasons(budgets, [wanted(1)])
        assert "Redis does not answer" in told
        assert await budgets.charge_click(wanted(1)) == "budget_unknown"
        await budgets.release([wanted(1)])
        assert not budgets.are_known


async def test_every_process_learns_what_all_have_reserved(redis_url: str) -> None:
    """More accounts than one answer holds come at the start, a change soon after, and only what changed is read."""
    async with budgets_on(redis_url) as (budgets, redis, names):
        many = [wanted(n, n + 1, budget=1_500, campaign=f"c-{n}") for n in range(1_500)]
        assert set(await reasons(budgets, many)) == {""}
        other = RedisBudgets(RedisPipeline(redis, timeout_s=5.0), names)
        await other.start()
        assert other.are_known
        assert {name: state.reserved_nanos for name, state in other.states.items()} == {
            f"c-{n}": n + 1 for n in range(1_500)
        }
        await budgets.reserve([wanted(9_000, 5, campaign="c-7")])
        async with asyncio.timeout(10):
            while other.states["c-7"].reserved_nanos != 13:  # noqa: ASYNC110 - what is waited for happens in Redis
                await asyncio.sleep(0.05)
        await other.close()


class Account:
    """What a campaign's account should be, in plain numbers."""

    def __init__(self, budget: int, daily: int) -> None:
        self.budget, self.daily = budget, daily
        self.held: dict[int, tuple[int, int]] = {}

    def reserve(self, number: int, nanos: int, day: int) -> bool:
        if self.held.get(number, (0, 0))[0] == nanos:
            return True
        self.held.pop(number, None)
        newest = max([day for _, day in self.held.values()] + [day])
        if self.sum() + nanos > self.budget or self.sum(day) + nanos > self.daily or newest - day > 1:
            return False
        self.held[number] = (nanos, day)
        return True

    def sum(self, day: int | None = None) -> int:
        return sum(nanos for nanos, its_day in self.held.values() if day in (None, its_day))


amounts = st.one_of(st.integers(1, 50), st.integers(1, 50).map(lambda n: n * 999_999_999), st.integers(1, 10**18))
steps = st.lists(
    st.tuples(st.booleans(), st.integers(0, 8), amounts, st.integers(0, 1)),
    max_size=25,
)


@settings(max_examples=60, deadline=None)
@given(steps=steps, budget=st.integers(0, 2 * 10**18), daily=st.integers(0, 2 * 10**18))
async def test_whatever_is_asked_the_account_is_the_plain_one(
    redis_url: str, steps: list[tuple[bool, int, int, int]], budget: int, daily: int
) -> None:
    """Reserved, refused, asked again and given back in any order, any sums: the plain account's answers and sums."""
    async with budgets_on(redis_url) as (budgets, _, _):
        # So that both days are there from the start: an older one would be over.
        for day in (0, 1):
            await budgets.reserve([wanted(100 + day, 1, budget=1, at=NOON + timedelta(days=day))])
            await budgets.release([wanted(100 + day)])
        account = Account(budget, daily)
        for gives_back, number, nanos, day in steps:
            at = NOON + timedelta(days=day)
            asked = wanted(number, nanos, budget=budget, daily_budget_nanos=daily, at=at)
            if gives_back:
                await budgets.release([asked])
                account.held.pop(number, None)
            else:
                told = await reasons(budgets, [asked])
                assert (told == [""]) == account.reserve(number, nanos, day), told
            state = await budgets.state_of("c-1")
            assert (state.reserved_nanos, state.day_reserved_nanos) == (account.sum(), account.sum(1))


class SuspendedLog:
    """Takes longer for an append than any process that is not suspended."""

    def check(self, topic: str, key: str) -> None:
        """Always open."""

    async def append(self, topic: str, key: str, events: Sequence[Event]) -> Position:
        await asyncio.sleep(0.2)
        return Position(topic, 0, len(events))


async def test_an_award_that_was_logged_too_late_is_not_answered(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By then its reservation may be forgotten, and the budget spent by others."""
    asked = {"id": "r", "imp": [{"id": "1", "banner": {"w": 300, "h": 250}}]}
    told = {"request": asked, "catalogue": {"campaigns": {"autumn": {"bid_cpm": "2.00"}}}, "expected": {}}
    scenario = msgspec.convert(told, Scenario)
    async with Redis.from_url(redis_url) as redis:
        exchange = Exchange(SuspendedLog(), Names("unused"), redis)
        await exchange.register(scenario, {})
        assert (await exchange.hold(scenario.body)).status == 200
        monkeypatch.setattr("commands.hold_auction.BUDGET_IN_FLIGHT_SECONDS", 0.1)
        with pytest.raises(LogUnavailable, match="reservation"):
            await exchange.hold(scenario.body)
        await exchange.close()
