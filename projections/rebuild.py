"""Rebuilds a projection from the start of the log, while everybody reads it.

In Postgres a new generation is built beside the active one, by this process and all that run the projection: it
replays up to the watermarks that were taken at its start, catches up, is compared, and becomes the active one.
In Redis a projection is built in place. Whoever dies meanwhile, it goes on; called again, this resumes.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

import msgspec
from aiokafka import TopicPartition

from domain.errors import GavelError, NotPossible
from projections import decisions, generations
from projections.decisions import SOMEBODY
from projections.generation import RUN, Generation
from projections.postgres_store import Connection, connected
from projections.redis_store import RedisStore
from projections.registry import Registration, registered
from projections.run import work_on
from projections.servers import Addresses, Servers
from projections.store import Store
from projections.swap import LETTERS, NotReady, StillBehind, swap
from projections.verification import Verification, verify
from projections.watermarks import Ends

LOOK_S = 0.2
CANCELLED = "somebody has cancelled it"


class RebuildOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is stated beside a rebuild."""

    swap: bool = True
    """It becomes the active generation once it is built and equal to the one before."""
    accept_differences: bool = False
    """It does so although rows differ: what was wrong is to be mended."""
    accept_dead_letters: bool = False
    """Events that cannot be applied are parked, and it becomes the active one all the same."""


class BeingBuilt(NotPossible):
    """It is being built in place already."""


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
    built_at: datetime | None = None
    """When it had been built, where one is taken up that had been."""
    behind: int = 0
    """Events that the active generation has applied and it has still to read, once it is built."""

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

    `on_progress` is called several times a second, and every few seconds while it catches up. Without `swaps` it ends
    when the log as it stood at the start has been replayed. Raises NotFound, LogUnavailable, Unavailable, NotPossible
    for one that is paused or never rebuilt, RebuildStopped when an event cannot be applied, NotEqual, and NotReady when
    it may not become the active one.
    """
    registration = rebuildable(name)
    options = RebuildOptions(swap=swaps, accept_differences=accept_differences, accept_dead_letters=accept_dead_letters)
    async with Servers(addresses, client_id="gavel-rebuild") as servers:
        if registration.place == "redis":
            return await _rebuilt_in_place(registration, servers, options, on_progress, by=by)
        generation = await begun(registration, servers, options, by=by)
        async with working(registration, servers):
            progress = await _built(registration, generation, servers, on_progress)
            if swaps:
                await _made_active(registration, servers, options, progress, on_progress)
    return progress


def rebuildable(name: str) -> Registration:
    """The projection of that name. Raises NotFound, and NotPossible for one that is never rebuilt."""
    registration = registered(name)
    if registration.never_rebuilt is not None:
        raise NotPossible(f"{name} is never rebuilt: {registration.never_rebuilt}")
    return registration


async def begun(registration: Registration, servers: Servers, options: RebuildOptions, *, by: str) -> Generation:
    """A generation that is built, and whoever has begun it sees to the rest; or the one that is being built already."""
    ends = await servers.watermarks.ends(registration.topics_of(servers.names))
    async with connected(servers.pool) as connection, connection.transaction():
        await generations.establish(connection, [registration])
        generation = await generations.begin(
            connection, registration, ends, accepts_dead_letters=options.accept_dead_letters
        )
        await _record(connection, generation.projection, generation.number, options, by=by)
        return generation


async def begin_in_place(registration: Registration, servers: Servers, options: RebuildOptions, *, by: str) -> int:
    """Empties it, to be filled from the log as it stands now; workers do that. The number of this build.

    Nothing is emptied where it would stop: raises NotPossible while the projection is paused, and where it has dead
    letters that nobody accepts. Raises BeingBuilt.
    """
    name, store = registration.name, await store_in_redis(registration, servers)
    ends = await servers.watermarks.ends(registration.topics_of(servers.names))
    starts, targets = {tp: end.low for tp, end in ends.items()}, {tp: end.high for tp, end in ends.items()}
    async with connected(servers.pool) as connection, connection.transaction():
        await generations.establish(connection, [registration])
        await generations.lock(connection)
        await generations.refuse_paused(connection, name)
        state, accepts = await store.state(), options.accept_dead_letters
        is_built = all(at.next_offset >= at.rebuild_until for at in (await store.checkpoints()).values())
        if not is_built and state.stopped_reason is None and state.accepts_dead_letters >= accepts:
            raise BeingBuilt(f"{name} is being built already")
        if not accepts and (letters := await connection.fetchval(LETTERS, name, 1)):
            raise NotPossible(f"{name} has {letters} open dead letters: retry or skip them first, or accept them")
        await store.reset(starts, targets, accepts_dead_letters=accepts)
        number = (await store.state()).generation
        await _record(connection, name, number, options, by=by)
        return number


async def store_in_redis(registration: Registration, servers: Servers) -> RedisStore[object]:
    """Of a projection that is built there."""
    _, store = await registration.opened(servers, 1)
    assert isinstance(store, RedisStore), store
    return store


async def _record(connection: Connection, name: str, number: int, options: RebuildOptions, *, by: str) -> None:
    await decisions.record(connection, "rebuild", name, number, by=by, options=msgspec.structs.asdict(options))


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
    def tell(at: RebuildProgress) -> None:
        on_progress(msgspec.structs.replace(at, built_at=generation.built_at))

    _, store = await registration.opened(servers, generation.number)
    checkpoints = await store.checkpoints()
    ends = {tp: Ends(at.first_offset, at.rebuild_until) for tp, at in checkpoints.items() if at.rebuild_until}
    progress = await _followed(store, ends, tell, generation.number)
    while (await _going_on(registration, servers, generation.number)).status == "building":
        async with connected(servers.pool) as connection:
            await generations.mark_built(connection)
        await asyncio.sleep(LOOK_S)
    return msgspec.structs.replace(progress, built_at=generation.built_at)


async def _going_on(registration: Registration, servers: Servers, number: int) -> Generation:
    """The generation as it stands. Raises RebuildStopped where nobody builds it any more."""
    async with connected(servers.pool) as connection:
        generation = await generations.one(connection, registration.name, number)
    if generation.status not in RUN:
        raise RebuildStopped(CANCELLED)
    if generation.stopped_reason is not None:
        raise RebuildStopped(generation.stopped_reason)
    return generation


async def _made_active(
    registration: Registration,
    servers: Servers,
    options: RebuildOptions,
    progress: RebuildProgress,
    on_progress: Callable[[RebuildProgress], None],
) -> None:
    """As soon as it has read what was logged while it was built. Workers may be quicker than we are."""
    while True:
        try:
            if not options.accept_differences:
                verification = await verify(servers.pool, registration, progress.generation)
                if verification.is_equal is False:
                    raise NotEqual(verification)
            async with connected(servers.pool) as connection:
                await swap(connection, registration, progress.generation)
        except StillBehind as behind:
            on_progress(msgspec.structs.replace(progress, behind=behind.events))
            await _going_on(registration, servers, progress.generation)
        except NotReady:
            if (await _going_on(registration, servers, progress.generation)).status != "active":
                raise
            return
        else:
            return


async def _rebuilt_in_place(
    registration: Registration,
    servers: Servers,
    options: RebuildOptions,
    on_progress: Callable[[RebuildProgress], None],
    *,
    by: str,
) -> RebuildProgress:
    store = await store_in_redis(registration, servers)
    try:
        number = await begin_in_place(registration, servers, options, by=by)
    except BeingBuilt:
        number = (await store.state()).generation
    log = await servers.watermarks.ends(registration.topics_of(servers.names))
    ends = {tp: Ends(log[tp].low, at.rebuild_until) for tp, at in (await store.checkpoints()).items()}
    async with working(registration, servers):
        return await _followed(store, ends, on_progress, number)


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
