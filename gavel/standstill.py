"""A process whose event loop stands still ends itself, saying where, so that whoever keeps it running starts it again.

A handler that computes for ever keeps everything waiting that could notice, heartbeats included: what watches has to
be outside of the interpreter.
"""

from __future__ import annotations

import asyncio
import faulthandler
from collections.abc import Coroutine

STILL_S = 30.0
"""Longer than anything that a projection does between two looks of the loop; a process that was suspended for so long
ends when it is woken, its partitions having gone to others."""
BEATS = 10
"""While it may stand still."""


async def ending_at_a_standstill(work: Coroutine[None, None, None], *, still_s: float = STILL_S) -> None:
    """Does the work. If the loop then stands still, the process writes a traceback and ends with exit code 1."""
    beating = asyncio.create_task(_beat(still_s))
    try:
        await work
    finally:
        beating.cancel()
        faulthandler.cancel_dump_traceback_later()


async def _beat(still_s: float) -> None:
    while True:
        faulthandler.dump_traceback_later(still_s, exit=True)
        await asyncio.sleep(still_s / BEATS)
