"""How far each projection has come: status, position against the log's end, who works on it and what was decided."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Final, Literal, NamedTuple, cast

import msgspec
from aiokafka import TopicPartition
from redis.asyncio import Redis
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from domain.errors import LogUnavailable, Unavailable
from domain.names import Names
from projections.engine_tables import projection_generations, projection_offsets, projections
from projections.lag import lag_of
from projections.log_times import LogTimes, Position, seconds_since
from projections.queries.decisions import Decision, decisions_by_projection
from projections.queries.generations import GenerationProgress, generations_by_projection, open_letters
from projections.queries.workers import Worker, WorkerShown, known_workers
from projections.redis_store import RedisProjection, answering, checkpoints_of, offset_field, state_of
from projections.registry import REGISTRY, Registration
from projections.store import Checkpoint, State
from projections.watermarks import ANSWER_TIMEOUT_S, Watermarks

REDIS_ANSWERS_S: Final = 1.0
"""Nobody who asks about all projections waits longer for a Redis that hangs."""

Status = Literal["running", "paused", "stopped", "rebuilding"]
Checkpoints = Mapping[TopicPartition, Checkpoint]
High = Mapping[TopicPartition, int]


class PartitionProgress(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    topic: str
    partition: int
    next_offset: int | None
    """The first offset that is not applied yet; null when the server that has it does not say."""
    high_watermark: int | None
    """Where the log ends; null when Kafka does not say."""
    lag: int | None
    """Events logged and not applied; null when it is not known how far the log goes, or how far it is applied."""
    lag_seconds: float | None
    """How long ago the first of them was logged; null when that is not known."""
    owner: str | None = None
    """The worker that reads it."""


class ProjectionStatus(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    name: str
    place: Literal["postgres", "redis"]
    generation: int | None
    """That queries read; null when the server that has it does not say."""
    status: Status
    lag: int | None
    """Events logged and not applied, over all partitions; null when that is not known."""
    lag_seconds: float | None
    """How long ago the first of them was logged; null when that is not known."""
    events_per_second: float
    """Applied to what queries read, by all workers that live."""
    dead_letters: int
    """Open ones, of what queries read."""
    restarts: int
    """Consumers that had a successor, in the workers that live."""
    partitions: tuple[PartitionProgress, ...]
    workers: tuple[WorkerShown, ...]
    decisions: tuple[Decision, ...]
    """The last few of operators, the newest first."""
    generations: tuple[GenerationProgress, ...]
    """Those that are run; none where it is built in place."""
    silent: tuple[WorkerShown, ...] = ()
    """Workers that live no more, or stand still: what they have said last, for an hour."""
    reason: str | None = None
    """Why it is stopped."""
    never_rebuilt: str | None = None
    """Why it cannot be rebuilt, where it cannot."""


class _Built(NamedTuple):
    """A projection as its place has it."""

    registration: Registration
    state: State
    checkpoints: Checkpoints | None
    """None where its server does not say."""
    high: High | None

    @property
    def number(self) -> int:
        """Of the generation as workers and dead letters know it: a build in place is always their first."""
        return self.state.generation if self.registration.place == "postgres" else 1

    def next_offset(self, tp: TopicPartition) -> int | None:
        """The start of the log where nothing was ever read."""
        if self.checkpoints is None:
            return None
        return self.checkpoints[tp].next_offset if tp in self.checkpoints else 0

    @property
    def lag(self) -> int | None:
        if self.high is None or self.checkpoints is None:
            return None
        return lag_of({tp: at.next_offset for tp, at in self.checkpoints.items()}, self.high)

    @property
    def lagging(self) -> Iterator[Position]:
        for tp, end in (self.high or {}).items():
            at = self.next_offset(tp)
            if at is not None and at < end:
                yield tp, at


class _Known(NamedTuple):
    """What is known of all projections."""

    paused: Collection[str]
    generations: Mapping[str, tuple[GenerationProgress, ...]]
    workers: Sequence[Worker]
    decisions: Mapping[str, tuple[Decision, ...]]
    letters: Mapping[tuple[str, int], int]
    times: Mapping[Position, float]


async def projection_status(
    db: AsyncEngine,
    watermarks: Watermarks,
    *,
    names: Names,
    redis: Redis,
    log_times: LogTimes | None = None,
    kafka_answers_s: float = ANSWER_TIMEOUT_S,
) -> list[ProjectionStatus]:
    """Every projection that keeps an offset, in the registry's order; lag in seconds only with `log_times`.

    One that is built in Redis is stopped while that is away, and how far it is, is not known. Where the log ends is
    not known where Kafka has not said it in `kafka_answers_s`.
    """
    high, in_redis = await asyncio.gather(_high(watermarks, names, kafka_answers_s), _in_redis(redis, names))
    async with db.connect() as connection:
        in_postgres = await _in_postgres(connection)
        known = _Known(
            paused=await _paused(connection),
            generations=await generations_by_projection(connection),
            workers=await known_workers(connection),
            decisions=await decisions_by_projection(connection),
            letters=await open_letters(connection),
            times={},
        )
    built = []
    for each in REGISTRY:
        in_place = in_redis if each.place == "redis" else in_postgres
        state, checkpoints = in_place.get(each.name, (State(), {}))
        topics = each.topics_of(names)
        ours = None if high is None else {tp: end for tp, end in high.items() if tp.topic in topics}
        built.append(_Built(each, state, checkpoints, ours))
    if log_times is not None:
        known = known._replace(times=await log_times.at({at for each in built for at in each.lagging}))
    return [_status(each, known) for each in built]


def _status(built: _Built, known: _Known) -> ProjectionStatus:
    name = built.registration.name
    partitions = _partitions(built, known)
    generations = known.generations.get(name, ())
    workers = [each.shown for each in known.workers if each.projection == name and each.is_alive]
    silent = [each.shown for each in known.workers if each.projection == name and not each.is_alive]
    seconds = [each.lag_seconds for each in partitions]
    return ProjectionStatus(
        name=name,
        place=built.registration.place,
        generation=None if built.checkpoints is None else built.state.generation,
        status=_word(built, is_paused=name in known.paused, generations=generations),
        lag=built.lag,
        lag_seconds=None if None in seconds else max((each for each in seconds if each is not None), default=0.0),
        events_per_second=sum(each.events_per_second for each in workers if each.generation == built.number),
        dead_letters=known.letters.get((name, built.number), 0),
        restarts=sum(each.restarts for each in workers),
        partitions=partitions,
        workers=tuple(workers),
        decisions=known.decisions.get(name, ()),
        generations=generations,
        silent=tuple(silent),
        reason=built.state.stopped_reason,
        never_rebuilt=built.registration.never_rebuilt,
    )


def _word(built: _Built, *, is_paused: bool, generations: Sequence[GenerationProgress]) -> Status:
    if is_paused:
        return "paused"
    if built.state.stopped_reason is not None:
        return "stopped"
    rebuilding = any(at.next_offset < at.rebuild_until for at in (built.checkpoints or {}).values())
    rebuilding = rebuilding or any(each.status == "building" and each.reason is None for each in generations)
    return "rebuilding" if rebuilding else "running"


def _partitions(built: _Built, known: _Known) -> tuple[PartitionProgress, ...]:
    owners = {
        partition: worker.shown.worker
        for worker in known.workers
        if worker.is_alive and worker.projection == built.registration.name and worker.shown.generation == built.number
        for partition in worker.partitions
    }
    shown = []
    for tp in sorted((built.checkpoints or {}).keys() | (built.high or {}).keys()):
        at = built.next_offset(tp)
        high = None if built.high is None else built.high.get(tp)
        lag = None if high is None or at is None else max(0, high - at)
        logged_at = None if at is None else known.times.get((tp, at))
        seconds = None if logged_at is None else seconds_since(logged_at)
        shown.append(
            PartitionProgress(
                topic=tp.topic,
                partition=tp.partition,
                next_offset=at,
                high_watermark=high,
                lag=lag,
                lag_seconds=0.0 if lag == 0 else seconds,
                owner=owners.get(offset_field(tp)),
            )
        )
    return tuple(shown)


async def _high(watermarks: Watermarks, names: Names, patience_s: float) -> High | None:
    topics = {topic for each in REGISTRY for topic in each.topics_of(names)}
    try:
        async with asyncio.timeout(patience_s):
            return await watermarks.high(sorted(topics))
    except (LogUnavailable, TimeoutError):
        return None


async def _in_redis(redis: Redis, names: Names) -> Mapping[str, tuple[State, Checkpoints | None]]:
    """Of all that is built there, asked at the same time."""
    built = [each for each in REGISTRY if each.place == "redis"]
    places = await asyncio.gather(*(_one_in_redis(redis, each, names) for each in built))
    return dict(zip((each.name for each in built), places, strict=True))


async def _one_in_redis(redis: Redis, of: Registration, names: Names) -> tuple[State, Checkpoints | None]:
    try:
        async with asyncio.timeout(REDIS_ANSWERS_S), answering():
            offsets_key = cast("RedisProjection[Any]", of.projection(names)).offsets_key
            fields = cast("dict[bytes, bytes]", await redis.hgetall(offsets_key))
    except Unavailable as away:
        return State(stopped_reason=str(away)), None
    except TimeoutError:
        return State(stopped_reason=f"Redis has not answered for {REDIS_ANSWERS_S:g} s"), None
    return state_of(fields), checkpoints_of(fields)


async def _in_postgres(connection: AsyncConnection) -> Mapping[str, tuple[State, Checkpoints]]:
    """Of the generations that queries read."""
    is_active = (projection_generations.c.projection == projections.c.projection) & (
        projection_generations.c.generation == projections.c.active_generation
    )
    of_active = (projection_offsets.c.projection == projections.c.projection) & (
        projection_offsets.c.generation == projections.c.active_generation
    )
    states = await connection.execute(select(projection_generations).where(is_active))
    found = {
        row.projection: (State(row.generation, row.stopped_reason), dict[TopicPartition, Checkpoint]())
        for row in states
    }
    for row in await connection.execute(select(projection_offsets).where(of_active)):
        if row.projection in found:
            at = Checkpoint(row.next_offset, row.rebuild_until)
            found[row.projection][1][TopicPartition(row.topic, row.partition)] = at
    return found


async def _paused(connection: AsyncConnection) -> Collection[str]:
    rows = await connection.execute(select(projections.c.projection).where(projections.c.paused_at.is_not(None)))
    return {row.projection for row in rows}
