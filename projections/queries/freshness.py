"""How new the answers of a projection's queries are: its lag, and waiting until it has what one has written."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol, cast

from aiokafka import TopicPartition
from redis.asyncio import Redis
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from domain.errors import LogUnavailable
from domain.names import Names
from projections.engine_tables import projection_offsets, projections
from projections.lag import lag_of
from projections.redis_store import RedisProjection, answering, checkpoints_of
from projections.registry import registered
from projections.watermarks import Watermarks

POLL_FIRST_S = 0.005
POLL_FACTOR = 1.5
POLL_MAX_S = 0.1


class LogPosition(Protocol):
    """Where an event stands in the log."""

    @property
    def topic(self) -> str: ...
    @property
    def partition(self) -> int: ...
    @property
    def offset(self) -> int: ...


class Whereabouts(NamedTuple):
    """Where projections keep how far they are."""

    db: AsyncEngine
    redis: Redis
    names: Names


async def next_offsets(whereabouts: Whereabouts, projection: str) -> Mapping[TopicPartition, int]:
    """The first offset of each partition that queries do not see the effect of yet.

    Of a projection in Postgres that of the generation that is active now. Raises Unavailable while Redis is away.
    """
    registration = registered(projection)
    if registration.place == "redis":
        key = cast("RedisProjection[Any]", registration.projection(whereabouts.names)).offsets_key
        async with answering():
            fields = cast("dict[bytes, bytes]", await whereabouts.redis.hgetall(key))
        return {tp: at.next_offset for tp, at in checkpoints_of(fields).items()}
    query = select(projection_offsets).where(
        projections.c.projection == projection,
        projection_offsets.c.projection == projections.c.projection,
        projection_offsets.c.generation == projections.c.active_generation,
    )
    async with whereabouts.db.connect() as connection:
        rows = (await connection.execute(query)).all()
    return {TopicPartition(row.topic, row.partition): row.next_offset for row in rows}


async def lag(whereabouts: Whereabouts, watermarks: Watermarks, projection: str) -> int | None:
    """How many logged events a projection has not applied; None when Kafka does not say."""
    try:
        high = await watermarks.high(registered(projection).topics_of(whereabouts.names))
    except LogUnavailable:
        return None
    return lag_of(await next_offsets(whereabouts, projection), high)


async def wait_for(
    whereabouts: Whereabouts, projection: str, positions: Sequence[LogPosition], timeout_s: float
) -> bool:
    """Waits until queries of the projection see the events at all `positions`; False after `timeout_s`.

    It holds over a swap: no generation becomes the active one that is behind the one before.
    """
    deadline = time.monotonic() + timeout_s
    pause = POLL_FIRST_S
    while True:
        reached = await next_offsets(whereabouts, projection)
        if all(reached.get(TopicPartition(at.topic, at.partition), 0) > at.offset for at in positions):
            return True
        left = deadline - time.monotonic()
        if left <= 0:
            return False
        await asyncio.sleep(min(pause, left))
        pause = min(pause * POLL_FACTOR, POLL_MAX_S)
