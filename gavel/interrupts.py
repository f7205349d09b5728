"""Ctrl-C and its like: the first asks for an orderly end, the second hurries it."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Coroutine

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


async def until_interrupted(
    work: Coroutine[None, None, None], *, stopping: Callable[[], None], hurry: Callable[[], None]
) -> None:
    """Runs `work` to its end, or cancels it at the first signal and waits for its orderly end.

    `stopping` is called at the first signal, `hurry` at each later one. Once an interrupted work has ended, signals are
    ignored: the process is about to end.
    """
    task = asyncio.ensure_future(work)
    interrupted = False

    def on_signal() -> None:
        nonlocal interrupted
        if interrupted:
            hurry()
            return
        interrupted = True
        stopping()
        task.cancel()

    loop = asyncio.get_running_loop()
    for number in SIGNALS:
        loop.add_signal_handler(number, on_signal)
    try:
        await task
    except asyncio.CancelledError:
        if not interrupted:
            raise
    finally:
        for number in SIGNALS:
            loop.remove_signal_handler(number)
            if interrupted:
                # By default it would turn the success of a process that has done all its work into a death.
                signal.signal(number, signal.SIG_IGN)
