"""Waiting longer after each failure in a row."""

from __future__ import annotations

import asyncio
import contextlib

FIRST_S = 0.1
FACTOR = 2.0
MAX_S = 5.0


class Backoff:
    """Delays of 0.1 s, 0.2 s, … up to 5 s; a success starts again from the first."""

    def __init__(self) -> None:
        self._delay_s = FIRST_S

    def reset(self) -> None:
        self._delay_s = FIRST_S

    async def wait(self, stop: asyncio.Event) -> None:
        """Sleeps the next delay, or until `stop` is set."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), self._delay_s)
        self._delay_s = min(self._delay_s * FACTOR, MAX_S)
