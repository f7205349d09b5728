"""What stands under a feed client's record keys, sealed as it came."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from redis.asyncio import Redis

from domain.feeds.sealing import Unreadable
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

    records: list[StoredRecord | Unreadable | None]
    positions: Positions


class FeedRecords:
    """Looks records up by key, whatever either topic has brought of them."""

    def __init__(self, redis: Redis, names: Names) -> None:
        self._names = names
        self._look_up = redis.register_script(LOOK_UP_IN_PLACE)
        self._count = redis.register_script(COUNT)

    def __repr__(self) -> str:
        return f"FeedRecords({self._names.namespace!r})"

    async def of(self, client: str, keys: Sequence[str], *, now: datetime) -> list[StoredRecord | Unreadable | None]:
        """For each key its record; None where there is none, or none any more; why it is none. Raises Unavailable."""
        return (await self.found(client, keys, now=now)).records

    async def found(self, client: str, keys: Sequence[str], *, now: datetime) -> Found:
        """The same, with how far the topics had been read in that instant. Raises Unavailable."""
        async with answering():
            bulk, changes, *values = await self._look_up(keys=list(self._names.feed_keys(client)), args=list(keys))
        return Found([_alive(value, now) for value in values], {"bulk": int(bulk), "changes": int(changes)})

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


def _alive(value: bytes | None, now: datetime) -> StoredRecord | Unreadable | None:
    if value is None:
        return None
    try:
        record = unpacked(value)
    except Unreadable as error:
        return error
    return None if record.has_expired(now) else record
