"""Rebuilds a projection from the start of the log, in place.

One transaction empties it and sets its offsets back; the compare-and-set fences batches that workers have in
flight. Then everybody in the consumer group replays, this process too, so it works with and without others.
The rebuild is over when every partition has reached the watermark that was taken at its start, while traffic goes on.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from aiokafka import TopicPartition

from domain.errors import GavelError, Refusal
from projections.registry import registered
from projections.run import keep_projecting
from projections.servers import Addresses, Servers
from projections.store import Store
from projections.watermarks import Ends

LOOK_S = 0.2


class RebuildStopped(GavelError):
    """The log has an event that cannot be applied: what was built so far is incomplete."""


class RebuildProgress(msgspec.Struct, frozen=True):
    """How far a rebuild is."""

    done: int
    """Records replayed, of `total`."""
    total: int
    seconds: float

    @property
    def per_second(self) -> float:
        """Records per second, from the start."""
        return self.done / self.seconds if self.seconds else 0.0


async def rebuild(
    addresses: Addresses, name: str, *, on_progress: Callable[[RebuildProgress], None] = lambda _: None
) -> RebuildProgress:
    """Rebuilds the projection and returns when it has replayed the log as it stood at the start.

    `on_progress` is called several times a second. Raises NotFound, LogUnavailable, Unavailable, Refusal for one that
    is never rebuilt, and RebuildStopped when an event cannot be applied. Ended early, the replay is finished by
    whoever runs the projection.
    """
    registration = registered(name)
    if registration.never_rebuilt is not None:
        raise Refusal(f"{name} is never rebuilt: {registration.never_rebuilt}")
    async with Servers(addresses, client_id="gavel-rebuild") as servers:
        _, store = registration.opened(servers.names, servers.pool, servers.redis)
        ends = await servers.watermarks.ends(registration.topics_of(servers.names))
        await store.reset({tp: end.low for tp, end in ends.items()}, {tp: end.high for tp, end in ends.items()})
        stop = asyncio.Event()
        replaying = asyncio.create_task(keep_projecting(registration, servers, stop))
        try:
            return await _followed(store, ends, on_progress)
        finally:
            stop.set()
            await replaying


async def _followed(
    store: Store[Any], ends: Mapping[TopicPartition, Ends], on_progress: Callable[[RebuildProgress], None]
) -> RebuildProgress:
    """Looks at the checkpoints, which all workers move, until they have reached the end."""
    total = sum(end.high - end.low for end in ends.values())
    started = time.monotonic()
    while True:
        checkpoints = await store.checkpoints()
        # Partitions that Redis has forgotten meanwhile are at their start again.
        done = sum(
            min(checkpoints[tp].next_offset, end.high) - end.low for tp, end in ends.items() if tp in checkpoints
        )
        progress = RebuildProgress(done, total, time.monotonic() - started)
        on_progress(progress)
        if done >= total:
            return progress
        reason = (await store.state()).stopped_reason
        if reason is not None:
            raise RebuildStopped(reason)
        await asyncio.sleep(LOOK_S)
