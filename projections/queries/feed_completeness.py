"""Whether look-ups find all that a feed client has, or Redis has lost some of it and is being filled from the log.

What was ever applied is told by the audit, in Postgres; how far Redis has come is read with the records themselves.
Whatever Redis has forgotten, all or one client or the last minutes, it is behind the audit then. What is read again
takes the place of the audit's last row bit by bit: so the furthest that the audit was known to be counts, and while a
partition is rebuilt nothing of it is complete.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from typing import NamedTuple, cast

from aiokafka import TopicPartition
from redis.asyncio import Redis
from sqlalchemy import select, union_all
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from domain.names import Names
from projections.engine_tables import feed_audit
from projections.feed_audit import TOPICS
from projections.queries.feed_records import Positions
from projections.redis_store import answering, checkpoints_of, offset_field

KNOWN_S = 5.0
"""So old may be what is known of the audit: it only grows."""
REBUILDING_KNOWN_S = 0.2
"""So old may be what is known of rebuilds: when one begins, Redis is far behind the audit."""
CLIENTS_MAX = 10_000


class _Reached(NamedTuple):
    """What the audit has of a topic."""

    partition: int
    last_offset: int


class FeedCompleteness:
    """Asks Postgres of each client once in KNOWN_S, and goes by what it knew before where that is away."""

    def __init__(self, db: AsyncEngine, redis: Redis, names: Names) -> None:
        self._db = db
        self._redis = redis
        self._names = names
        self._known: OrderedDict[str, tuple[float, dict[str, _Reached]]] = OrderedDict()
        self._rebuilt: dict[str, tuple[float, set[TopicPartition]]] = {}

    def __repr__(self) -> str:
        return f"FeedCompleteness({self._names.namespace!r}, {len(self._known)} clients)"

    async def is_complete(self, client: str, positions: Positions) -> bool:
        """Of positions that were read with the records. Raises Unavailable."""
        reached = await self._reached(client)
        if reached is None:
            # Nobody can tell: what is there is believed, and nothing is not.
            return any(at >= 0 for at in positions.values())
        for topic, (partition, last_offset) in reached.items():
            if TopicPartition(self._topic(topic), partition) in await self._being_rebuilt(topic):
                return False
            if positions[topic] < last_offset and not await self._is_past(client, topic, partition, last_offset):
                return False
        return True

    async def has_all(self, client: str) -> bool:
        """The same, of what Redis has of the client by now. Raises Unavailable."""
        async with answering():
            found = await self._redis.hmget(self._names.feed_state(client), TOPICS)
        return await self.is_complete(client, {topic: int(at or -1) for topic, at in zip(TOPICS, found, strict=True)})

    async def _being_rebuilt(self, topic: str) -> set[TopicPartition]:
        asked_at, partitions = self._rebuilt.get(topic, (float("-inf"), set()))
        if time.monotonic() - asked_at >= REBUILDING_KNOWN_S:
            asked_at, (offsets, *_) = time.monotonic(), self._names.feed_progress(topic)
            async with answering():
                fields = cast("dict[bytes, bytes]", await self._redis.hgetall(offsets))
            partitions = {tp for tp, at in checkpoints_of(fields).items() if at.next_offset < at.rebuild_until}
            self._rebuilt[topic] = asked_at, partitions
        return partitions

    async def _is_past(self, client: str, topic: str, partition: int, last_offset: int) -> bool:
        """Whether what it has last was passed over, when it was read again: somebody had decided to skip it."""
        offsets, _, clients = self._names.feed_progress(topic)
        field = f"{partition} {client}"
        async with answering():
            known = await self._redis.hget(clients, field)
            next_offset = await self._redis.hget(offsets, offset_field(TopicPartition(self._topic(topic), partition)))
            position = await self._redis.hget(self._names.feed_state(client), topic)
        is_lost = int(known or -1) > int(position or -1)
        return not is_lost and next_offset is not None and int(next_offset) > last_offset

    async def _reached(self, client: str) -> dict[str, _Reached] | None:
        """None where that was never known."""
        asked_at, known = self._known.get(client, (float("-inf"), None))
        if time.monotonic() - asked_at < KNOWN_S:
            return known
        try:
            known = _furthest(known or {}, await self._asked(client))
        except (SQLAlchemyError, OSError):
            return known
        self._known[client] = (time.monotonic(), known)
        self._known.move_to_end(client)
        if len(self._known) > CLIENTS_MAX:
            self._known.popitem(last=False)
        return known

    async def _asked(self, client: str) -> dict[str, _Reached]:
        row = feed_audit.c
        # By the key's order, backwards: one row of each.
        last = [
            select(row.topic, row.partition, row.last_offset)
            .where(row.client == client, row.topic == topic)
            .order_by(row.partition.desc(), row.first_offset.desc())
            .limit(1)
            .subquery()
            .select()
            for topic in TOPICS
        ]
        async with self._db.connect() as connection:
            return {topic: _Reached(*at) for topic, *at in await connection.execute(union_all(*last))}

    def _topic(self, kind: str) -> str:
        return self._names.feeds_bulk if kind == "bulk" else self._names.feeds_changes


def _furthest(before: dict[str, _Reached], now: dict[str, _Reached]) -> dict[str, _Reached]:
    """Of a partition that is the same."""
    return {
        topic: max(at, before.get(topic, at), key=lambda each: (each.partition == at.partition, each.last_offset))
        for topic, at in now.items()
    }
