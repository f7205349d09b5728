"""Budgets follow the log: overspent by no number of processes, rebuilt where Redis forgot, released by no clock."""

from __future__ import annotations

import asyncio
import signal
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from hashlib import sha1
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiokafka import TopicPartition
from redis.asyncio import Redis
from structlog.testing import capture_logs

from commands.budgets import RedisBudgets
from commands.ports import Wanted
from domain.catalogue import FrequencyCap
from domain.direct.budget import BudgetState
from domain.errors import Unavailable
from domain.events import ClickRecorded, ImpressionRecorded
from domain.limits import BUDGET_IN_FLIGHT_SECONDS
from gavel.embedded import EmbeddedServers
from gavel.settings import Settings
from gavel.wiring import redis_calls
from projections.batch import DeadLetter, Move
from projections.budget_settlement import TIME, BudgetSettlement
from projections.budgets import Budgets, Facts
from projections.engine import Projector
from projections.rebuild import rebuild
from projections.redis_store import RedisStore
from projections.registry import registered
from projections.run import work_on
from projections.servers import Servers
from tests.projections.budget_story import award, fresh_id, logged_spending, met, void
from tests.projections.conftest import ReadSide, eventually

PROCESSES = 8
BUDGET_NANOS = 20_000_000_000
SHOWN_S = 2.0
GRACE_S = 4.0
LOOK_S = 0.005


@asynccontextmanager
async def settled(
    read_side: ReadSide, *, grace_s: float = GRACE_S, in_flight_s: float = 0.0, projecting: bool = True
) -> AsyncIterator[RedisBudgets]:
    """The projection and its settlement at work, and budgets as an API process has them."""
    stop = asyncio.Event()
    async with Servers(read_side.addresses, client_id="test") as servers, asyncio.TaskGroup() as tasks:
        settlement = BudgetSettlement(servers, grace_s=grace_s, in_flight_s=in_flight_s)
        tasks.create_task(settlement.run(stop))
        if projecting:
            tasks.create_task(work_on([registered("budgets")], servers, stop))
        pipeline = redis_calls(read_side.addresses.redis_url, timeout_s=5.0)
        budgets = RedisBudgets(pipeline, read_side.names)
        await budgets.start()
        try:
            yield budgets
        finally:
            stop.set()
            await budgets.close()
            await pipeline.close()


async def until(budgets: RedisBudgets, holds: Callable[[BudgetState], bool], campaign: str = "c-1") -> BudgetState:
    """The campaign's state once it is known and the condition holds."""
    found: list[BudgetState] = []

    async def is_so() -> bool:
        try:
            found.append(await budgets.state_of(campaign))
        except Unavailable:
            return False
        return holds(found[-1])

    await eventually(is_so)
    return found[-1]


async def is_refused(budgets: RedisBudgets, **more: Any) -> str:
    at = datetime.now(UTC)
    plain = Wanted("c-1", fresh_id(), "1", 1, at, at + timedelta(hours=1), 1_000, None, None, "")
    (reason,) = await budgets.reserve([plain._replace(**more)])
    return reason or ""


async def test_the_log_tells_what_is_spent_and_reserved(read_side: ReadSide) -> None:
    """Valid first hits cost, once, what they take from the budget; a refund gives it back; tests are free."""
    shown, twice, refunded, unseen = (award(nanos) for nanos in (100, 20, 7, 3_000))
    seen = met(ImpressionRecorded, refunded)
    clicked, unpaid = (award(nanos, campaign="c-2", charged_on="click") for nanos in (55, 66))
    await read_side.log.append(
        [
            # Of two topics, and so read in no certain order.
            met(ImpressionRecorded, shown),
            *(shown, twice, refunded, unseen, award(9, test=True), clicked, unpaid),
            *[met(ImpressionRecorded, twice) for _ in range(3)],
            *[met(ImpressionRecorded, unseen, verdict=verdict) for verdict in ("bot", "expired", "duplicate")],
            *(seen, void(seen), void(seen)),
            met(ClickRecorded, shown),
            *[met(kind, clicked) for kind in (ImpressionRecorded, ClickRecorded, ClickRecorded)],
            met(ClickRecorded, unpaid, charged=False),
        ]
    )
    async with settled(read_side) as budgets:
        await until(budgets, lambda state: state.clicks == 2, "c-2")
        one, other = await budgets.state_of("c-1"), await budgets.state_of("c-2")
        assert (one.spent_nanos, one.reserved_nanos, one.impressions, one.clicks) == (120, 3_000, 2, 1)
        assert (one.day_spent_nanos, one.day_reserved_nanos) == (120, 3_000)
        assert (other.spent_nanos, other.reserved_nanos, other.impressions, other.clicks) == (55, 0, 1, 2)
        assert await logged_spending(read_side.log, read_side.names.engagements) == {
            "spent": 120,
            "impressions": 2,
            "clicks": 1,
        }


@pytest.mark.parametrize("lost", ["everything", "held"])
async def test_what_redis_forgot_is_read_again(read_side: ReadSide, lost: str) -> None:
    """Until the log has been read again no campaign may reserve; then every account is what it was."""
    awards = [award(nanos) for nanos in range(1, 40)]
    await read_side.log.append([*awards, *(met(ImpressionRecorded, each) for each in awards[::2])])
    async with settled(read_side, in_flight_s=1.0) as budgets:
        before = await until(budgets, lambda state: state.impressions == 20)
        assert (before.spent_nanos, before.reserved_nanos) == (400, 380)
        if lost == "everything":
            await read_side.redis.flushall()
        else:
            await read_side.redis.delete(*(key for key in read_side.names.budget_keys if key.endswith(lost)))
        assert "being read from the log" in await is_refused(budgets)
        assert await until(budgets, lambda _: True) == before
        assert await is_refused(budgets) == ""


async def test_another_life_of_redis_is_not_believed(read_side: ReadSide, data_folder: Path) -> None:
    """Started again it may have forgotten the last second, so nobody reserves until what is logged has been read."""
    servers = EmbeddedServers(Settings(data=data_folder / "restarted-redis"), only={"redis"})
    async with servers as urls:
        assert urls.redis_url is not None
        addresses = msgspec.structs.replace(read_side.addresses, redis_url=urls.redis_url)
        async with Redis.from_url(urls.redis_url) as redis:
            other = ReadSide(addresses, read_side.db, read_side.watermarks, redis, read_side.log)
            await read_side.log.append([award(100), award(20)])
            async with settled(other, in_flight_s=4.0) as budgets:
                before = await until(budgets, lambda state: state.reserved_nanos == 120)
                await servers.take_down("redis")
                assert "does not answer" in await is_refused(budgets)
                await servers.bring_back("redis")
                told = ""
                while "being read from the log" not in told:
                    await asyncio.sleep(LOOK_S)
                    told = await is_refused(budgets)
                    assert told
                assert await until(budgets, lambda _: True) == before
                assert await is_refused(budgets) == ""


async def test_rebuilding_while_campaigns_wait(read_side: ReadSide) -> None:
    """What does not follow from the log is gone, and what does is known again once all of it was read."""
    await read_side.log.append([award(5)])
    async with settled(read_side) as budgets:
        await until(budgets, lambda state: state.reserved_nanos == 5)
        assert await is_refused(budgets, nanos=500) == ""
        await rebuild(read_side.addresses, "budgets")
        await until(budgets, lambda state: state.reserved_nanos == 5)


async def test_a_replay_leaves_redis_to_others(read_side: ReadSide) -> None:
    """However much there is to read, no script has more of it than Redis can do while an auction waits."""
    await read_side.log.append([award(nanos) for nanos in range(1, 1_001)])
    held_up: list[int] = []

    class Noting(RedisStore[Facts]):
        async def apply(
            self, rows: Facts | None, moves: Mapping[TopicPartition, Move], parked: Sequence[DeadLetter] = ()
        ) -> None:
            held_up.append(sum(move.next - move.expected for move in moves.values()))
            await super().apply(rows, moves, parked)

    topics = registered("budgets").topics_of(read_side.names)
    stop = asyncio.Event()
    async with Servers(read_side.addresses, client_id="test") as servers, asyncio.TaskGroup() as tasks:
        projection = Budgets(read_side.names)
        store = Noting(servers.redis, servers.pool, projection)
        group = read_side.names.group("budgets")
        tasks.create_task(Projector(projection, store, topics=topics, group=group, kafka=servers.kafka).run(stop))
        await read_side.caught_up("budgets")
        stop.set()
    assert sum(held_up) == 1_000
    assert max(held_up) <= 250


async def test_an_award_on_its_way_to_the_log_is_waited_for(read_side: ReadSide) -> None:
    """Reserved before Redis forgot and logged after: it is in the account before anybody may reserve again."""
    await read_side.log.append([award(10)])
    async with settled(read_side, in_flight_s=4.0) as budgets:
        await until(budgets, lambda state: state.reserved_nanos == 10)
        await read_side.redis.flushall()
        for _ in range(50):  # the time that the award takes to the log, which meanwhile is read to its end
            assert await is_refused(budgets, nanos=900)
            await asyncio.sleep(0.05)
        await read_side.log.append([award(985)])
        assert (await until(budgets, lambda _: True)).reserved_nanos == 995
        assert "no room" in await is_refused(budgets, nanos=6)


async def test_no_clock_releases_what_the_log_may_still_spend(read_side: ReadSide) -> None:
    """Long after an award's end its reservation stands while the projector is behind; then the impression counts."""
    ended = [award(nanos, shown_s=-1.0) for nanos in (10, 200)]
    await read_side.log.append(ended)
    async with settled(read_side, grace_s=60.0) as budgets:
        await until(budgets, lambda state: state.reserved_nanos == 210)
    await read_side.log.append([met(ImpressionRecorded, ended[0])])
    async with settled(read_side, grace_s=0.1, projecting=False) as budgets:
        await asyncio.sleep(1.5)  # several looks of a settlement whose projector stands still
        assert (await budgets.state_of("c-1")).reserved_nanos == 210
    async with settled(read_side, grace_s=0.1) as budgets:
        state = await until(budgets, lambda state: state.reserved_nanos == 0)
        assert state.spent_nanos == 10
        await read_side.log.append([ended[1]])
        await read_side.caught_up("budgets")
        assert (await budgets.state_of("c-1")).reserved_nanos == 0


class RedisOfTomorrow(Redis):
    """Its clock is a day ahead for the script that asks for the time alone."""

    async def evalsha(self, sha: str, numkeys: int, *keys_and_args: Any) -> Any:
        answer = await super().evalsha(sha, numkeys, *keys_and_args)
        return [int(answer[0]) + 86_400, answer[1]] if sha == sha1(TIME.encode()).hexdigest() else answer


async def test_a_wrong_clock_releases_nothing(read_side: ReadSide) -> None:
    """What an award of now has reserved stays so, though by Redis's clock it ended yesterday; the operator is told."""
    await read_side.log.append([award(10), award(5, shown_s=-60.0)])
    async with settled(read_side) as budgets:
        await until(budgets, lambda state: state.reserved_nanos == 10)
        await read_side.log.append([award(200)])
        await read_side.caught_up("budgets")
        async with Servers(read_side.addresses, client_id="tomorrow") as servers:
            await servers.redis.aclose()
            servers.redis = RedisOfTomorrow.from_url(read_side.addresses.redis_url)
            tomorrow = BudgetSettlement(servers, grace_s=0.0)
            with capture_logs() as logs:
                assert [await tomorrow.settle() for _ in range(2)] == [0, 0]
        assert [each["event"] for each in logs].count("clocks disagree: no budget is released") == 1
        assert (await budgets.state_of("c-1")).reserved_nanos == 210


async def test_a_frequency_cap_survives_a_loss_of_memory(read_side: ReadSide) -> None:
    """Who met the campaign follows from the log: shown ads count from when they were shown."""
    cap = FrequencyCap(impressions=2, per_seconds=3_600)
    hour_ago = datetime.now(UTC) - timedelta(minutes=70)
    old, new = award(1, person="ann", at=hour_ago), award(1, person="ann", at=hour_ago)
    await read_side.log.append(
        [old, met(ImpressionRecorded, old, at=hour_ago), new, met(ImpressionRecorded, new), award(1, person="bob")]
    )
    async with settled(read_side) as budgets:
        await until(budgets, lambda state: state.impressions == 2 and state.reserved_nanos == 1)
        await read_side.redis.flushall()
        await until(budgets, lambda state: state.impressions == 2 and state.reserved_nanos == 1)
        for person in ("ann", "bob"):
            assert await is_refused(budgets, frequency_cap=cap, person=person) == "", person
            assert "frequency cap" in await is_refused(budgets, frequency_cap=cap, person=person), person


@pytest.mark.long
async def test_eight_processes_and_kills_never_overspend(read_side: ReadSide) -> None:
    """Killed anywhere, with Redis flushed in between: at no moment is more promised, and in the end the log agrees."""
    most = 0

    async def watch(budgets: RedisBudgets) -> None:
        nonlocal most
        while True:
            with suppress(Unavailable):
                most = max(most, (await budgets.state_of("c-1")).committed_nanos)
                assert most <= BUDGET_NANOS
            await asyncio.sleep(LOOK_S)

    hammers = [await hammer(read_side, seed) for seed in range(PROCESSES)]
    async with settled(read_side, in_flight_s=BUDGET_IN_FLIGHT_SECONDS) as budgets:
        watching = asyncio.create_task(watch(budgets))
        await until(budgets, lambda state: state.spent_nanos > BUDGET_NANOS // 4)
        for each in hammers[:4]:
            await end(each)
        hammers += [await hammer(read_side, PROCESSES + seed) for seed in range(4)]
        await until(budgets, lambda state: state.spent_nanos > BUDGET_NANOS // 2)
        await read_side.redis.flushall()
        await until(budgets, lambda state: state.committed_nanos > BUDGET_NANOS * 99 // 100)
        await until(budgets, lambda state: state.spent_nanos > BUDGET_NANOS * 3 // 4)
        for each in hammers:
            await end(each)
        await read_side.caught_up("budgets")
        last = await until(budgets, lambda state: state.reserved_nanos == 0)
        assert not watching.done(), watching.exception()
        watching.cancel()
    assert most > BUDGET_NANOS * 99 // 100
    log = await logged_spending(read_side.log, read_side.names.engagements)
    assert {"spent": last.spent_nanos, "impressions": last.impressions, "clicks": last.clicks} == log
    assert BUDGET_NANOS * 3 // 4 < log["spent"] <= BUDGET_NANOS


async def hammer(read_side: ReadSide, seed: int) -> Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.projections.budget_hammer",
        msgspec.json.encode(read_side.addresses).decode(),
        str(BUDGET_NANOS),
        str(SHOWN_S),
        str(seed),
    )


async def end(process: Process) -> None:
    if process.returncode is None:
        process.send_signal(signal.SIGKILL)
    await process.wait()
    assert process.returncode == -signal.SIGKILL
