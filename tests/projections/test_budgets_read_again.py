"""What the accounts of campaigns say once Redis has lost some of them, or the log tells of something late."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest
from aiokafka import TopicPartition
from redis.asyncio import Redis

from commands.budgets import RedisBudgets
from commands.ports import Wanted
from commands.redis_pipeline import RedisPipeline
from domain.catalogue import FrequencyCap
from domain.events import AuctionAwarded, ClickRecorded, Event, ImpressionRecorded
from domain.limits import BUDGET_GRACE_SECONDS
from domain.names import Names
from projections.batch import Move
from projections.budget_settlement import SETTLE
from projections.budgets import Budgets
from projections.redis_store import RedisStore, offset_field
from tests.projections.budget_story import award, fresh_id, met

NOW = datetime.now(UTC)
DAY_S = 86_400


class Account:
    """The account of a campaign, on a log of one partition for auctions and one for engagements."""

    def __init__(self, redis: Redis, budgets: RedisBudgets, names: Names) -> None:
        self.redis, self.names = redis, names
        self._budgets = budgets
        self._projection = Budgets(names)
        self._store: RedisStore[list[str]] = RedisStore(redis, cast("Any", None), self._projection)
        self._log: dict[TopicPartition, list[Event]] = {
            TopicPartition(names.auctions, 0): [],
            TopicPartition(names.engagements, 0): [],
        }
        self._settle = redis.register_script(SETTLE)

    def append(self, *events: Event) -> None:
        """To their topics; nothing of it is read yet."""
        auctions, engagements = self._log.values()
        for event in events:
            (auctions if isinstance(event, AuctionAwarded) else engagements).append(event)

    async def read(self, *topics: str) -> None:
        """What the projection has not applied yet: of these topics, one after the other, or of all."""
        await self._store.begin(dict.fromkeys(self._log, 0))
        for topic in topics or [tp.topic for tp in self._log]:
            tp = TopicPartition(topic, 0)
            start, end = (await self._store.checkpoints())[tp].next_offset, len(self._log[tp])
            await self._store.apply(self._projection.fold(self._log[tp][start:]), {tp: Move(start, end)})

    async def settle(self, *, ahead_s: int = 0) -> None:
        """Releases what has ended by now, as the clocks have it; the accounts are known once all is read."""
        seconds, _ = await self.redis.time()
        ends = [
            part
            for tp, events in self._log.items()
            for part in (offset_field(tp), len(events), int(tp.topic == self.names.engagements))
        ]
        for look in range(1, 3):
            await self._settle(
                keys=self.names.budget_keys, args=[seconds + ahead_s + look, 0, BUDGET_GRACE_SECONDS, 1_000, *ends]
            )

    async def spent_and_reserved(self) -> tuple[int, int]:
        return (await self._budgets.state_of("c-1"))[:2]

    async def refusal(self, cap: FrequencyCap) -> str:
        """Why the person "p" is not shown the campaign again; empty: it is."""
        at = datetime.now(UTC)
        wanted = Wanted("c-1", fresh_id(), "1", 1, at, at + timedelta(hours=1), 1_000, None, cap, "p")
        (reason,) = await self._budgets.reserve([wanted])
        return reason or ""


@asynccontextmanager
async def an_account(redis_url: str) -> AsyncIterator[Account]:
    names = Names(f"t{fresh_id()}")
    async with Redis.from_url(redis_url) as redis:
        pipeline = RedisPipeline(redis, timeout_s=5.0)
        account = Account(redis, RedisBudgets(pipeline, names), names)
        await account.settle()
        yield account
        await pipeline.close()


@pytest.mark.parametrize("first", ["auctions", "engagements"])
async def test_a_cap_of_a_week_remembers_the_day_before_yesterday(redis_url: str, first: str) -> None:
    """Whichever topic is read to its end first, long before the other one."""
    async with an_account(redis_url) as account:
        shown = award(100, at=NOW - timedelta(days=2), person="p")
        account.append(shown, met(ImpressionRecorded, shown, at=shown.at))
        for topic in (first, "auctions", "engagements"):
            await account.read(getattr(account.names, topic))
            await account.settle()
        assert await account.spent_and_reserved() == (100, 0)
        assert "frequency cap" in await account.refusal(FrequencyCap(1, 7 * DAY_S))
        assert await account.refusal(FrequencyCap(1, DAY_S)) == ""


@pytest.mark.parametrize("lost", [["offsets"], ["offsets", "accounts"], ["offsets", "held", "ends", "changed"]])
@pytest.mark.parametrize("is_read_at_once", [True, False])
async def test_offsets_that_are_lost_take_the_accounts_along(
    redis_url: str, lost: list[str], is_read_at_once: bool
) -> None:
    """The log is read from its beginning then, and may not be added to what had been read before."""
    async with an_account(redis_url) as account:
        old, new = award(100, at=NOW - timedelta(days=2)), award(20)
        account.append(old, new, award(3), met(ImpressionRecorded, old, at=old.at), met(ImpressionRecorded, new))
        await account.read()
        await account.settle()
        assert await account.spent_and_reserved() == (120, 3)
        await account.redis.delete(*(key for key in account.names.budget_keys if key.rpartition(":")[2] in lost))
        if is_read_at_once:
            await account.read()
        await account.settle()
        await account.read()
        await account.settle()
        assert await account.spent_and_reserved() == (120, 3)


@pytest.mark.parametrize("kind", [ImpressionRecorded, ClickRecorded])
async def test_a_second_hit_that_is_logged_hours_later_costs_nothing(
    redis_url: str, kind: type[ImpressionRecorded | ClickRecorded]
) -> None:
    """As where a spool brings it whose process was down meanwhile."""
    async with an_account(redis_url) as account:
        of_hours_ago = award(
            100, at=NOW - timedelta(hours=20), charged_on="click" if kind is ClickRecorded else "impression"
        )
        hits = [met(kind, of_hours_ago, at=of_hours_ago.at + timedelta(seconds=seconds)) for seconds in (5, 6)]
        account.append(of_hours_ago)
        for hit in hits:
            account.append(hit)
            await account.read()
            await account.settle()
        assert await account.spent_and_reserved() == (100, 0)


async def test_clocks_that_were_wrong_for_a_moment(redis_url: str) -> None:
    """What was released by them is released; what is reserved from then on stays so."""
    async with an_account(redis_url) as account:
        account.append(award(100))
        await account.read()
        await account.settle()
        assert await account.spent_and_reserved() == (0, 100)
        await account.settle(ahead_s=DAY_S)
        assert await account.spent_and_reserved() == (0, 0)
        await account.settle()
        account.append(award(20))
        await account.read()
        for _ in range(2):
            await account.settle()
            assert await account.spent_and_reserved() == (0, 20)
