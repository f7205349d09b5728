"""Migrations lead from nothing to exactly what the code expects."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest
from alembic import command
from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import create_async_engine

from domain.errors import InvalidInput
from projections.connections import sqlalchemy_url
from projections.migrate import alembic_config, migrate
from projections.registry import REGISTRY
from tests.projections.conftest import ReadSide
from tests.projections.traffic import Traffic


@pytest.fixture
async def empty_database(postgres_url: str) -> AsyncIterator[str]:
    name = f"t{uuid.uuid4().hex[:12]}"
    connection = await asyncpg.connect(postgres_url)
    await connection.execute(f"CREATE DATABASE {name}")
    yield urlunsplit(urlsplit(postgres_url)._replace(path=f"/{name}"))
    await connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
    await connection.close()


async def check(url: str) -> None:
    """Raises if the database differs from the metadata."""

    def checked(connection: Connection) -> None:
        command.check(alembic_config(connection))

    engine = create_async_engine(sqlalchemy_url(url))
    async with engine.connect() as connection:
        await connection.run_sync(checked)
    await engine.dispose()


async def test_from_nothing(empty_database: str) -> None:
    """An empty database has every table afterwards, and nothing is left to be generated: read models begin with 1."""
    await migrate(empty_database)
    database = await asyncpg.connect(empty_database)
    query = "SELECT projection, generation, layout FROM projection_generations WHERE status = 'active'"
    assert {tuple(row) for row in await database.fetch(query)} == {(each.name, 1, each.layout) for each in REGISTRY}
    assert await database.fetchval("SELECT count(*) FROM projection_generations") == len(REGISTRY)
    await database.close()
    await check(empty_database)


async def test_several_at_once(empty_database: str) -> None:
    """Processes that start together and all migrate do not get in each other's way."""
    await asyncio.gather(*(migrate(empty_database) for _ in range(4)))
    await check(empty_database)


async def test_partitions_are_left_alone(read_side: ReadSide) -> None:
    """Partitions that traffic has made are no difference to be migrated away."""
    await read_side.log.append_traffic(Traffic(1), 20)
    await read_side.run_to_the_end("auction_log")
    partitions = await read_side.fetch("SELECT FROM pg_inherits")
    assert len(partitions) >= 4
    await check(read_side.addresses.postgres_url)


async def test_down_and_up_again(empty_database: str) -> None:
    """A migration can be taken back."""

    def down_and_up(connection: Connection) -> None:
        command.downgrade(alembic_config(connection), "base")
        command.upgrade(alembic_config(connection), "head")

    await migrate(empty_database)
    engine = create_async_engine(sqlalchemy_url(empty_database))
    async with engine.begin() as connection:
        await connection.run_sync(down_and_up)
    await engine.dispose()
    await check(empty_database)


async def test_read_models_of_before_become_a_generation(empty_database: str) -> None:
    """Rows, partitions and offsets of tables that were rebuilt in place are found again under the same names."""

    def until_0009(connection: Connection) -> None:
        command.upgrade(alembic_config(connection), "0009")

    engine = create_async_engine(sqlalchemy_url(empty_database))
    async with engine.begin() as connection:
        await connection.run_sync(until_0009)
    await engine.dispose()
    database = await asyncpg.connect(empty_database)
    day = "2026-11-20"
    await database.execute(
        f"CREATE TABLE traffic_engagements_20261120 PARTITION OF traffic_engagements "
        f"FOR VALUES FROM ('{day}') TO ('2026-11-21'); "
        f"INSERT INTO traffic_engagements VALUES ('{day}', gen_random_uuid(), gen_random_uuid(), '1', 'click', true); "
        "INSERT INTO projection_states (projection, generation) VALUES ('traffic', 4); "
        "INSERT INTO projection_offsets (projection, topic, partition, next_offset) VALUES ('traffic', 't', 0, 7)"
    )
    before = await database.fetch("SELECT * FROM traffic_engagements")
    await migrate(empty_database)
    assert await database.fetch("SELECT * FROM traffic_engagements") == before
    assert await database.fetchval("SELECT count(*) FROM traffic_g4.traffic_engagements_20261120") == 1
    query = "SELECT generation, next_offset FROM projection_offsets"
    assert [tuple(row) for row in await database.fetch(query)] == [(4, 7)]
    query = "SELECT projection, layout FROM projection_generations WHERE status = 'active'"
    layouts = {row["projection"]: row["layout"] for row in await database.fetch(query)}
    assert layouts == {each.name: each.layout for each in REGISTRY}
    await database.close()
    await check(empty_database)


def test_only_postgres_addresses() -> None:
    """Any other address is refused before something connects."""
    with pytest.raises(InvalidInput, match="postgresql://"):
        sqlalchemy_url("mysql://localhost/gavel")
