"""What stands under a feed client's record keys, sealed as it came."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from redis.asyncio import Redis

from domain.names import Names
from projections.feed_script import LOOK_UP
from projections.feed_value import StoredRecord, unpacked
from projections.redis_store import answering


class FeedRecords:
    """Looks records up by key, whatever either topic has brought of them."""

    def __init__(self, redis: Redis, names: Names) -> None:
        self._names = names
        self._look_up = redis.register_script(LOOK_UP)

    def __repr__(self) -> str:
        return f"FeedRecords({self._names.namespace!r})"

    async def of(self, client: str, keys: Sequence[str], *, now: datetime) -> list[StoredRecord | None]:
        """For each key its record; None where there is none, or none any more. Raises Unavailable."""
        async with answering():
            values: list[bytes | None] = await self._look_up(keys=list(self._names.feed_keys(client)), args=list(keys))
        records = [None if value is None else unpacked(value) for value in values]
        return [None if record is None or record.has_expired(now) else record for record in records]
