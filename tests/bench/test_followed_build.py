"""A build by worker processes is followed from outside: its cost is theirs, and one that stops is not waited for."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest

from bench.followed_build import BuildFailed, ReadSide, read_side
from bench.installation import PARTITIONS, Installation, Servers
from bench.long_log import fill
from domain.names import Names
from gavel.topics import delete_topics

PROJECTION = "bidder_health"


@pytest.fixture
async def side(
    kafka_url: str, database: str, redis_url: str, names: Names, data_folder: Path
) -> AsyncIterator[ReadSide]:
    """Topics of the bench's own size."""
    installation = Installation(Servers(kafka_url, database, redis_url), data_folder)
    async with read_side(installation, f"{names.namespace}-bench") as side:
        yield side
        await delete_topics(kafka_url, side.names)


@pytest.mark.long
async def test_two_workers_build_a_generation_together(side: ReadSide) -> None:
    """It stands still until both have their share; every event is applied, and their CPU and memory are told."""
    await fill(side.addresses.kafka_url, side.names, PARTITIONS, 3_000)
    until = await side.logged(PROJECTION)
    told: list[int] = []
    async with side.workers(2, PROJECTION) as workers:
        number = await side.begin_together(PROJECTION, workers)
        build = await side.followed(PROJECTION, number, workers, until, told.append)
        await side.ready(PROJECTION, number)
    assert (await side.active(PROJECTION), number) == (1, 2)
    assert told[-1] == build.samples[-1].applied == until
    assert build.cost.cpu_seconds > 0
    assert all(sample.resident_bytes > 2 * 20_000_000 for sample in build.samples), "of two interpreters"


async def test_a_build_that_stops_is_a_failure(side: ReadSide) -> None:
    """The reason is told, and nobody waits until it looks stuck."""
    await fill(side.addresses.kafka_url, side.names, PARTITIONS, 500)
    async with side.workers(1, PROJECTION) as workers:
        connection = await asyncpg.connect(side.addresses.postgres_url)
        try:
            await connection.execute("UPDATE projection_generations SET stopped_reason = 'a bad event'")
        finally:
            await connection.close()
        with pytest.raises(BuildFailed, match="a bad event"):
            await side.followed(PROJECTION, 1, workers, 10**9, lambda _: None)
