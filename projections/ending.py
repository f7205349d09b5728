"""The end of tasks that have none of their own."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable
from typing import Any, Final

AGAIN_S: Final = 0.5


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


async def side_by_side(stop: asyncio.Event, works: Iterable[Coroutine[Any, Any, None]], *, within_s: float) -> None:
    """Runs all of them until `stop` is set, which each of them looks at; what has not ended `within_s` is cancelled.

    Where one ends before, so do the others. Raises what the first of them has raised.
    """
    working = [asyncio.create_task(work) for work in works]
    waiting = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({*working, waiting}, return_when=asyncio.FIRST_COMPLETED)
        if stop.is_set():
            await asyncio.wait(working, timeout=within_s)
    finally:
        await ended(*working, waiting, again_s=within_s)
    for each in working:
        if not each.cancelled():
            each.result()


async def until_stopped(stop: asyncio.Event, work: Coroutine[Any, Any, None]) -> None:
    """Runs `work` until `stop` is set, or until it ends or fails: then it raises what `work` has raised."""
    working = asyncio.create_task(work)
    waiting = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({working, waiting}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        await ended(working, waiting)
    if not working.cancelled():
        working.result()
