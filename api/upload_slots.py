"""How many uploads are taken at once: each has a piece, a batch and a line or a block in memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from weakref import WeakValueDictionary

from api.problems import ProblemRaised
from domain.limits import (
    FEED_BACKLOG_PATIENCE_SECONDS,
    FEED_RETRY_SECONDS,
    FEED_UPLOADS_MAX,
    FEED_UPLOADS_OF_A_CLIENT_MAX,
)


class UploadSlots:
    """Of one process. Who finds none free waits, and nothing is read of what is sent."""

    def __init__(self) -> None:
        self._all = asyncio.Semaphore(FEED_UPLOADS_MAX)
        self._of: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()

    def __repr__(self) -> str:
        return f"UploadSlots({len(self._of)} clients)"

    @asynccontextmanager
    async def taken(self, client: str) -> AsyncIterator[None]:
        """One of the client's, inside the block. Raises ProblemRaised (503) where none becomes free."""
        of_client = self._of.setdefault(client, asyncio.Semaphore(FEED_UPLOADS_OF_A_CLIENT_MAX))
        async with AsyncExitStack() as held:
            try:
                async with asyncio.timeout(FEED_BACKLOG_PATIENCE_SECONDS):
                    # The client's first: who waits for one holds none of the others'.
                    await held.enter_async_context(of_client)
                    await held.enter_async_context(self._all)
            except TimeoutError:
                why = "as many uploads as there may be at once are still being sent"
                raise ProblemRaised("overloaded", why, headers={"Retry-After": str(FEED_RETRY_SECONDS)}) from None
            yield
