"""Runs migrations over asyncpg: on the connection that is handed in, else on the configured database."""

from __future__ import annotations

import asyncio
import re
from typing import Any

from alembic import context
from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import create_async_engine

from gavel import settings
from projections.connections import sqlalchemy_url
from projections.tables import DAILY_TABLES, metadata

DAY_PARTITION = re.compile(rf"({'|'.join(DAILY_TABLES)})_\d{{8}}")


def include_name(name: str | None, kind: str, _parents: Any) -> bool:
    """The partitions of single days come and go with traffic, not with migrations."""
    return not (kind == "table" and name is not None and DAY_PARTITION.fullmatch(name))


def run_migrations(connection: Connection) -> None:
    context.configure(connection=connection, target_metadata=metadata, include_name=include_name)
    with context.begin_transaction():
        context.run_migrations()


async def run_on_configured_database() -> None:
    postgres_url = settings.load().postgres_url
    if postgres_url is None:
        raise SystemExit(f"Name the database to migrate: {settings.variable('postgres_url')}=postgresql://…")
    engine = create_async_engine(sqlalchemy_url(postgres_url))
    try:
        async with engine.begin() as connection:
            await connection.run_sync(run_migrations)
    finally:
        await engine.dispose()


if (given := context.config.attributes.get("connection")) is not None:
    run_migrations(given)
else:
    asyncio.run(run_on_configured_database())
