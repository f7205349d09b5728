"""The watchdog: notices a consumer that is alive and stuck, which aiokafka's own checks do not.

Such as one whose connection brings nothing any more, while its heartbeats go on over another one; one whose handler
waits for something that does not come; one whose connections to its store are dead without being closed.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from aiokafka import TopicPartition

from domain.errors import Unavailable
from projections.engine import Projector
from projections.store import Store
from projections.watermarks import Watermarks

STALL_S = 30.0
"""So long without progress in a partition, although there was something to read all the time."""
LOOK_S = 5.0
DOUBLINGS_MAX = 4
"""Of the patience with the successors of one that hung: what takes long for a good reason must come to its end."""


class _Stand(NamedTuple):
    """Where a partition that has more to read stands."""

    offset: int
    end: int
    """Of the log, as another client than the consumer is told."""
    since: float
    """Monotonic seconds."""


class Watch:
    """Looks at the checkpoints in the store, not at what the consumer believes of itself."""

    def __init__(
        self, store: Store[Any], watermarks: Watermarks, topics: Sequence[str], *, stall_s: float = STALL_S
    ) -> None:
        self._store = store
        self._watermarks = watermarks
        self._topics = topics
        self._stall_s = stall_s
        self._look_s = min(LOOK_S, stall_s / 3)
        self._hung = 0
        """How many in a row, without progress in between."""

    async def until_it_hangs(self, projector: Projector[Any]) -> str:
        """Returns why the projector should have a successor. Waiting for a server is not hanging."""
        patience_s = self._stall_s * 2 ** min(self._hung, DOUBLINGS_MAX)
        stands: Mapping[TopicPartition, _Stand] = {}
        answered_at = time.monotonic()
        while True:
            asleep_at = time.monotonic()
            await asyncio.sleep(self._look_s)
            if time.monotonic() - asleep_at > 2 * self._look_s:
                stands, answered_at = {}, time.monotonic()  # the whole process stood still
            try:
                ends = await self._watermarks.high(self._topics)
                async with asyncio.timeout(self._look_s):
                    now = await self._stands(projector, ends)
            except Unavailable:
                stands, answered_at = {}, time.monotonic()
                continue
            except TimeoutError:
                if (silent_s := time.monotonic() - answered_at) < patience_s:
                    continue
                self._hung += 1
                return f"its store has kept its connections and not answered for {silent_s:.0f} s"
            answered_at = time.monotonic()
            if any(tp in stands and stands[tp].offset != at.offset for tp, at in now.items()):
                self._hung = 0
            stands = {tp: _still(stands.get(tp), at) for tp, at in now.items()}
            for tp, stand in sorted(stands.items()):
                if answered_at - stand.since >= patience_s:
                    self._hung += 1
                    return _told(tp, stand, projector.known_end(tp), answered_at - stand.since)

    async def _stands(
        self, projector: Projector[Any], ends: Mapping[TopicPartition, int]
    ) -> dict[TopicPartition, _Stand]:
        """Of the partitions that have something to read: the projector's, or all while it is in no group."""
        state = await self._store.state()
        if state.rests or state.stopped_reason is not None:
            return {}
        checkpoints = await self._store.checkpoints()
        ours = projector.partitions
        return {
            tp: _Stand(at.next_offset, ends[tp], time.monotonic())
            for tp, at in checkpoints.items()
            if (ours is None or tp in ours)
            and at.next_offset < ends.get(tp, 0)
            and (at.hold_at is None or at.next_offset < at.hold_at)
        }


def _still(before: _Stand | None, now: _Stand) -> _Stand:
    if before is None or before.offset != now.offset:
        return now
    return now._replace(since=before.since)


def _told(tp: TopicPartition, stand: _Stand, known_end: int | None, still_s: float) -> str:
    told = f"{tp.topic}/{tp.partition} has stood at {stand.offset} for {still_s:.0f} s, and the log goes to {stand.end}"
    return told if known_end is not None and known_end >= stand.end else f"{told}, of which it has not heard"
