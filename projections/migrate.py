"""Brings the database's tables to the shape that this version of Gavel needs.

Migrations make what they own; the first generation of a read model is made after them, as the registry has it.
"""

from __future__ import annotations

from pathlib import Path

import asyncpg
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import create_async_engine

from projections.connections import sqlalchemy_url
from projections.generation import schema_of
from projections.generations import establish
from projections.postgres_store import connected
from projections.registry import REGISTRY

LOCK = 7_146_921
"""Advisory lock of whoever migrates; a number of our own choice."""

PLACES = (Path(__file__).with_name("migrations"), Path(__file__).parents[1] / "alembic")
"""Where the migrations are: beside this file in a wheel, in the folder `alembic` in a checkout."""

GENERATIONS = "SELECT projection, generation FROM projection_generations WHERE layout <> ''"


async def migrate(postgres_url: str) -> None:
    """Upgrades to the newest revision, all of it or nothing; several may call it at the same time."""
    engine = create_async_engine(sqlalchemy_url(postgres_url))
    try:
        async with engine.begin() as connection:
            await connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": LOCK})
            if await connection.run_sync(_upgrade):
                await connection.run_sync(_leave_generations_to_the_registry)
    finally:
        await engine.dispose()
    async with asyncpg.create_pool(postgres_url, min_size=0, max_size=1) as pool, connected(pool) as connection:
        await establish(connection, REGISTRY)


def alembic_config(connection: Connection) -> Config:
    """For alembic's commands, on this connection and inside its transaction."""
    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(next(place for place in PLACES if place.is_dir())))
    return config


def _upgrade(connection: Connection) -> bool:
    """Whether the database was empty before."""
    was_empty = MigrationContext.configure(connection).get_current_revision() is None
    command.upgrade(alembic_config(connection), "head")
    return was_empty


def _leave_generations_to_the_registry(connection: Connection) -> None:
    """Takes away what migrations have made of read models that never were: of older layouts, some of them."""
    for projection, generation in connection.execute(text(GENERATIONS)).all():
        connection.execute(text(f"DROP SCHEMA {schema_of(projection, generation)} CASCADE"))
        for table in ("projection_generations", "projections"):
            connection.execute(text(f"DELETE FROM {table} WHERE projection = :name"), {"name": projection})  # noqa: S608 - names of ours
