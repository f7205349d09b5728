"""When a load is decided or given up, and that it is done once."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from commands.feeds.decide_run import DecideRun
from commands.feeds.redis_runs import RedisRuns
from commands.feeds.sweep_runs import EXPECTED_FOR_SECONDS, SweepRuns
from domain.catalogue import FeedClient
from domain.errors import Unavailable
from domain.feeds.runs import Run
from domain.limits import FEED_RUN_PATIENCE_SECONDS, FEED_START_PATIENCE_SECONDS, FEED_UNNAMED_RUN_PATIENCE_SECONDS
from tests.commands.feeds.test_uploads import Desk, desk
from tests.commands.sample_events import fresh_id

__all__ = ["desk"]

SINCE = 7
RUN = "run-1"


class SetClock:
    """It stands still until it is put forward."""

    def __init__(self) -> None:
        self.passed_s = 0.0

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return self.passed_s


class Decisions:
    """Of the runs of the desk's client, as another process of the API sees them."""

    def __init__(self, desk: Desk, **terms: Any) -> None:
        self.desk, self.clock = desk, SetClock()
        self.applied, self.log_end, self.records_before = 0, 0, 100
        self._client = FeedClient(name="provider", **terms)
        runs = RedisRuns(desk.redis, desk.names)
        self.decide = DecideRun(
            log=desk.log,
            names=desk.names,
            runs=runs,
            terms_of=self._terms_of,
            records_before=self._records_before,
            clock=self.clock,
            ids=fresh_id,
        )
        self.sweep = SweepRuns(runs=runs, decide=self.decide, reach=self._reach, clock=self.clock)

    async def seen(self, status: str, *, mode: str = "merge", lines: int = 1, may_be_resumed: bool = True) -> None:
        """The consumer has met the run, and has it open."""
        figures = (lines, 0, lines if status == "loading" else 0, 0, lines + 1, "", "", may_be_resumed)
        await self.desk.seen(RUN, SINCE, mode, status, *figures)
        names, client = self.desk.names, self.desk.sender.id
        await self.desk.redis.hset(names.feed_state(client), "undecided", RUN)
        await self.desk.redis.hset(names.feed_progress("bulk")[2], f"0 {client}", lines)

    async def changes_applied(self, to: int) -> None:
        await self.desk.redis.hset(self.desk.names.feed_state(self.desk.sender.id), "changes", to)

    async def logged(self) -> list[tuple[str, str]]:
        return [(each["type"], each.get("reason", "")) for each in await self.desk.bulk_log()]

    async def _terms_of(self, _client: str) -> FeedClient:
        return self._client

    async def _records_before(self, _client: str) -> int:
        return self.records_before

    async def _reach(self) -> Callable[[str], tuple[int, int]]:
        return lambda _client: (self.applied, self.log_end)


async def test_a_load_is_compared_with_all_that_there_is(desk: Desk) -> None:
    """What changes have brought before it is part of that, so they have to be applied."""
    decisions = Decisions(desk, allowed_shrinkage_percent=10)
    await decisions.seen("loading", mode="replace")
    decisions.records_before = 0
    for applied in (None, SINCE - 1):
        if applied is not None:
            await decisions.changes_applied(applied)
        assert not await decisions.decide(desk.sender.id, RUN)
    assert await decisions.logged() == []
    await decisions.changes_applied(SINCE)
    decisions.records_before = 100
    assert await decisions.decide(desk.sender.id, RUN)
    [(kind, reason)] = await decisions.logged()
    assert kind == "feed_load_failed"
    assert reason.startswith("1 records would replace 100")


async def test_a_decision_is_not_written_again_while_it_waits(desk: Desk) -> None:
    """Neither while the log may hold one that was not met, nor while the one that was just written is not."""
    decisions = Decisions(desk)
    await decisions.seen("loading")
    decisions.applied, decisions.log_end = 4, 9
    for _ in range(3):
        await decisions.sweep.sweep()
    assert await decisions.logged() == []
    # Others load as well: there is always something to be applied.
    decisions.applied, decisions.log_end = 9, 20
    for _ in range(3):
        await decisions.sweep.sweep()
    assert await decisions.logged() == [("feed_load_published", "")]


@pytest.mark.parametrize(
    ("may_be_resumed", "patience_s"), [(False, FEED_UNNAMED_RUN_PATIENCE_SECONDS), (True, FEED_RUN_PATIENCE_SECONDS)]
)
async def test_an_upload_that_never_ends_is_given_up(desk: Desk, may_be_resumed: bool, patience_s: float) -> None:
    """When nothing has come of it for as long as its sender may take to go on, and nothing may be on its way."""
    decisions = Decisions(desk)

    async def swept(lines: int, later_s: float, applied: int, log_end: int) -> int:
        await decisions.seen("receiving", lines=lines, may_be_resumed=may_be_resumed)
        decisions.clock.passed_s += later_s
        decisions.applied, decisions.log_end = applied, log_end
        await decisions.sweep.sweep()
        return len(await decisions.logged())

    assert await swept(1, 0, 5, 5) == 0
    assert await swept(1, patience_s - 1, 5, 5) == 0
    assert await swept(2, 1, 6, 6) == 0
    assert await swept(2, patience_s, 6, 9) == 0
    assert await swept(2, 1, 9, 12) == 1
    [(kind, reason)] = await decisions.logged()
    assert (kind, "not completed" in reason) == ("feed_load_failed", True)


async def test_a_load_that_waits_for_its_decision_is_not_given_up(desk: Desk) -> None:
    """However long the changes take that it is compared with."""
    decisions = Decisions(desk, allowed_shrinkage_percent=10)
    await decisions.seen("loading", mode="replace", may_be_resumed=False)
    for _ in range(3):
        decisions.clock.passed_s += FEED_RUN_PATIENCE_SECONDS
        await decisions.sweep.sweep()
    assert await decisions.logged() == []


async def test_a_load_that_was_only_started_is_given_up_unopened(desk: Desk) -> None:
    """So it takes no other load's place."""
    decisions, names, client = Decisions(desk), desk.names, desk.sender.id
    await desk.redis.zadd(names.feed_started(client), {RUN: SINCE})
    await desk.redis.hset(names.feed_progress("changes")[2], f"0 {client}", SINCE)
    await decisions.sweep.sweep()
    assert await decisions.logged() == []
    decisions.clock.passed_s += FEED_START_PATIENCE_SECONDS
    await decisions.sweep.sweep()
    assert [kind for kind, _ in await decisions.logged()] == ["feed_load_failed"]


async def test_what_is_never_met_is_not_waited_for_for_ever(desk: Desk) -> None:
    """A run that was received here and is known to nobody is left to the sweep after a while; others are decided."""
    decisions = Decisions(desk)
    decisions.sweep.expect(desk.sender.id, "nobody's")
    await decisions.sweep.decide_expected()
    assert "(1 expected" in repr(decisions.sweep)
    decisions.clock.passed_s += EXPECTED_FOR_SECONDS
    await decisions.sweep.decide_expected()
    assert "(0 expected" in repr(decisions.sweep)


async def test_nobody_waits_behind_one_that_cannot_be_decided(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where Redis does not say of one, the next one is decided when it is tried again."""
    decisions = Decisions(desk)
    await decisions.seen("loading")
    find = RedisRuns.find

    async def cannot_find(runs: RedisRuns, client: str, run_id: str) -> Run | None:
        if client == "elsewhere":
            raise Unavailable
        return await find(runs, client, run_id)

    monkeypatch.setattr(RedisRuns, "find", cannot_find)
    decisions.sweep.expect("elsewhere", "run-0")
    decisions.sweep.expect(desk.sender.id, RUN)
    for _ in range(2):
        with pytest.raises(Unavailable):
            await decisions.sweep.decide_expected()
    assert await decisions.logged() == [("feed_load_published", "")]
