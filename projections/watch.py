"""The watchdog: notices a consumer that is alive and stuck, which aiokafka's own checks do not."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Any

from aiokafka import TopicPartition

from domain.errors import Unavailable
from projections.engine import Projector
from projections.store import Checkpoint, Store
from projections.watermarks import Watermarks

STALL_S = 30.0
"""So long without progress, although there was something to read all the time."""
LOOK_S = 5.0


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

    async def until_it_hangs(self, projector: Projector[Any]) -> None:
        """Returns when the projector should have a successor. Waiting for a server is not hanging."""
        seen: dict[TopicPartition, Checkpoint] = {}
        moved_at = time.monotonic()
        while time.monotonic() - moved_at < self._stall_s:
            await asyncio.sleep(self._look_s)
            try:
                behind = await self._behind(projector)
            except Unavailable:
                moved_at = time.monotonic()
                continue
            if not behind or any(seen.get(tp) != checkpoint for tp, checkpoint in behind.items()):
                moved_at = time.monotonic()
            seen = behind

    async def _behind(self, projector: Projector[Any]) -> dict[TopicPartition, Checkpoint]:
        """Partitions that have something to read: the projector's, or all where it has none (it may have to rejoin)."""
        if (await self._store.state()).stopped_reason is not None:
            return {}
        checkpoints = await self._store.checkpoints()
        high = await self._watermarks.high(self._topics)
        ours = projector.partitions or checkpoints.keys()
        return {tp: at for tp, at in checkpoints.items() if tp in ours and tp in high and at.next_offset < high[tp]}
