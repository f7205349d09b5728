"""Sees to it that every bulk load is decided, also where the process died that had received it.

Each API process sweeps. That several decide at once does no harm: the first decision in the log counts.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

import structlog

from commands.feeds.decide_run import DecideRun
from commands.feeds.redis_runs import OpenRuns, RedisRuns
from commands.ports import Clock
from domain.errors import Unavailable
from domain.limits import FEED_RUN_PATIENCE_SECONDS, FEED_START_PATIENCE_SECONDS

SWEEP_SECONDS: Final = 3.0
EXPECTED_SECONDS: Final = 0.1
"""Between two looks at the runs that this process has received itself."""
EXPECTED_MAX: Final = 1_000
"""More are left to the sweep."""
NEVER_OPENED: Final = "The upload was started and did not come to its first record."
GIVEN_UP: Final = "The upload was not completed: nothing more of it has come for a day."

HasBacklog = Callable[[str, str], Awaitable[bool]]
"""Whether there is anything of 'bulk' or 'changes' that was logged and is not applied, for that client."""

_log = structlog.get_logger(__name__)


class SweepRuns:
    """Run it beside the API until it is cancelled."""

    def __init__(self, *, runs: RedisRuns, decide: DecideRun, has_backlog: HasBacklog, clock: Clock) -> None:
        self._runs = runs
        self._decide = decide
        self._has_backlog = has_backlog
        self._clock = clock
        self._expected: dict[tuple[str, str], None] = {}
        self._positions: dict[str, str] = {}
        """Of clients, when they were last looked at."""
        self._open: set[str] = set()
        """Clients that had something undecided then."""
        self._standing: dict[tuple[str, str], tuple[int, float]] = {}
        """By client and run: how many of its lines were known, and since when no more."""

    def __repr__(self) -> str:
        return f"SweepRuns({len(self._expected)} expected, {len(self._open)} clients with open runs)"

    def expect(self, client: str, run_id: str) -> None:
        """A run that was just received here: its decision is due as soon as the consumer has met all of it."""
        if len(self._expected) < EXPECTED_MAX:
            self._expected[client, run_id] = None

    async def run(self) -> None:
        """Until it is cancelled; servers that are away are waited for."""
        next_sweep = 0.0
        while True:
            try:
                await self.decide_expected()
                if self._clock.monotonic() >= next_sweep:
                    next_sweep = self._clock.monotonic() + SWEEP_SECONDS
                    await self.sweep()
            except Unavailable as error:
                _log.warning("loads of feeds cannot be decided now", error=str(error))
                await asyncio.sleep(SWEEP_SECONDS)
            await asyncio.sleep(EXPECTED_SECONDS)

    async def decide_expected(self) -> None:
        """Raises Unavailable."""
        for client, run_id in [*self._expected]:
            if await self._decide(client, run_id):
                self._expected.pop((client, run_id), None)

    async def sweep(self) -> None:
        """Looks at the clients of which something new was read, and those with open runs. Raises Unavailable."""
        positions = await self._runs.positions()
        changed = {client for client, position in positions.items() if self._positions.get(client) != position}
        opened = await self._runs.open_runs([*(changed | self._open)])
        self._positions = positions
        self._open = {each.client for each in opened}
        standing = {}
        for each in opened:
            for run_id, lines in await self._undecided_by(each):
                known, since = self._standing.get((each.client, run_id), (-1, 0.0))
                since = since if lines == known else self._clock.monotonic()
                standing[each.client, run_id] = (lines, since)
                await self._give_up_late(each, run_id, self._clock.monotonic() - since)
        self._standing = standing

    async def _undecided_by(self, opened: OpenRuns) -> list[tuple[str, int]]:
        """Its runs that are not decidable, with the lines that are known of them."""
        undecided = [(started.run_id, 0) for started in opened.started]
        if opened.undecided is not None and not await self._decide(opened.client, opened.undecided):
            run = await self._runs.find(opened.client, opened.undecided)
            undecided.append((opened.undecided, run.next_line if run is not None else 0))
        return undecided

    async def _give_up_late(self, opened: OpenRuns, run_id: str, stands_s: float) -> None:
        started = next((each for each in opened.started if each.run_id == run_id), None)
        patience_s = FEED_RUN_PATIENCE_SECONDS if started is None else FEED_START_PATIENCE_SECONDS
        # With a backlog nobody knows: what is missed may be in the log.
        if stands_s < patience_s or await self._has_backlog("bulk", opened.client):
            return
        if started is None:
            await self._decide.give_up(opened.client, run_id, GIVEN_UP)
        else:
            await self._decide.give_up_started(opened.client, started, NEVER_OPENED)
        _log.warning("a load of a feed is given up", client=opened.client, run_id=run_id)
