"""What stands under a feed client's record keys, sealed as it came."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from redis.asyncio import Redis

from domain.names import Names
from projections.feed_look_up import COUNT, LOOK_UP_IN_PLACE
from projections.feed_value import StoredRecord, unpacked
from projections.redis_store import answering

COUNTED_AT_ONCE = 500
"""Redis answers nobody else meanwhile."""

Positions = Mapping[str, int]
"""Of 'bulk' and 'changes' the last offset that was applied of a client; -1 for none."""


class Found(NamedTuple):
    """What a look-up has found."""

    records: list[StoredRecord | None]
    positions: Positions


class FeedRecords:
    """Looks records up by key, whatever either topic has brought of them."""

    def __init__(self, redis: Redis, names: Names) -> None:
        self._names = names
        self._look_up = redis.register_script(LOOK_UP_IN_PLACE)
        self._count = redis.register_script(COUNT)

    def __repr__(self) -> str:
        return f"FeedRecords({self._names.namespace!r})"

    async def of(self, client: str, keys: Sequence[str], *, now: datetime) -> list[StoredRecord | None]:
        """For each key its record; None where there is none, or none any more. Raises Unavailable."""
        return (await self.found(client, keys, now=now)).records

    async def found(self, client: str, keys: Sequence[str], *, now: datetime) -> Found:
        """The same, with how far the topics had been read in that instant. Raises Unavailable."""
        async with answering():
            bulk, changes, *values = await self._look_up(keys=list(self._names.feed_keys(client)), args=list(keys))
        records = [None if value is None else unpacked(value) for value in values]
        alive = [None if record is None or record.has_expired(now) else record for record in records]
        return Found(alive, {"bulk": int(bulk), "changes": int(changes)})

    async def count(self, client: str) -> int:
        """How many records there are. Some more or fewer while they change, and with those that expired lately.

        Raises Unavailable.
        """
        keys, counted, loaded = list(self._names.feed_keys(client)), 0, 0
        async with answering():
            for part in ("changed", "tombstones"):
                cursor = b"0"
                while True:
                    cursor, more, loaded = await self._count(keys=keys, args=[part, cursor, COUNTED_AT_ONCE])
                    counted += more
                    if cursor == b"0":
                        break
        return max(0, counted + loaded)
