"""Ends the live streams the moment the process is told to stop.

An HTTP server lets open streams run to their end before it ends the application, so the application must end them
first, or every stop would last as long as somebody watches the dashboard.
"""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from api.live.feed import LiveFeed

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)


@contextmanager
def ending_with_process(feed: LiveFeed) -> Iterator[None]:
    """Within it a stop signal ends the feed's streams, and then does what it did before."""
    if threading.current_thread() is not threading.main_thread():
        # Only the main thread gets signals.
        yield
        return
    loop = asyncio.get_running_loop()
    handlers = {number: signal.getsignal(number) for number in STOP_SIGNALS}

    def end_first(number: int, frame: FrameType | None) -> None:
        loop.call_soon_threadsafe(feed.end)
        handler = handlers[signal.Signals(number)]
        assert callable(handler), "only handlers are stood in for"
        handler(number, frame)

    chained = [number for number, handler in handlers.items() if callable(handler)]
    for number in chained:
        signal.signal(number, end_first)
    try:
        yield
    finally:
        for number in chained:
            signal.signal(number, handlers[number])
