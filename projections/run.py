"""Runs projections in one process until told to stop; a consumer that breaks or hangs gets a successor."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Any

import structlog
from aiokafka.errors import KafkaError

from projections.backoff import Backoff
from projections.budget_settlement import BudgetSettlement
from projections.engine import Projector
from projections.live import Live
from projections.registry import BUDGETS, LIVE, Registration, registered
from projections.servers import Addresses, Servers
from projections.watch import Watch

LONG_LIFE_S = 60.0
"""A consumer that lived so long did not fail at its start: its successor need not wait."""

log = structlog.stdlib.get_logger(__name__)


async def run_projectors(addresses: Addresses, projections: Sequence[str], stop: asyncio.Event) -> None:
    """Runs the projections of these names (see `registry.RUNNABLE`) until `stop` is set. Raises NotFound.

    It waits for servers that are away. Stopping loses nothing: what was not applied is read again.
    Heartbeats share the event loop, so this belongs into a process of its own.
    """
    registrations = [registered(name) for name in projections if name != LIVE]
    async with Servers(addresses, client_id="gavel-projector") as servers, asyncio.TaskGroup() as tasks:
        for registration in registrations:
            tasks.create_task(keep_projecting(registration, servers, stop))
        if BUDGETS in projections:
            tasks.create_task(BudgetSettlement(servers).run(stop))
        if LIVE in projections:
            tasks.create_task(Live(servers).run(stop))


async def keep_projecting(registration: Registration, servers: Servers, stop: asyncio.Event) -> None:
    """One projection for as long as it is wanted: a consumer that breaks or hangs gets a successor."""
    projection, store = registration.opened(servers.names, servers.pool, servers.redis)
    topics = registration.topics_of(servers.names)
    watch = Watch(store, servers.watermarks, topics)
    backoff = Backoff()
    while not stop.is_set():
        started = time.monotonic()
        projector: Projector[Any] = Projector(
            projection,
            store,
            topics=topics,
            group=servers.names.group(registration.name),
            kafka=servers.kafka | {"client_id": f"{servers.client_id}-{registration.name}"},
        )
        await one_life(projector, watch, stop)
        if time.monotonic() - started > LONG_LIFE_S:
            backoff.reset()
        if not stop.is_set():
            await backoff.wait(stop)


async def one_life(projector: Projector[Any], watch: Watch, stop: asyncio.Event) -> None:
    """Until it is stopped, breaks or hangs. One that breaks must not take the other projections with it."""
    running = asyncio.create_task(projector.run(stop))
    hanging = asyncio.create_task(watch.until_it_hangs(projector))
    try:
        await asyncio.wait({running, hanging}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        hung = not running.done()
        running.cancel()
        hanging.cancel()
        outcome, watched = await asyncio.gather(running, hanging, return_exceptions=True)
    if hung:
        log.error("the consumer hangs and is replaced", projector=repr(projector))
    for failure in (outcome, watched):
        if isinstance(failure, KafkaError | OSError):
            log.warning("the consumer broke and is replaced", projector=repr(projector), error=repr(failure))
        elif isinstance(failure, Exception):
            log.error("the projection failed and is started again", projector=repr(projector), exc_info=failure)
