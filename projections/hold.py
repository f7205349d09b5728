"""Generations held at the same offsets for a moment, while they are run.

A hold lets nobody go past an offset; it expires by itself, so that one who set it and died stops nothing for long.
One at a time holds a projection: who releases must not let go what another one counts on.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiokafka import TopicPartition

from domain.errors import Unavailable
from projections import turns
from projections.postgres_store import Connection

EXPIRES_S = 15.0
REACHED_S = 10.0
"""How long the one behind may need: less than until the hold expires."""
LOOK_S = 0.05
TURN_S = 40.0
"""How long one waits for another one, who needs less than that if all goes well."""
TURN = 7_146_924
"""Advisory lock of whoever holds a projection; a number of our own choice."""

LOCK = """
SELECT generation, topic, partition, next_offset FROM projection_offsets
WHERE projection = $1 AND generation = ANY($2) ORDER BY generation, topic, partition FOR UPDATE
"""
HOLD = """
UPDATE projection_offsets SET hold_at = $5, hold_expires_at = now() + make_interval(secs => $6)
WHERE projection = $1 AND generation = ANY($2) AND topic = $3 AND partition = $4
"""
RELEASE = """
UPDATE projection_offsets SET hold_at = NULL, hold_expires_at = NULL WHERE projection = $1 AND generation = ANY($2)
"""
BEHIND = """
SELECT FROM projection_offsets WHERE projection = $1 AND generation = ANY($2) AND next_offset < hold_at
"""
"""What has not reached where it is held."""


@asynccontextmanager
async def held(connection: Connection, projection: str, *numbers: int) -> AsyncIterator[None]:
    """Inside it no partition of these generations goes past the offset that the foremost of them had.

    Raises Unavailable while somebody else holds generations of the projection.
    """
    await _take_turn(connection, projection)
    try:
        await _hold(connection, projection, numbers)
        yield
    finally:
        await connection.execute(RELEASE, projection, numbers)
        await turns.end(connection, TURN, projection)


async def reached(connection: Connection, query: str, *arguments: object) -> bool:
    """Whether a query that lists what is behind comes to list nothing before the hold expires."""
    deadline = time.monotonic() + REACHED_S
    while await connection.fetchrow(query, *arguments) is not None:
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(LOOK_S)
    return True


async def _take_turn(connection: Connection, projection: str) -> None:
    deadline = time.monotonic() + TURN_S
    while not await turns.taken(connection, TURN, projection):
        if time.monotonic() > deadline:
            raise Unavailable(f"somebody else compares or swaps {projection}: try again")
        await asyncio.sleep(LOOK_S)


async def _hold(connection: Connection, projection: str, numbers: tuple[int, ...]) -> None:
    async with connection.transaction():
        at: dict[TopicPartition, int] = {}
        for _, topic, partition, offset in await connection.fetch(LOCK, projection, numbers):
            tp = TopicPartition(topic, partition)
            at[tp] = max(at.get(tp, 0), offset)
        for tp, offset in sorted(at.items()):
            await connection.execute(HOLD, projection, numbers, tp.topic, tp.partition, offset, EXPIRES_S)
