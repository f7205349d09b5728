"""Runs projections in one process until told to stop; a consumer that breaks or hangs gets a successor."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from functools import partial
from typing import Any

import structlog
from aiokafka.errors import KafkaError

from projections.backoff import Backoff
from projections.budget_settlement import BudgetSettlement
from projections.ending import ended, until_stopped
from projections.engine import CLOSE_S, Projector
from projections.feed_audit import FeedAudit
from projections.feed_tidying import FeedTidying
from projections.live import Live
from projections.registry import BUDGETS, FEEDS, LIVE, Registration, registered
from projections.roster import Roster
from projections.servers import Addresses, Servers
from projections.upkeep import Upkeep
from projections.watch import Watch
from projections.workforce import Workforce

STOP_S = 3 * CLOSE_S
"""For an orderly end, where a server that does not answer may hold it up."""
LONG_LIFE_S = 60.0
"""A consumer that lived so long did not fail at its start: its successor need not wait."""

log = structlog.stdlib.get_logger(__name__)


async def run_projectors(addresses: Addresses, projections: Sequence[str], stop: asyncio.Event) -> None:
    """Runs the projections of these names (see `registry.RUNNABLE`) until `stop` is set. Raises NotFound.

    It waits for servers that are away. Stopping loses nothing: what was not applied is read again.
    Heartbeats share the event loop, so this belongs into a process of its own.
    """
    registrations = [registered(name) for name in projections if name != LIVE]
    async with Servers(addresses, client_id="gavel-projector") as servers:
        works = [work_on(registrations, servers, stop), Upkeep(registrations, servers).run(stop)]
        if BUDGETS in projections:
            works.append(BudgetSettlement(servers).run(stop))
        if {*FEEDS} & {*projections}:
            works.append(FeedAudit(servers.redis, servers.pool, servers.names).run(stop))
            works.append(FeedTidying(servers.redis, servers.pool, servers.names).run(stop))
        if LIVE in projections:
            works.append(Live(servers).run(stop))
        await until_stopped(stop, *works, within_s=STOP_S)


async def work_on(registrations: Sequence[Registration], servers: Servers, stop: asyncio.Event) -> None:
    """Runs the generations of these projections until `stop` is set, and tells what this process has in hand."""
    roster = Roster(servers.pool)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(Workforce(registrations, servers, partial(keep_projecting, roster=roster)).run(stop))
        tasks.create_task(roster.run(stop))


async def keep_projecting(
    registration: Registration, generation: int, servers: Servers, stop: asyncio.Event, *, roster: Roster
) -> None:
    """One generation for as long as it is wanted: a consumer that breaks or hangs gets a successor."""
    projection, store = await registration.opened(servers, generation)
    topics = registration.topics_of(servers.names)
    watch = Watch(store, servers.watermarks, topics)
    backoff = Backoff()
    while not stop.is_set():
        started = time.monotonic()
        projector: Projector[Any] = Projector(
            projection,
            store,
            topics=topics,
            group=registration.group(servers.names, generation),
            kafka=servers.kafka | {"client_id": f"{servers.client_id}-{registration.name}-{roster.worker}"},
        )
        with roster.listed(registration.name, generation, projector):
            ended_because = await one_life(projector, watch, stop)
        if time.monotonic() - started > LONG_LIFE_S:
            backoff.reset()
        if not stop.is_set():
            roster.restarted(registration.name, generation, ended_because)
            await backoff.wait(stop)
    roster.left(registration.name, generation)


async def one_life(projector: Projector[Any], watch: Watch, stop: asyncio.Event) -> str | None:
    """Until it is stopped, breaks or hangs: then it tells why it needs a successor.

    One that breaks must not take the other projections with it.
    """
    running = asyncio.create_task(projector.run(stop))
    hanging = asyncio.create_task(watch.until_it_hangs(projector))
    try:
        await asyncio.wait({running, hanging}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        await ended(hanging)
        await ended(running, again_s=STOP_S)
    outcome, watched = await asyncio.gather(running, hanging, return_exceptions=True)
    ended_because: str | None = None
    if isinstance(watched, str):
        ended_because = f"it hung: {watched}"
        log.error("the consumer hangs and is replaced", projector=repr(projector), reason=watched)
    for failure in (outcome, watched):
        if isinstance(failure, Exception):
            ended_because = repr(failure)
        if isinstance(failure, KafkaError | OSError):
            log.warning("the consumer broke and is replaced", projector=repr(projector), error=repr(failure))
        elif isinstance(failure, Exception):
            log.error("the projection failed and is started again", projector=repr(projector), exc_info=failure)
    return ended_because
