"""Redis calls of concurrent commands in shared round trips.

While one round trip is under way, calls gather for the next one, so that under load many of them share the cost of
packing, sending and waking up. When Redis fails, calls fail at once for a moment instead of queueing up behind it.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any, Final

import structlog
from redis.asyncio import Redis
from redis.exceptions import NoScriptError, RedisError

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
        self.sha: str | None = None


class RedisPipeline:
    """Shares round trips on one client, whose own retries are off and whose timeout is short."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._waiting: list[tuple[tuple[Any, ...], asyncio.Future[Any]]] = []
        self._sender: asyncio.Task[None] | None = None
        self._away_until = 0.0

    def __repr__(self) -> str:
        return f"RedisPipeline(waiting={len(self._waiting)})"

    async def close(self) -> None:
        """Waits for the calls under way; the client stays open."""
        if self._sender is not None:
            with suppress(asyncio.CancelledError):
                await self._sender

    def call(self, *command: str | bytes | float) -> asyncio.Future[Any]:
        """The command's answer. The future raises RedisAway, or RedisError for an error that Redis answered."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Any] = loop.create_future()
        if loop.time() < self._away_until:
            future.set_exception(RedisAway())
            return future
        self._waiting.append((command, future))
        if self._sender is None or self._sender.done():
            self._sender = loop.create_task(self._send_all(), name="redis pipeline")
        return future

    async def evaluate(self, script: Script, keys: tuple[str, ...], *arguments: str | float) -> Any:
        """The script's answer; its keys share a hash slot. Raises as `call`."""
        if script.sha is None:
            script.sha = await self.call("SCRIPT LOAD", script.text)
        try:
            return await self.call("EVALSHA", script.sha, len(keys), *keys, *arguments)
        except NoScriptError:
            return await self.call("EVAL", script.text, len(keys), *keys, *arguments)

    async def _send_all(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting, []
            try:
                await self._send(batch)
            except (RedisError, OSError, TimeoutError) as error:
                self._give_up(batch, error)

    async def _send(self, batch: list[tuple[tuple[Any, ...], asyncio.Future[Any]]]) -> None:
        async with self._redis.pipeline(transaction=False) as pipeline:
            for command, _ in batch:
                pipeline.execute_command(*command)
            answers = await pipeline.execute(raise_on_error=False)
        for (_, future), answer in zip(batch, answers, strict=True):
            if future.done():  # whoever asked has left
                continue
            if isinstance(answer, Exception):
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
