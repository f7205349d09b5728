"""Partitions that somebody has added to a topic in use: refused, because a key's events would be in two of them.

A topic has as many partitions as it had when projections began to read it. What they have read is remembered with
their offsets, all partitions of a topic from the first moment on, so one that comes later is known to be new.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import asyncpg

if TYPE_CHECKING:
    from projections.postgres_store import Connection

ANSWER_S = 1.0
"""A process that starts while Postgres is away waits no longer."""
PARTITIONS_READ = """
SELECT topic, count(DISTINCT partition) FROM projection_offsets WHERE topic = ANY($1) GROUP BY topic
"""


async def partitions_read(
    connection: Connection | asyncpg.Connection[asyncpg.Record], topics: Iterable[str]
) -> dict[str, int]:
    """How many partitions of each topic the projections in Postgres read; nothing of a topic that none reads yet."""
    return dict(tuple(row) for row in await connection.fetch(PARTITIONS_READ, [*topics]))


def growth(read: Mapping[str, int], there: Mapping[str, int]) -> str | None:
    """What is wrong and what to do, where a topic has more partitions than are read of it."""
    grown = [
        f"{topic} has {count} partitions and had {read[topic]}"
        for topic, count in sorted(there.items())
        if topic in read and count > read[topic]
    ]
    if not grown:
        return None
    return (
        f"{'; '.join(grown)}: the events of a key would be in two partitions, and in no order; "
        "docs/PARTITIONS.md says how to take that back"
    )


async def growth_told(postgres_url: str, there: Mapping[str, int]) -> str | None:
    """What `growth` says, for who writes to these topics. While Postgres is away nobody knows, and nothing is told."""
    try:
        async with asyncio.timeout(ANSWER_S):
            connection = await asyncpg.connect(postgres_url)
            try:
                return growth(await partitions_read(connection, there), there)
            finally:
                connection.terminate()
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError):
        return None
