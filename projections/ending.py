"""The end of tasks that have none of their own."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, Final

AGAIN_S: Final = 0.5
"""Until a task that was cancelled is cancelled once more."""


async def ended(*tasks: asyncio.Task[Any], again_s: float | None = None) -> None:
    """Cancels the tasks until they have ended; what they raise is for whoever asks them.

    Once would not do: Python 3.11's `wait_for`, with which the Redis client sends, forgets a cancellation that meets
    its result. `again_s` is longer than an orderly end takes: that is cancelled as well.
    """
    under_way = {task for task in tasks if not task.done()}
    while under_way:
        for task in under_way:
            task.cancel()
        _, under_way = await asyncio.wait(under_way, timeout=AGAIN_S if again_s is None else again_s)


async def until_stopped(stop: asyncio.Event, *works: Coroutine[Any, Any, None], within_s: float = 0.0) -> None:
    """Runs all of them until `stop` is set; then those that look at it have `within_s` to end, and are cancelled.

    Where one ends or fails before, so do the others. Raises what the first of them has raised.
    """
    working = [asyncio.create_task(work) for work in works]
    waiting = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({*working, waiting}, return_when=asyncio.FIRST_COMPLETED)
        if stop.is_set():
            await asyncio.wait(working, timeout=within_s)
    finally:
        await ended(*working, waiting, again_s=max(within_s, AGAIN_S))
    for each in working:
        if not each.cancelled():
            each.result()
