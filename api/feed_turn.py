"""A load's turn among those of its client: one is begun once those before it that were received are decided."""

from __future__ import annotations

import asyncio

from api.feed_backlog import FeedBacklog
from commands.feeds.redis_runs import RedisRuns
from domain.errors import Overloaded
from domain.limits import FEED_BACKLOG_PATIENCE_SECONDS

LOOK_SECONDS = 0.05


class FeedTurn:
    """Implements load_feed.Turn."""

    def __init__(self, backlog: FeedBacklog, runs: RedisRuns) -> None:
        self._backlog = backlog
        self._runs = runs

    def __repr__(self) -> str:
        return f"FeedTurn({self._backlog!r})"

    async def __call__(self, client: str, run_id: str) -> None:
        """As the port says."""
        clock = asyncio.get_running_loop().time
        until = clock() + FEED_BACKLOG_PATIENCE_SECONDS
        if not await self._backlog.loads_met(client, FEED_BACKLOG_PATIENCE_SECONDS):
            raise Overloaded("Loads of the feed client that were received before are still being applied.")
        # Decided by another task, or another process.
        while await self._has_undecided(client, run_id):
            if clock() >= until:
                raise Overloaded("A load of the feed client that was received before is not decided yet.")
            await asyncio.sleep(LOOK_SECONDS)

    async def _has_undecided(self, client: str, run_id: str) -> bool:
        """Whether another load of the client than that was received in full and is not decided."""
        for opened in await self._runs.open_runs([client]):
            if opened.undecided is not None and opened.undecided != run_id:
                run = await self._runs.find(client, opened.undecided)
                return run is not None and run.is_decidable
        return False
