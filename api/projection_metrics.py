"""What Prometheus learns of the projections, at the address of the API: any API process answers for all workers."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Final, get_args

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from api.read.waiting import database_errors
from domain.errors import Unavailable
from projections.queries.progress import ProjectionStatus, Status

if TYPE_CHECKING:
    from api.services import ApiServices

ANSWER_S: Final = 3.0
"""A scrape has other figures as well, and does not wait long for these."""


async def projection_metrics(services: ApiServices) -> bytes:
    """In Prometheus' text format; of the projections nothing but that they are not known, where Postgres is away.

    Anybody may ask, so all who do within a second are told the same.
    """
    try:
        async with asyncio.timeout(ANSWER_S):
            with database_errors():
                statuses = await services.progress.lately()
    except (Unavailable, TimeoutError):
        statuses = None
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Figures(statuses))
    return generate_latest(registry)


class _Figures(Collector):
    """Not kept anywhere: they are read when somebody asks."""

    def __init__(self, statuses: Sequence[ProjectionStatus] | None) -> None:
        self._statuses = statuses

    def collect(self) -> Iterator[Metric]:
        known = GaugeMetricFamily("gavel_projections_known", "1 where the figures of the projections can be read.")
        known.add_metric([], 0 if self._statuses is None else 1)
        yield known
        if self._statuses is not None:
            yield from _by_projection(self._statuses)
            yield from _by_partition(self._statuses)
            yield from _by_worker(self._statuses)
            yield from _by_generation(self._statuses)


def _by_projection(statuses: Iterable[ProjectionStatus]) -> Iterator[Metric]:
    generation = _gauge("generation", "The generation that queries read.")
    status = _gauge("status", "1 for what the projection does now.", "status")
    letters = _gauge("dead_letters", "Open dead letters of what queries read.")
    rate = _gauge("events_per_second", "Events applied to what queries read.")
    workers = _gauge("workers", "Processes that work on it.")
    for each in statuses:
        if each.generation is not None:
            generation.add_metric([each.name], each.generation)
        for word in get_args(Status):
            status.add_metric([each.name, word], each.status == word)
        letters.add_metric([each.name], each.dead_letters)
        rate.add_metric([each.name], each.events_per_second)
        workers.add_metric([each.name], len({worker.worker for worker in each.workers}))
    yield from (generation, status, letters, rate, workers)


def _by_partition(statuses: Iterable[ProjectionStatus]) -> Iterator[Metric]:
    where = ("topic", "partition")
    position = _gauge("position", "The next offset to apply to what queries read.", *where)
    lag = _gauge("lag_events", "Events logged and not applied.", *where)
    seconds = _gauge("lag_seconds", "How long ago the first event that is not applied was logged.", *where)
    is_read = _gauge("partition_read", "1 where a worker reads the partition.", *where)
    for each in statuses:
        for at in each.partitions:
            labels = [each.name, at.topic, str(at.partition)]
            if at.next_offset is not None:
                position.add_metric(labels, at.next_offset)
            if at.lag is not None:
                lag.add_metric(labels, at.lag)
            if at.lag_seconds is not None:
                seconds.add_metric(labels, at.lag_seconds)
            is_read.add_metric(labels, at.owner is not None)
    yield from (position, lag, seconds, is_read)


def _by_worker(statuses: Iterable[ProjectionStatus]) -> Iterator[Metric]:
    restarts = CounterMetricFamily(
        "gavel_projection_restarts",
        "Consumers that broke or hung, and had a successor.",
        labels=["projection", "generation", "worker"],
    )
    for each in statuses:
        # What a worker has counted is told for a while after its end, or nobody would see its last restarts rise.
        for worker in (*each.workers, *each.silent):
            restarts.add_metric([each.name, str(worker.generation), worker.worker], worker.restarts)
    yield restarts


def _by_generation(statuses: Iterable[ProjectionStatus]) -> Iterator[Metric]:
    built = ("generation", "status")
    done = _gauge("generation_replayed", "Events of the log as it stood when the generation was begun.", *built)
    total = _gauge("generation_to_replay", "How many these are.", *built)
    stopped = _gauge("generation_stopped", "1 where nothing is applied to it before somebody resumes it.", *built)
    waits = _gauge(
        "generation_waits", "1 where it is to become the active one and has not, or is not compared.", *built
    )
    letters = _gauge("generation_dead_letters", "Its open dead letters.", *built)
    disk = _gauge("generation_disk_bytes", "What it takes on disk.", *built)
    equal = _gauge("generation_equal", "1 where it was equal to the active one when it was compared last.", *built)
    for each in statuses:
        for generation in each.generations:
            labels = [each.name, str(generation.generation), generation.status]
            done.add_metric(labels, generation.done)
            total.add_metric(labels, generation.total)
            stopped.add_metric(labels, generation.reason is not None)
            waits.add_metric(labels, generation.waits is not None)
            letters.add_metric(labels, generation.dead_letters)
            disk.add_metric(labels, generation.disk_bytes)
            if generation.verification is not None and generation.verification.comparable:
                equal.add_metric(labels, bool(generation.verification.is_equal))
    yield from (done, total, stopped, waits, letters, disk, equal)


def _gauge(name: str, meaning: str, *labels: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"gavel_projection_{name}", meaning, labels=["projection", *labels])
