"""How far all projections are: however many ask an API process, it asks the servers once at a time for all of them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from projections.queries.progress import ProjectionStatus

RECENT_S: Final = 1.0

Statuses = Sequence[ProjectionStatus]


class SharedProgress:
    """However many ask, one look is taken at a time, and one more waits for its end.

    Both questions raise what `look` raises. Close it in the end.
    """

    def __init__(self, look: Callable[[], Awaitable[Statuses]]) -> None:
        self._look = look
        self._one_at_a_time = asyncio.Lock()
        self._waiting: asyncio.Task[Statuses] | None = None
        """The look that is not begun yet: whoever asks now is answered by it."""
        self._tasks: set[asyncio.Task[Statuses]] = set()
        self._seen: Statuses = ()
        self._seen_at = float("-inf")

    async def now(self) -> Statuses:
        """As it is after the question: who has just decided something sees it."""
        if self._waiting is None:
            self._waiting = asyncio.create_task(self._looked())
            self._tasks.add(self._waiting)
            self._waiting.add_done_callback(self._ended)
        return await asyncio.shield(self._waiting)

    async def lately(self) -> Statuses:
        """As it was a second ago, or is now."""
        return self._seen if time.monotonic() - self._seen_at < RECENT_S else await self.now()

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _looked(self) -> Statuses:
        async with self._one_at_a_time:
            self._waiting = None
            self._seen = await self._look()
            self._seen_at = time.monotonic()
            return self._seen

    def _ended(self, task: asyncio.Task[Statuses]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # Those who asked may have gone meanwhile.
