"""Redis calls of concurrent commands in shared round trips.

While one round trip is under way, calls gather for the next one, so that under load many of them share the cost of
packing, sending and waking up. When Redis fails, calls fail at once for a moment instead of queueing up behind it.
"""

from __future__ import annotations

import asyncio
import math
from abc import ABC, abstractmethod
from collections.abc import Awaitable
from contextlib import suppress
from hashlib import sha1
from typing import Any, Final

import structlog
from hiredis import pack_command
from redis.asyncio import Connection, Redis
from redis.exceptions import NoScriptError, RedisError, ResponseError

from domain.errors import Unavailable

AWAY_SECONDS: Final = 1.0
"""How long calls fail at once after Redis did, before it is tried again."""

_log = structlog.get_logger(__name__)


class RedisAway(Unavailable):
    """Redis does not answer."""


class Script:
    """A Lua script by its hash; Redis is told its text once, and again after it has forgotten it."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.sha = sha1(text.encode(), usedforsecurity=False).hexdigest()


class RedisCalls(ABC):
    """What commands ask of Redis, one server or a cluster. `close` it."""

    @abstractmethod
    def call(self, *command: str | bytes | float) -> Awaitable[Any]:
        """The command's answer; its keys share a hash slot, and the first one stands where most commands have it.

        Raises RedisAway, or RedisError for an error that Redis answered.
        """

    async def evaluate(self, script: Script, keys: tuple[str, ...], *arguments: str | bytes | float) -> Any:
        """The script's answer; it has keys, which share a hash slot. Raises as `call`."""
        try:
            return await self.call("EVALSHA", script.sha, len(keys), *keys, *arguments)
        except NoScriptError:
            return await self.call("EVAL", script.text, len(keys), *keys, *arguments)

    @abstractmethod
    async def close(self) -> None:
        """Waits for the calls under way."""


class RedisPipeline(RedisCalls):
    """Shares round trips on one connection.

    The client library's own pipelines spend more on packing, time-outs and bookkeeping per command than the rest of
    a ranking costs; here it only keeps the connection.
    """

    def __init__(self, redis: Redis, *, timeout_s: float) -> None:
        """Takes the client over; `timeout_s` bounds a round trip, a new connection included."""
        self._redis = redis
        self._timeout_s = timeout_s
        self._connection: Connection | None = None
        self._waiting: list[tuple[tuple[Any, ...], asyncio.Future[Any]]] = []
        self._sender: asyncio.Task[None] | None = None
        self._away_until = 0.0

    def __repr__(self) -> str:
        return f"RedisPipeline(waiting={len(self._waiting)})"

    async def close(self) -> None:
        """Waits for the calls under way."""
        if self._sender is not None:
            with suppress(asyncio.CancelledError):
                await self._sender
        if self._connection is not None:
            await self._redis.connection_pool.release(self._connection)
            self._connection = None
        await self._redis.aclose()

    def call(self, *command: str | bytes | float) -> asyncio.Future[Any]:
        """Calls leave in the order in which they are made."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Any] = loop.create_future()
        if loop.time() < self._away_until:
            future.set_exception(RedisAway())
            return future
        self._waiting.append((command, future))
        if self._sender is None or self._sender.done():
            self._sender = loop.create_task(self._send_all(), name="redis pipeline")
        return future

    async def _send_all(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting, []
            try:
                await self._send(batch)
            except (RedisError, OSError, TimeoutError) as error:
                self._give_up(batch, error)
            except Exception as defect:  # noqa: BLE001 - whatever it is, nobody must wait for ever because of it
                _log.exception("a defect of calls of redis")
                if self._connection is not None:  # it may have answers left that nobody waits for any more
                    await self._connection.disconnect(nowait=True)
                self._give_up(batch, defect)

    async def _send(self, batch: list[tuple[tuple[Any, ...], asyncio.Future[Any]]]) -> None:
        packed = b"".join([pack_command(command) for command, _ in batch])
        async with asyncio.timeout(self._timeout_s):
            if self._connection is None:
                self._connection = await self._redis.connection_pool.get_connection()  # type: ignore[no-untyped-call] # untyped library
            connection = self._connection
            # A connection that was closed by a failure opens itself again here.
            await connection.send_packed_command(packed, check_health=False)
            for _, future in batch:
                answer = await _answer(connection)
                if future.done():  # whoever asked has left
                    continue
                if isinstance(answer, ResponseError):
                    future.set_exception(answer)
                else:
                    future.set_result(answer)

    def _give_up(self, batch: list[tuple[tuple[Any, ...], asyncio.Future[Any]]], error: Exception) -> None:
        loop = asyncio.get_running_loop()
        if loop.time() >= self._away_until:
            _log.warning("redis is away", error=str(error) or type(error).__name__, retry_in_s=AWAY_SECONDS)
        self._away_until = loop.time() + AWAY_SECONDS
        batch += self._waiting
        self._waiting = []
        for _, future in batch:
            if not future.done():
                future.set_exception(RedisAway())


async def _answer(connection: Connection) -> Any:
    """The next answer; an error that Redis answered is returned, not raised: it is the business of one caller."""
    try:
        # Without a bound of its own: the whole round trip has one.
        return await connection.read_response(timeout=math.inf)
    except ResponseError as error:
        return error
