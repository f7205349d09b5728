"""Answers of several statements, all of which read one moment and one generation of each read model.

A view is replaced between two statements, and its new definition holds in an older snapshot as well: a transaction
that has its snapshot, and meets a view for the first time after a swap, would read tables that were empty when the
snapshot was taken. So the snapshot itself is asked which generations are active, and their tables are read by name.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import asyncpg
from sqlalchemy import select, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from domain.errors import Unavailable
from projections.engine_tables import projection_generations
from projections.generation import schema_of
from projections.registry import Registration, registered

ATTEMPTS = 5
"""To find generations that are not retired in the same moment."""


@asynccontextmanager
async def one_generation(db: AsyncEngine, *projections: str) -> AsyncIterator[AsyncConnection]:
    """A connection on which the bare names of these projections' tables mean the generations active in its snapshot.

    A swap does not wait for it, and a generation is not retired while it is read.
    Raises Unavailable where an active generation has other tables than this version of the code reads.
    """
    registrations = [registered(name) for name in projections]
    async with db.connect() as plain:
        connection = await plain.execution_options(isolation_level="REPEATABLE READ")
        for attempt in range(ATTEMPTS):
            schemas = await _active(connection, registrations)
            try:
                await _keep(connection, registrations, schemas)
                break
            except DBAPIError as error:
                if not _is_retired(error) or attempt == ATTEMPTS - 1:
                    raise
                await connection.rollback()
        await connection.execute(text(f"SET LOCAL search_path = {', '.join(schemas)}, public"))
        yield connection


async def _active(connection: AsyncConnection, registrations: Sequence[Registration]) -> list[str]:
    """The schemas of the generations that are active in the connection's snapshot, which begins here."""
    built = projection_generations.c
    query = select(built.projection, built.generation, built.layout).where(
        built.projection.in_([each.name for each in registrations]), built.status == "active"
    )
    found = {row.projection: row for row in await connection.execute(query)}
    for each in registrations:
        if each.name not in found or found[each.name].layout != each.layout:
            raise Unavailable(f"{each.name} is being built for this version of Gavel.")
    return [schema_of(each.name, found[each.name].generation) for each in registrations]


async def _keep(connection: AsyncConnection, registrations: Sequence[Registration], schemas: Sequence[str]) -> None:
    """Sees to it that nobody drops the tables. Of their partitions none is dropped without a lock on the whole."""
    tables = ", ".join(
        f"ONLY {schema}.{table.name}"
        for each, schema in zip(registrations, schemas, strict=True)
        for table in each.tables
    )
    await connection.execute(text(f"LOCK TABLE {tables} IN ACCESS SHARE MODE"))


def _is_retired(error: DBAPIError) -> bool:
    cause = error.orig.__cause__ if error.orig is not None else None
    return isinstance(cause, asyncpg.UndefinedTableError | asyncpg.InvalidSchemaNameError)
