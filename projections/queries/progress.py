"""How far each projection has come: status, position against the log's end, and waiting for a position."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import Any, Literal, Protocol, cast

import msgspec
from aiokafka import TopicPartition
from redis.asyncio import Redis
from sqlalchemy import Select, select
from sqlalchemy.ext.asyncio import AsyncEngine

from domain.errors import LogUnavailable
from domain.names import Names
from projections.engine_tables import projection_generations, projection_offsets, projections
from projections.lag import lag_of
from projections.queries.generations import GenerationProgress, generations_by_projection
from projections.redis_store import RedisProjection, answering, checkpoints_of, state_of
from projections.registry import REGISTRY, Registration, registered
from projections.store import Checkpoint, State
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
    generations: tuple[GenerationProgress, ...] = ()
    """Those that are run; none where it is built in place."""


async def projection_status(
    db: AsyncEngine, watermarks: Watermarks, *, names: Names, redis: Redis
) -> list[ProjectionStatus]:
    """Every projection that keeps an offset, in the registry's order. Raises Unavailable when Redis is away."""
    statuses = []
    generations = await generations_by_projection(db)
    for registration in REGISTRY:
        state, checkpoints = await _progress(db, redis, registration, names)
        high = await _high(watermarks, registration, names)
        built = generations.get(registration.name, ())
        statuses.append(_status(registration.name, state, checkpoints, high, built))
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
    offset = _offsets_of_active(projection).where(
        projection_offsets.c.topic == position.topic,
        projection_offsets.c.partition == position.partition,
    )
    deadline = time.monotonic() + timeout_s
    pause = POLL_FIRST_S
    while True:
        async with db.connect() as connection:
            reached = (await connection.execute(offset)).first()
        if reached is not None and reached.next_offset > position.offset:
            return True
        left = deadline - time.monotonic()
        if left <= 0:
            return False
        await asyncio.sleep(min(pause, left))
        pause = min(pause * POLL_FACTOR, POLL_MAX_S)


def _status(
    name: str,
    state: State,
    checkpoints: Checkpoints,
    high: Mapping[TopicPartition, int] | None,
    generations: tuple[GenerationProgress, ...],
) -> ProjectionStatus:
    rebuilding = any(at.next_offset < at.rebuild_until for at in checkpoints.values())
    rebuilding = rebuilding or any(each.status == "building" for each in generations)
    stopped = state.stopped_reason is not None
    next_offsets = {tp: at.next_offset for tp, at in checkpoints.items()}
    return ProjectionStatus(
        name=name,
        generation=state.generation,
        status="paused" if state.rests else "stopped" if stopped else "rebuilding" if rebuilding else "running",
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
        generations=generations,
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
    query = select(projection_generations, projections.c.paused_at).where(
        projections.c.projection == of.name, _IS_ACTIVE, projection_generations.c.status == "active"
    )
    async with db.connect() as connection:
        row = (await connection.execute(query)).first()
    state = State(row.generation, row.stopped_reason, row.paused_at is not None) if row else State()
    return state, await _checkpoints_in_postgres(db, of.name)


async def _checkpoints_in_postgres(db: AsyncEngine, projection: str) -> Checkpoints:
    async with db.connect() as connection:
        rows = (await connection.execute(_offsets_of_active(projection))).all()
    return {TopicPartition(row.topic, row.partition): Checkpoint(row.next_offset, row.rebuild_until) for row in rows}


_IS_ACTIVE = (projection_generations.c.projection == projections.c.projection) & (
    projection_generations.c.generation == projections.c.active_generation
)


def _offsets_of_active(projection: str) -> Select[Any]:
    """Of the generation that queries read."""
    return select(projection_offsets).where(
        projections.c.projection == projection,
        projection_offsets.c.projection == projections.c.projection,
        projection_offsets.c.generation == projections.c.active_generation,
    )
