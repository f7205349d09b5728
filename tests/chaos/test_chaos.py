"""Everything dies, again and again, while traffic flows; in the end every read model says what the topics say."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from projections.registry import REGISTRY
from tests.chaos.expected import EXPECTED, read_log
from tests.chaos.fleet import PARTITIONS
from tests.chaos.found import differences
from tests.chaos.run import run
from tests.chaos.schedule import IN_GENERATIONS, KINDS, RARE, schedule
from tests.chaos.stream import PAUSE_S, Stream
from tests.chaos.strikes import STRIKES
from tests.projections.conftest import ReadSide

SEED = 71
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
    assert EXPECTED.keys() == {each.name for each in REGISTRY}


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


async def test_short_chaos(data_folder: Path) -> None:
    """The short form; the long one is `make chaos`."""
    said = [f"seed {SEED}"]
    verdict = await run(SEED, SECONDS, data_folder / "chaos", lambda line, _: said.append(line))
    sys.stdout.write("\n".join([*said, str(verdict.outcomes), ""]))
    assert verdict.findings == []
    assert verdict.events > 500
