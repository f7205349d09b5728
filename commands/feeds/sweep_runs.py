"""Sees to it that every bulk load is decided, also where the process died that had received it.

Each API process sweeps. That several decide at once does no harm: the first decision in the log counts.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any, Final, NamedTuple

import structlog

from commands.feeds.decide_run import DecideRun
from commands.feeds.redis_runs import OpenRuns, RedisRuns
from commands.ports import Clock
from domain.errors import Unavailable
from domain.limits import (
    FEED_RUN_PATIENCE_SECONDS,
    FEED_START_PATIENCE_SECONDS,
    FEED_UNNAMED_RUN_PATIENCE_SECONDS,
)

SWEEP_SECONDS: Final = 3.0
EXPECTED_SECONDS: Final = 0.1
"""Between two looks at the runs that this process has received itself."""
EXPECTED_MAX: Final = 1_000
"""More are left to the sweep."""
EXPECTED_FOR_SECONDS: Final = 60.0
"""What is not decided by then is left to the sweep, too: it may be known to nobody any more."""
NEVER_OPENED: Final = "The upload was started and did not come to its first record."
GIVEN_UP: Final = "The upload was not completed: nothing more of it has come for a day."
BROKEN_OFF: Final = "The upload was not completed, and as it has no name nobody can go on with it."

Reach = Callable[[], Awaitable[Callable[[str], tuple[int, int]]]]
"""Tells of a client up to which offset its loads are applied now, and where they end. Raises Unavailable."""

_log = structlog.get_logger(__name__)


class _Open(NamedTuple):
    """A run that is not decided."""

    run_id: str
    seen: tuple[str, int]
    """Its status, and how many of its lines are known."""
    patience_s: float
    end: Callable[[], Awaitable[Any]]
    """What is done when it has stood like that for so long, and nothing in the log changes it."""


class _Standing(NamedTuple):
    seen: tuple[str, int]
    since_s: float
    """When it was first seen like that."""
    log_end: int | None
    """Where the log ended when that had lasted long enough. What is to come of the run may stand before it."""


class SweepRuns:
    """Run it beside the API until it is cancelled."""

    def __init__(self, *, runs: RedisRuns, decide: DecideRun, reach: Reach, clock: Clock) -> None:
        self._runs = runs
        self._decide = decide
        self._reach = reach
        self._clock = clock
        self._expected: dict[tuple[str, str], float] = {}
        """By client and run, until when."""
        self._positions: dict[str, str] = {}
        """Of clients, when they were last looked at."""
        self._open: set[str] = set()
        """Clients that had something undecided then."""
        self._standing: dict[tuple[str, str], _Standing] = {}
        """By client and run."""

    def __repr__(self) -> str:
        return f"SweepRuns({len(self._expected)} expected, {len(self._open)} clients with open runs)"

    def expect(self, client: str, run_id: str) -> None:
        """A run that was just received here: its decision is due as soon as the consumer has met all of it."""
        if len(self._expected) < EXPECTED_MAX:
            self._expected[client, run_id] = self._clock.monotonic() + EXPECTED_FOR_SECONDS

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
        """Raises Unavailable; what it was raised for is then the last in turn."""
        for expected, until in [*self._expected.items()]:
            try:
                is_done = await self._decide(*expected)
            except Unavailable:
                self._expected[expected] = self._expected.pop(expected)
                raise
            if is_done or self._clock.monotonic() >= until:
                self._expected.pop(expected, None)

    async def sweep(self) -> None:
        """Looks at the clients of which something new was read, and those with open runs. Raises Unavailable."""
        positions = await self._runs.positions()
        changed = {client for client, position in positions.items() if self._positions.get(client) != position}
        opened = await self._runs.open_runs([*(changed | self._open)])
        self._positions = positions
        self._open = {each.client for each in opened}
        self._standing = await self._looked_through(opened) if opened else {}

    async def _looked_through(self, opened: Sequence[OpenRuns]) -> dict[tuple[str, str], _Standing]:
        standing: dict[tuple[str, str], _Standing] = {}
        # Before the runs, for what is applied by then is seen in them.
        reach_of = await self._reach()
        for each in opened:
            for run in await self._open_of(each):
                before = self._standing.get((each.client, run.run_id))
                standing[each.client, run.run_id] = await self._looked_at(run, before, *reach_of(each.client))
        return standing

    async def _looked_at(self, run: _Open, before: _Standing | None, applied: int, log_end: int) -> _Standing:
        """Ends it, if it is time to. That there is nothing to apply is not waited for, for others load as well."""
        now = self._clock.monotonic()
        stands = before if before is not None and before.seen == run.seen else _Standing(run.seen, now, None)
        if stands.log_end is None and now - stands.since_s >= run.patience_s:
            stands = stands._replace(log_end=log_end)
        if stands.log_end is None or applied < stands.log_end:
            return stands
        await run.end()
        # Not again before what was just logged is applied.
        return stands._replace(log_end=None)

    async def _open_of(self, opened: OpenRuns) -> list[_Open]:
        client = opened.client
        found = [
            _Open(
                each.run_id,
                ("started", 0),
                FEED_START_PATIENCE_SECONDS,
                partial(self._give_up, client, each.run_id, NEVER_OPENED),
            )
            for each in opened.started
        ]
        run_id = opened.undecided
        run = None if run_id is None else await self._runs.find(client, run_id)
        if run_id is None or run is None:
            return found
        end: Callable[[], Awaitable[Any]] = partial(self._decide, client, run_id)
        patience_s = 0.0
        if run.status == "receiving":
            end = partial(self._give_up, client, run_id, GIVEN_UP if run.may_be_resumed else BROKEN_OFF)
            patience_s = FEED_RUN_PATIENCE_SECONDS if run.may_be_resumed else FEED_UNNAMED_RUN_PATIENCE_SECONDS
        return [*found, _Open(run_id, (run.status, run.next_line), patience_s, end)]

    async def _give_up(self, client: str, run_id: str, reason: str) -> None:
        await self._decide.give_up(client, run_id, reason)
        _log.warning("a load of a feed is given up", client=client, run_id=run_id)
