"""Frees the memory of what nobody can see any more of feed clients' records: slowly, and all of it again and again.

A reader does not wait for that: what has expired, or what something later stands over, is not found anyway.
"""

from __future__ import annotations

import asyncio
import time
from typing import Final

import structlog
from redis.asyncio import Redis

from domain.errors import Unavailable
from domain.names import Names
from projections.ending import until_stopped
from projections.feed_audit import clients_of
from projections.feed_freeing import TIDY
from projections.postgres_store import Pool, connected
from projections.redis_store import answering
from projections.store import StoreFault

PASS_S = 60.0
"""From the end of one pass over all clients to the next."""
KEYS_AT_ONCE = 200
"""Redis answers nobody else meanwhile."""
SHARE: Final = 0.02
"""Of Redis's time, at most."""
TURN = 7_146_927
"""Advisory lock of the process that tidies; a number of our own choice."""

TAKE_TURN = "SELECT pg_try_advisory_lock($1)"
END_TURN = "SELECT pg_advisory_unlock($1)"

log = structlog.stdlib.get_logger(__name__)


class FeedTidying:
    """Of several processes one does it."""

    def __init__(self, redis: Redis, pool: Pool, names: Names) -> None:
        self._redis = redis
        self._pool = pool
        self._names = names
        self._tidy = redis.register_script(TIDY)

    def __repr__(self) -> str:
        return f"FeedTidying({self._names.namespace!r})"

    async def run(self, stop: asyncio.Event) -> None:
        """Until `stop` is set. A server that is away is waited for."""
        await until_stopped(stop, self._pass_on())

    async def _pass_on(self) -> None:
        while True:
            try:
                await self._in_turn()
            except (Unavailable, StoreFault) as fault:
                log.warning("the tidying of feeds is to be done later", error=str(fault))
            await asyncio.sleep(PASS_S)

    async def _in_turn(self) -> None:
        async with connected(self._pool) as connection:
            if not await connection.fetchval(TAKE_TURN, TURN):
                return
            try:
                await self.once()
            finally:
                await connection.execute(END_TURN, TURN)

    async def once(self) -> None:
        """One pass. Raises Unavailable, with those clients tidied whose server answers."""
        away: Unavailable | None = None
        for client in await clients_of(self._redis, self._names):
            try:
                await self._tidied(client)
            except Unavailable as failure:
                away = away or failure
        if away is not None:
            raise away

    async def _tidied(self, client: str) -> None:
        # Records last: a change that has expired leaves a tombstone, which keeps an older record away.
        for place in ("changed", "tombstones", "records"):
            cursor = await self._step(client, place, b"0", KEYS_AT_ONCE)
            while cursor != b"0":
                cursor = await self._step(client, place, cursor, KEYS_AT_ONCE)

    async def _step(self, client: str, place: str, cursor: bytes, count: int) -> bytes:
        started = time.monotonic()
        now_ms = time.time_ns() // 1_000_000
        async with answering():
            after: bytes = await self._tidy(
                keys=list(self._names.feed_keys(client)), args=[place, cursor, count, now_ms]
            )
        await asyncio.sleep((time.monotonic() - started) * (1 / SHARE - 1))
        return after
