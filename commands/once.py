"""A command that is sent again with the same key is carried out once, and answered the same.

Redis keeps each key for a day: what was sent with it, the id of the command, and the answer. The log keeps that id
with the event, so whoever takes over from a process that died finds out whether the command had its effect already.
While Redis is away a command with a key is refused: whether it is the first of its kind cannot be known.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from hashlib import sha256
from typing import Any, Final, TypeVar

import structlog
from redis.exceptions import RedisError

from commands.ports import AppendUndecided, Ids
from commands.redis_pipeline import RedisAway, RedisCalls, Script
from domain.errors import KeyReused, Refusal, StillRunning, Unavailable
from domain.limits import IDEMPOTENCY_LEASE_SECONDS, IDEMPOTENCY_SECONDS
from domain.names import Names

# KEYS[1]: the key. ARGV: what was sent, a fresh command id, seconds of the lease, seconds until it is forgotten.
# Answers a word, and with it the answer, or the id to run the command under: of the first who held the key.
CLAIM: Final = """
local now = tonumber(redis.call('TIME')[1])
local held = redis.call('HMGET', KEYS[1], 'sent', 'command', 'leased_until', 'answer')
if not held[1] then
    redis.call('HSET', KEYS[1], 'sent', ARGV[1], 'command', ARGV[2], 'leased_until', now + ARGV[3])
    redis.call('EXPIRE', KEYS[1], ARGV[4])
    return {'mine', ARGV[2]}
end
if held[1] ~= ARGV[1] then return {'another'} end
if held[4] then return {'answered', held[4]} end
if now < tonumber(held[3]) then return {'running'} end
redis.call('HSET', KEYS[1], 'leased_until', now + ARGV[3])
return {'mine', held[2]}
"""

# KEYS[1]: the key. ARGV: a field and its value, set only where the key is still held.
NOTE: Final = """
if redis.call('EXISTS', KEYS[1]) == 1 then redis.call('HSET', KEYS[1], ARGV[1], ARGV[2]) end
return 1
"""

Result = TypeVar("Result")

_log = structlog.get_logger(__name__)


class Once:
    """Carries out commands, those with a key once. `close` it."""

    def __init__(self, pipeline: RedisCalls, names: Names, ids: Ids) -> None:
        self._pipeline = pipeline
        self._names = names
        self._ids = ids
        self._claim = Script(CLAIM)
        self._note = Script(NOTE)
        self._tasks: set[asyncio.Task[Any]] = set()

    def __repr__(self) -> str:
        return f"Once({len(self._tasks)} under way)"

    async def __call__(self, key: str | None, sent: bytes, run: Callable[[str], Awaitable[bytes]]) -> bytes:
        """The answer of `run`, or that of the first time; `run` is given the id of the command.

        Raises KeyReused if something else was `sent` with the key, StillRunning, Unavailable without Redis, and what
        `run` raises. A command that was refused leaves its key free. Once begun it comes to an end, whoever leaves.
        """
        if key is None:
            return await run(self._ids())
        return await asyncio.shield(self._spawn(self._with_key(key, sent, run)))

    async def close(self) -> None:
        """Ends what is under way: a retry elsewhere takes over."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _with_key(self, key: str, sent: bytes, run: Callable[[str], Awaitable[bytes]]) -> bytes:
        name = self._names.idempotency_key(sha256(key.encode()).hexdigest())
        state, content = await self._claimed(name, sha256(sent).hexdigest())
        if state == "answered":
            return content
        try:
            answer = await run(content.decode())
        except Refusal:
            await self._tell("DEL", name)
            raise
        except AppendUndecided as undecided:
            self._spawn(self._release_once_decided(name, undecided))
            raise
        except Exception:
            await self._note_down(name, "leased_until", b"0")
            raise
        await self._note_down(name, "answer", answer)
        return answer

    async def _claimed(self, name: str, sent: str) -> tuple[str, bytes]:
        """`answered` and the answer, or `mine` and the id to run the command under."""
        try:
            state, *content = await self._pipeline.evaluate(
                self._claim, (name,), sent, self._ids(), IDEMPOTENCY_LEASE_SECONDS, IDEMPOTENCY_SECONDS
            )
        except (RedisAway, RedisError) as error:
            raise Unavailable("Redis is away: whether this Idempotency-Key was used cannot be known.") from error
        if state == b"another":
            raise KeyReused("The Idempotency-Key was used for another command.")
        if state == b"running":
            raise StillRunning("The command with this Idempotency-Key is still being worked on.")
        return state.decode(), content[0]

    async def _release_once_decided(self, name: str, undecided: AppendUndecided) -> None:
        """From then on the log can tell whether the command had its effect."""
        await undecided.decision()
        await self._note_down(name, "leased_until", b"0")

    async def _note_down(self, name: str, field: str, value: bytes) -> None:
        try:
            await self._pipeline.evaluate(self._note, (name,), field, value)
        except (RedisAway, RedisError) as error:
            # The lease runs out by itself; a retry finds the command's effect in the log.
            _log.warning("the end of a command could not be noted", error=str(error))

    async def _tell(self, *command: str) -> None:
        try:
            await self._pipeline.call(*command)
        except (RedisAway, RedisError) as error:
            _log.warning("a key could not be freed", error=str(error))

    def _spawn(self, work: Coroutine[object, object, Result]) -> asyncio.Task[Result]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task
