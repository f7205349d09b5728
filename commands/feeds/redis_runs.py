"""The runs of a feed client, as the consumer keeps them in Redis."""

from __future__ import annotations

import msgspec
from redis.asyncio import Redis
from redis.exceptions import RedisError

from domain.errors import Unavailable
from domain.feeds.runs import Run
from domain.names import Names

_read = msgspec.json.Decoder(Run).decode


class RedisRuns:
    """Implements intake.Runs."""

    def __init__(self, redis: Redis, names: Names) -> None:
        self._redis = redis
        self._names = names

    def __repr__(self) -> str:
        return f"RedisRuns({self._names.namespace!r})"

    async def find(self, client: str, run_id: str) -> Run | None:
        """As the port says."""
        try:
            kept = await self._redis.hget(self._names.feed_runs(client), run_id)
        except (RedisError, OSError) as error:
            raise Unavailable("Redis, which knows how far loads are, is away.") from error
        return None if kept is None else _read(kept)
