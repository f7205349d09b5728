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

    `stopping` is called at the first signal, `hurry` at each later one.
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
    # Not `loop.add_signal_handler`: closing the loop would put the default action back, and a signal that comes
    # while the process ends, all its work done, would turn success into a death.
    earlier = {number: signal.signal(number, lambda *_: loop.call_soon_threadsafe(on_signal)) for number in SIGNALS}
    try:
        await task
    except asyncio.CancelledError:
        if not interrupted:
            raise
    finally:
        for number, handler in earlier.items():
            signal.signal(number, signal.SIG_IGN if interrupted else handler)
