"""Everything dies, again and again, while traffic flows; in the end every read model says what the topics say."""

from __future__ import annotations

import asyncio
import sys
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from domain.errors import Unavailable
from projections import operations
from projections.rebuild import rebuild
from projections.registry import REGISTRY
from tests.chaos.desk import Desk
from tests.chaos.expected import EXPECTED, read_log
from tests.chaos.fleet import PARTITIONS
from tests.chaos.found import differences
from tests.chaos.run import run
from tests.chaos.schedule import IN_GENERATIONS, KINDS, OPERATOR, RARE, UNFED, schedule
from tests.chaos.stream import PAUSE_S, Stream
from tests.chaos.strikes import STRIKES
from tests.projections.conftest import ReadSide

SEED = 10_508
"""Whose operator is done with one projection before anybody cannot read its events."""
SECONDS = 15.5
WRITTEN = 1_000


def test_the_same_seed_gives_the_same_schedule() -> None:
    """Another one gives another; a shorter one is the beginning of a longer one."""
    hour = schedule(1, 3_600)
    assert hour == schedule(1, 3_600)
    assert hour != schedule(2, 3_600)
    assert hour[: len(schedule(1, 60))] == schedule(1, 60)


def test_a_schedule_has_all_kinds() -> None:
    """The short form has each of them, and a long one each as often as any other, but for the rare ones."""
    assert {strike.kind for strike in schedule(SEED, SECONDS)} == KINDS.keys()
    kinds = [strike.kind for strike in schedule(1, 3_600)]
    counts = {kinds.count(kind) * RARE.get(kind, 1) for kind in KINDS}
    assert max(counts) - min(counts) <= max(RARE.values())
    assert min(counts) > 100


def test_nothing_is_left_out() -> None:
    """Every kind of strike can be carried out, and of every projection it is known what it should hold."""
    assert STRIKES.keys() == KINDS.keys()
    assert EXPECTED.keys() == {each.name for each in REGISTRY} - UNFED


async def test_a_row_that_is_lost_is_told(read_side: ReadSide) -> None:
    """The comparison that everything ends with finds nothing in peace, and one row that is lost in any table."""
    stream = Stream(read_side.addresses.kafka_url, read_side.names, SEED, partitions=PARTITIONS)
    async with read_side.running(*EXPECTED):
        async with stream:
            await stream.poison("catalogue")
            async with asyncio.timeout(60):
                while stream.written < WRITTEN:  # noqa: ASYNC110 - as fast as Kafka acknowledges
                    await asyncio.sleep(PAUSE_S)
            await stream.close_day()
        await read_side.caught_up(*EXPECTED)
    logged = await read_log(read_side.addresses.kafka_url, read_side.names)
    assert await differences(read_side, logged) == []
    tables = {name: [*counted(logged)] for name, counted in EXPECTED.items()}
    for name in IN_GENERATIONS:
        query = "SELECT active_generation FROM projections WHERE projection = $1"
        [(active,)] = await read_side.fetch(query, name)
        for table in tables[name]:
            await _lose_a_row(read_side, f"{name}_g{active}.{table}")
    await _lose_a_row(read_side, "notices")
    for key in (read_side.names.catalogue_entities, read_side.names.budget_data[0]):
        fields = [each for each in await read_side.redis.hkeys(key) if each]
        await read_side.redis.hdel(key, min(fields))
    told = [line.split()[0] for line in await differences(read_side, logged)]
    assert sorted(set(told)) == sorted(f"{name}.{table}" for name in tables for table in tables[name])


async def _lose_a_row(read_side: ReadSide, table: str) -> None:
    await read_side.fetch(f"DELETE FROM {table} WHERE (tableoid, ctid) IN (SELECT tableoid, ctid FROM {table} LIMIT 1)")


@pytest.mark.long
async def test_short_chaos(data_folder: Path) -> None:
    """The short form; the long one is `make chaos`."""
    said = [f"seed {SEED}"]
    verdict = await run(SEED, SECONDS, data_folder / "chaos", lambda line, _: said.append(line))
    sys.stdout.write("\n".join([*said, str(verdict.outcomes), ""]))
    assert verdict.findings == []
    assert verdict.events > 500
    done = {f"{command} done" for command in ("rebuild_and_keep", "verify", "swap", "swap_back", "rebuild", "retire")}
    # On a slow machine one of them may meet what another has not done yet; how, is counted.
    assert len(done & verdict.outcomes.keys()) >= len(done) - 1


async def test_a_difference_is_a_finding(read_side: ReadSide) -> None:
    """Whoever meets it, in the middle of a run as in its end, unless an event was a dead letter at that time."""
    stream = Stream(read_side.addresses.kafka_url, read_side.names, SEED, partitions=PARTITIONS)
    async with read_side.running("catalogue"), stream:
        async with asyncio.timeout(60):
            while stream.written < WRITTEN // 10:  # noqa: ASYNC110 - as fast as Kafka acknowledges
                await asyncio.sleep(PAUSE_S)
    desk, addresses = Desk(read_side.addresses.postgres_url), read_side.addresses
    await desk.order("rebuild", lambda: rebuild(addresses, "catalogue", swaps=False))
    await desk.order("verify", lambda: operations.verify(addresses, "catalogue"))
    assert desk.findings == []
    await _lose_a_row(read_side, "catalogue_g1.entities")
    await desk.order("verify", lambda: operations.verify(addresses, "catalogue"))
    await desk.order("cancel", lambda: operations.cancel(addresses, "catalogue"))
    await desk.order("rebuild", lambda: rebuild(addresses, "catalogue"))
    assert [each.partition(":")[0] for each in desk.findings] == ["verify", "rebuild"]
    assert all("lacks 0 rows and has 1 others" in each for each in desk.findings)
    await read_side.fetch(
        'INSERT INTO dead_letters (projection, topic, partition, "offset", error, outcome, decided_at) '
        "VALUES ('catalogue', 'chaos.catalogue', 0, 0, 'It broke.', 'applied', now() + interval '1 hour')"
    )
    await desk.order("verify", lambda: operations.verify(addresses, "catalogue"))
    assert len(desk.findings) == 2
    assert desk.outcomes == {
        "rebuild done": 1,
        "verify done": 3,
        "cancel done": 1,
        "verify differed by dead letters": 1,
    }


async def test_what_is_not_done_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """An order that was put off too often is given up, and one that finds too many before it is not begun."""
    monkeypatch.setattr("tests.chaos.desk.PATIENCE_S", (0.0, 0.0))
    desk = Desk("postgresql://nobody@127.0.0.1:1/nothing")

    async def away() -> None:
        raise Unavailable("It is away.")

    await desk.order("swap", away)
    assert desk.outcomes == {"swap put off": 2, "swap given up": 1}
    async with AsyncExitStack() as stack:
        assert await stack.enter_async_context(desk.turn("swap"))
        waiting = [asyncio.create_task(desk.turn("swap").__aenter__()) for _ in range(len(OPERATOR))]
        await asyncio.sleep(0)
        assert await waiting[-1] is False
        for each in waiting[:-1]:
            each.cancel()
    assert desk.outcomes["swap too late"] == 1
