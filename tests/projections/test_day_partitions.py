"""Partitions of days are made as rows of these days come, however many come at once."""

from __future__ import annotations

from datetime import date, timedelta

import asyncpg
import pytest

from projections.auction_log import TABLES
from projections.day_partitions import DayPartitions, partition_name
from tests.projections.conftest import ReadSide

FIRST = date(2030, 1, 1)
DAYS = [FIRST + timedelta(days=number) for number in range(8)]


async def test_broken_off_among_many_days(read_side: ReadSide) -> None:
    """What a replay has made stays, and no transaction holds the locks of all its days: it goes on where it was."""
    await read_side.run_to_the_end("auction_log")
    path = {"search_path": "auction_log_g1, public"}
    connection = await asyncpg.connect(read_side.addresses.postgres_url, server_settings=path)
    try:
        await connection.execute("CREATE TABLE in_the_way (LIKE auctions INCLUDING ALL)")
        await connection.execute(
            f"ALTER TABLE auctions ATTACH PARTITION in_the_way FOR VALUES FROM ('{DAYS[5]}') TO ('{DAYS[6]}')"
        )
        partitions = DayPartitions(TABLES)
        with pytest.raises(asyncpg.PostgresError, match="overlap"):
            await partitions.ensure(connection, DAYS)
        assert await _made(connection) == DAYS[:5]
        await connection.execute("DROP TABLE in_the_way")
        await partitions.ensure(connection, DAYS)
        assert await _made(connection) == DAYS
    finally:
        await connection.close()


async def _made(connection: asyncpg.Connection[asyncpg.Record]) -> list[date]:
    """The days of which every table has its partition."""
    names = [row[0] for row in await connection.fetch("SELECT relname FROM pg_class WHERE relispartition")]
    return [day for day in DAYS if {partition_name(table, day) for table in TABLES} <= {*names}]
