"""Rebuilds a projection from the start of the log, while everybody reads it.

In Postgres a new generation is built beside the active one, by this process and all that run the projection: it
replays up to the watermarks that were taken at its start, catches up, is compared, and becomes the active one.
Whoever dies meanwhile, it goes on; called again, this resumes. In Redis a projection is built in place.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import msgspec
from aiokafka import TopicPartition

from domain.errors import Conflict, GavelError
from projections import decisions, generations
from projections.decisions import SOMEBODY
from projections.generation import Generation
from projections.postgres_store import connected
from projections.redis_store import RedisStore
from projections.registry import Registration, registered
from projections.run import work_on
from projections.servers import Addresses, Servers
from projections.store import Store
from projections.swap import swap
from projections.verification import Verification, verify
from projections.watermarks import Ends

LOOK_S = 0.2
CANCELLED = "somebody has cancelled it"


class RebuildStopped(GavelError):
    """What was built so far is incomplete: the log has an event that cannot be applied, or somebody has cancelled."""


class NotEqual(GavelError):
    """The generation that was built is not equal to the active one."""

    def __init__(self, verification: Verification) -> None:
        self.verification = verification
        super().__init__(verification.summary)


class RebuildProgress(msgspec.Struct, frozen=True):
    """How far a rebuild is."""

    done: int
    """Records replayed, of `total`."""
    total: int
    seconds: float
    done_before: int = 0
    """Of `done`, what had been replayed when this process looked first."""
    generation: int = 1

    @property
    def per_second(self) -> float:
        """Records per second, from the start."""
        return (self.done - self.done_before) / self.seconds if self.seconds else 0.0


async def rebuild(
    addresses: Addresses,
    name: str,
    *,
    on_progress: Callable[[RebuildProgress], None] = lambda _: None,
    swaps: bool = True,
    accept_dead_letters: bool = False,
    accept_differences: bool = False,
    by: str = SOMEBODY,
) -> RebuildProgress:
    """Builds a new generation of the projection, or goes on with one that is being built, and makes it the active one.

    `on_progress` is called several times a second. Without `swaps` it ends when the log as it stood at the start has
    been replayed. Raises NotFound, LogUnavailable, Unavailable, Conflict for one that is never rebuilt, RebuildStopped
    when an event cannot be applied, NotEqual, and NotReady when it may not become the active one.
    """
    registration = rebuildable(name)
    async with Servers(addresses, client_id="gavel-rebuild") as servers:
        if registration.place == "redis":
            return await _rebuilt_in_place(registration, servers, on_progress, accepts_dead_letters=accept_dead_letters)
        ends = await servers.watermarks.ends(registration.topics_of(servers.names))
        async with connected(servers.pool) as connection:
            await generations.establish(connection, [registration])
            generation = await generations.begin(
                connection, registration, ends, accepts_dead_letters=accept_dead_letters
            )
            await decisions.record(connection, "rebuild", name, generation.number, by=by)
        async with working(registration, servers):
            progress = await _built(registration, generation, servers, on_progress)
            if swaps:
                await _swapped(registration, generation, servers, accept_differences=accept_differences)
    return progress


def rebuildable(name: str) -> Registration:
    """The projection of that name. Raises NotFound, and Conflict for one that is never rebuilt."""
    registration = registered(name)
    if registration.never_rebuilt is not None:
        raise Conflict(f"{name} is never rebuilt: {registration.never_rebuilt}")
    return registration


async def begin_in_place(
    registration: Registration, servers: Servers, store: RedisStore[Any], *, accepts_dead_letters: bool = False
) -> Mapping[TopicPartition, Ends]:
    """Empties it, to be filled from the log as it stands now; workers do that."""
    ends = await servers.watermarks.ends(registration.topics_of(servers.names))
    starts, targets = {tp: end.low for tp, end in ends.items()}, {tp: end.high for tp, end in ends.items()}
    await store.reset(starts, targets, accepts_dead_letters=accepts_dead_letters)
    return ends


@asynccontextmanager
async def working(registration: Registration, servers: Servers) -> AsyncIterator[None]:
    """While inside, this process works on the generations of the projection like any other that runs it."""
    stop = asyncio.Event()
    work = asyncio.create_task(work_on([registration], servers, stop))
    try:
        yield
    finally:
        stop.set()
        await work


async def _built(
    registration: Registration,
    generation: Generation,
    servers: Servers,
    on_progress: Callable[[RebuildProgress], None],
) -> RebuildProgress:
    _, store = await registration.opened(servers, generation.number)
    checkpoints = await store.checkpoints()
    ends = {tp: Ends(at.first_offset, at.rebuild_until) for tp, at in checkpoints.items() if at.rebuild_until}
    progress = await _followed(store, ends, on_progress, generation.number)
    while True:
        async with connected(servers.pool) as connection:
            await generations.mark_built(connection)
            status = (await generations.one(connection, registration.name, generation.number)).status
        if status == "cancelled":
            raise RebuildStopped(CANCELLED)
        if status != "building":
            return progress
        await asyncio.sleep(LOOK_S)


async def _swapped(
    registration: Registration, generation: Generation, servers: Servers, *, accept_differences: bool
) -> None:
    if not accept_differences:
        verification = await verify(servers.pool, registration, generation.number)
        if not verification.is_equal:
            raise NotEqual(verification)
    async with connected(servers.pool) as connection:
        await swap(connection, registration, generation.number)


async def _rebuilt_in_place(
    registration: Registration,
    servers: Servers,
    on_progress: Callable[[RebuildProgress], None],
    *,
    accepts_dead_letters: bool,
) -> RebuildProgress:
    _, store = await registration.opened(servers, 1)
    assert isinstance(store, RedisStore), store
    ends = await begin_in_place(registration, servers, store, accepts_dead_letters=accepts_dead_letters)
    async with working(registration, servers):
        return await _followed(store, ends, on_progress, (await store.state()).generation)


async def _followed(
    store: Store[Any],
    ends: Mapping[TopicPartition, Ends],
    on_progress: Callable[[RebuildProgress], None],
    generation: int,
) -> RebuildProgress:
    """Looks at the checkpoints, which all workers move, until they have reached the end."""
    total = sum(end.high - end.low for end in ends.values())
    started, done_before = time.monotonic(), None
    while True:
        checkpoints = await store.checkpoints()
        # Partitions that Redis has forgotten meanwhile are at their start again.
        done = sum(
            min(checkpoints[tp].next_offset, end.high) - end.low for tp, end in ends.items() if tp in checkpoints
        )
        done_before = done if done_before is None else done_before
        progress = RebuildProgress(done, total, time.monotonic() - started, done_before, generation)
        on_progress(progress)
        if done >= total:
            return progress
        state = await store.state()
        if state.stopped_reason is not None:
            raise RebuildStopped(state.stopped_reason)
        if state.rests and not checkpoints:
            raise RebuildStopped(CANCELLED)
        await asyncio.sleep(LOOK_S)
