"""How far each projection has come: status, position against the log's end, and waiting for a position."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import Any, Literal, Protocol, cast

import msgspec
from aiokafka import TopicPartition
from redis.asyncio import Redis
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from domain.errors import LogUnavailable
from domain.names import Names
from projections.lag import lag_of
from projections.redis_store import RedisProjection, answering, checkpoints_of, state_of
from projections.registry import REGISTRY, Registration, registered
from projections.store import Checkpoint, State
from projections.tables import projection_offsets, projection_states
from projections.watermarks import Watermarks

POLL_FIRST_S = 0.005
POLL_FACTOR = 1.5
POLL_MAX_S = 0.1

Status = Literal["running", "paused", "stopped", "rebuilding"]
Checkpoints = Mapping[TopicPartition, Checkpoint]


class LogPosition(Protocol):
    """Where an event stands in the log."""

    @property
    def topic(self) -> str: ...
    @property
    def partition(self) -> int: ...
    @property
    def offset(self) -> int: ...


class PartitionProgress(msgspec.Struct, frozen=True, kw_only=True):
    topic: str
    partition: int
    next_offset: int
    """The first offset that is not applied yet."""
    high_watermark: int | None
    """Where the log ends; null when Kafka does not say."""


class ProjectionStatus(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    name: str
    generation: int
    status: Status
    lag: int | None
    """Events logged and not applied, over all partitions; null when Kafka does not say."""
    partitions: tuple[PartitionProgress, ...]
    reason: str | None = None
    """Why it is stopped."""


async def projection_status(
    db: AsyncEngine, watermarks: Watermarks, *, names: Names, redis: Redis
) -> list[ProjectionStatus]:
    """Every projection that keeps an offset, in the registry's order. Raises Unavailable when Redis is away."""
    statuses = []
    for registration in REGISTRY:
        state, checkpoints = await _progress(db, redis, registration, names)
        high = await _high(watermarks, registration, names)
        statuses.append(_status(registration.name, state, checkpoints, high))
    return statuses


async def lag(db: AsyncEngine, watermarks: Watermarks, projection: str, *, names: Names) -> int | None:
    """How many logged events a projection in Postgres has not applied; None when Kafka does not say."""
    high = await _high(watermarks, registered(projection), names)
    if high is None:
        return None
    checkpoints = await _checkpoints_in_postgres(db, projection)
    return lag_of({tp: at.next_offset for tp, at in checkpoints.items()}, high)


async def wait_for(db: AsyncEngine, projection: str, position: LogPosition, timeout_s: float) -> bool:
    """Waits until a projection in Postgres has applied the event at `position`; False after `timeout_s`."""
    offset = select(projection_offsets.c.next_offset).where(
        projection_offsets.c.projection == projection,
        projection_offsets.c.topic == position.topic,
        projection_offsets.c.partition == position.partition,
    )
    deadline = time.monotonic() + timeout_s
    pause = POLL_FIRST_S
    while True:
        async with db.connect() as connection:
            reached = (await connection.execute(offset)).scalar()
        if reached is not None and reached > position.offset:
            return True
        left = deadline - time.monotonic()
        if left <= 0:
            return False
        await asyncio.sleep(min(pause, left))
        pause = min(pause * POLL_FACTOR, POLL_MAX_S)


def _status(
    name: str, state: State, checkpoints: Checkpoints, high: Mapping[TopicPartition, int] | None
) -> ProjectionStatus:
    rebuilding = any(at.next_offset < at.rebuild_until for at in checkpoints.values())
    stopped = state.stopped_reason is not None
    next_offsets = {tp: at.next_offset for tp, at in checkpoints.items()}
    return ProjectionStatus(
        name=name,
        generation=state.generation,
        status="stopped" if stopped else "rebuilding" if rebuilding else "running",
        lag=None if high is None else lag_of(next_offsets, high),
        partitions=tuple(
            PartitionProgress(
                topic=tp.topic,
                partition=tp.partition,
                next_offset=next_offsets.get(tp, 0),
                high_watermark=None if high is None else high.get(tp),
            )
            for tp in sorted(next_offsets.keys() | (high or {}).keys())
        ),
        reason=state.stopped_reason,
    )


async def _high(watermarks: Watermarks, of: Registration, names: Names) -> dict[TopicPartition, int] | None:
    try:
        return await watermarks.high(of.topics_of(names))
    except LogUnavailable:
        return None


async def _progress(db: AsyncEngine, redis: Redis, of: Registration, names: Names) -> tuple[State, Checkpoints]:
    if of.place == "redis":
        async with answering():
            offsets_key = cast("RedisProjection[Any]", of.projection(names)).offsets_key
            fields = cast("dict[bytes, bytes]", await redis.hgetall(offsets_key))
        return state_of(fields), checkpoints_of(fields)
    query = select(projection_states).where(projection_states.c.projection == of.name)
    async with db.connect() as connection:
        row = (await connection.execute(query)).first()
    state = State(row.generation, row.stopped_reason) if row else State()
    return state, await _checkpoints_in_postgres(db, of.name)


async def _checkpoints_in_postgres(db: AsyncEngine, projection: str) -> Checkpoints:
    query = select(projection_offsets).where(projection_offsets.c.projection == projection)
    async with db.connect() as connection:
        rows = (await connection.execute(query)).all()
    return {TopicPartition(row.topic, row.partition): Checkpoint(row.next_offset, row.rebuild_until) for row in rows}
