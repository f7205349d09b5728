"""How far those are who tell changes under a name, as the consumer knows it."""

from __future__ import annotations

from typing import NamedTuple

from redis.asyncio import Redis
from redis.exceptions import RedisError
from redis.utils import str_if_bytes

from domain.errors import Unavailable
from domain.names import Names


class SourceMet(NamedTuple):
    """What the consumer has met of a source."""

    place: int
    """The last one: what stands at it or before it was told."""
    figures: tuple[int, int] | None
    """Of an upload that has ended: its changes, and its lines that were none."""
    digest: str = ""
    """Likewise; empty where it had no change, or ended before digests were told."""


class RedisSources:
    """Implements change_feed.Sources."""

    def __init__(self, redis: Redis, names: Names) -> None:
        self._redis = redis
        self._names = names

    def __repr__(self) -> str:
        return f"RedisSources({self._names.namespace!r})"

    async def find(self, client: str, source: str) -> SourceMet | None:
        """None for one that it has not met, or has forgotten. Raises Unavailable."""
        try:
            kept = await self._redis.hget(self._names.feed_sources(client), source)
        except (RedisError, OSError) as error:
            raise Unavailable("Redis, which knows what was told before, is away.") from error
        if kept is None:
            return None
        place, _offset, *end = str_if_bytes(kept).split()
        if not end:
            return SourceMet(int(place), None)
        records, rejected, *digest = end
        return SourceMet(int(place), (int(records), int(rejected)), "".join(digest))
