"""The figures of the last second, from Redis to every browser of this process over one subscription."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, NamedTuple, Self

import structlog
from redis.exceptions import RedisError

from api.live.ending import ending_with_process

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from redis.asyncio import Redis

MESSAGES_WAITING_MAX = 16
"""A browser that reads slower than that misses figures instead of costing memory."""
RECONNECT_AFTER_S = 1.0
POLL_TIMEOUT_S = 2.0
SILENCE_MAX_S = 10.0
"""Figures come once a second: a subscription that is silent for longer may be at a server that nobody publishes at."""

_log = structlog.get_logger(__name__)


class Figures(NamedTuple):
    """One message as it was published, numbered within this process."""

    number: int
    payload: bytes


class LiveFeed:
    """Hands each message of the live channel to all listeners; keeps subscribing while Redis is away."""

    def __init__(self, redis: Redis, channel: str) -> None:
        self._redis = redis
        self._channel = channel
        self._listeners: set[asyncio.Queue[Figures | None]] = set()
        self._last: Figures | None = None
        self._closed = False

    def __repr__(self) -> str:
        return f"LiveFeed({self._channel!r}, listeners={len(self._listeners)})"

    @property
    def listeners(self) -> int:
        return len(self._listeners)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Subscribed, until the block or the process ends."""
        task = asyncio.create_task(self._keep_subscribed(), name="live feed")
        try:
            with ending_with_process(self):
                yield
        finally:
            self.end()
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    def end(self) -> None:
        """Tells all listeners, and those to come, that nothing more comes."""
        self._closed = True
        for queue in self._listeners:
            _put(queue, None)

    def listen(self) -> Listener:
        """A listener; use it as a context manager, so that it is forgotten."""
        return Listener(self._listeners, self._last, closed=self._closed)

    async def _keep_subscribed(self) -> None:
        # Not for ever, as Python 3.11's `wait_for`, inside the client, forgets a cancellation that meets its result.
        while not self._closed:
            try:
                await self._relay()
            except (RedisError, OSError) as error:
                _log.warning("the live channel is away", error=str(error), retry_in_s=RECONNECT_AFTER_S)
                await asyncio.sleep(RECONNECT_AFTER_S)

    async def _relay(self) -> None:
        clock = asyncio.get_running_loop().time
        async with self._redis.pubsub() as subscription:
            await subscription.subscribe(self._channel)
            heard_at = clock()
            while not self._closed and clock() - heard_at < SILENCE_MAX_S:
                message = await subscription.get_message(ignore_subscribe_messages=True, timeout=POLL_TIMEOUT_S)
                if message is not None:
                    heard_at = clock()
                    self._publish(message["data"])

    def _publish(self, payload: bytes | str) -> None:
        data = payload.encode() if isinstance(payload, str) else payload
        self._last = Figures(self._last.number + 1 if self._last else 1, data)
        for queue in self._listeners:
            _put(queue, self._last)


class Listener:
    """One browser's view of the feed, starting with the newest figures."""

    def __init__(self, listeners: set[asyncio.Queue[Figures | None]], first: Figures | None, *, closed: bool) -> None:
        self._listeners = listeners
        self._queue: asyncio.Queue[Figures | None] = asyncio.Queue(MESSAGES_WAITING_MAX)
        if first is not None:
            _put(self._queue, first)
        if closed:
            _put(self._queue, None)

    def __enter__(self) -> Self:
        self._listeners.add(self._queue)
        return self

    def __exit__(self, *_: object) -> None:
        self._listeners.discard(self._queue)

    async def next(self, timeout_s: float) -> Figures | None:
        """The next figures; None when the feed has ended. Raises TimeoutError when nothing came in time."""
        async with asyncio.timeout(timeout_s):
            return await self._queue.get()


def _put(queue: asyncio.Queue[Figures | None], figures: Figures | None) -> None:
    if queue.full():
        queue.get_nowait()
    queue.put_nowait(figures)
