"""Whether look-ups find all that a feed client has, or Redis has lost some of it and is being filled from the log.

What was ever applied is told by the audit, in Postgres; how far Redis has come is read with the records themselves.
Whatever Redis has forgotten, all or one client or the last minutes, it is behind the audit then. What is read again
takes the place of the audit's last row bit by bit: so the furthest that the audit was known to be counts, and while a
partition is rebuilt nothing of it is complete.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple, cast

from aiokafka import TopicPartition
from redis.asyncio import Redis
from sqlalchemy import ARRAY, Text, column, func, literal, select, true, values
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


class Reached(NamedTuple):
    """What the audit has last of a client and topic."""

    partition: int
    last_offset: int
    at: datetime
    """When it was sent."""


class _Behind(NamedTuple):
    """A client of which Redis does not have what the audit has last."""

    client: str
    topic: str
    reached: Reached


class FeedCompleteness:
    """Asks Postgres of each client once in KNOWN_S, and goes by what it knew before where that is away."""

    def __init__(self, db: AsyncEngine, redis: Redis, names: Names) -> None:
        self._db = db
        self._redis = redis
        self._names = names
        self._known: OrderedDict[str, tuple[float, dict[str, Reached]]] = OrderedDict()
        self._rebuilt: dict[str, tuple[float, set[TopicPartition]]] = {}

    def __repr__(self) -> str:
        return f"FeedCompleteness({self._names.namespace!r}, {len(self._known)} clients)"

    async def is_complete(self, client: str, positions: Positions) -> bool:
        """Of positions that were read with the records. Raises Unavailable."""
        return not await self.lacking({client: positions})

    async def has_all(self, client: str) -> bool:
        """The same, of what Redis has of the client by now. Raises Unavailable."""
        async with answering():
            found = await self._redis.hmget(self._names.feed_state(client), TOPICS)
        return await self.is_complete(client, {topic: int(at or -1) for topic, at in zip(TOPICS, found, strict=True)})

    async def lacking(self, positions: Mapping[str, Positions]) -> set[str]:
        """Of many clients those that are not complete, by as many questions as of one. Raises Unavailable."""
        lacking, behind = set(), []
        for client, topics in (await self.reached(positions)).items():
            if topics is None:
                # Nobody can tell: what is there is believed, and nothing is not.
                if all(at < 0 for at in positions[client].values()):
                    lacking.add(client)
                continue
            for topic, reached in topics.items():
                if TopicPartition(self._topic(topic), reached.partition) in await self._being_rebuilt(topic):
                    lacking.add(client)
                elif positions[client][topic] < reached.last_offset:
                    behind.append(_Behind(client, topic, reached))
        for topic in {each.topic for each in behind}:
            lacking |= await self._lost(topic, [each for each in behind if each.topic == topic])
        return lacking

    async def reached(self, clients: Collection[str]) -> dict[str, dict[str, Reached] | None]:
        """What the audit has last of each topic, in the order of the clients; None where that was never known."""
        fresh = time.monotonic() - KNOWN_S
        unknown = [each for each in clients if each not in self._known or self._known[each][0] <= fresh]
        if unknown:
            await self._learn(unknown)
        return {each: self._known[each][1] if each in self._known else None for each in clients}

    async def _being_rebuilt(self, topic: str) -> set[TopicPartition]:
        asked_at, partitions = self._rebuilt.get(topic, (float("-inf"), set()))
        if time.monotonic() - asked_at >= REBUILDING_KNOWN_S:
            asked_at, (offsets, *_) = time.monotonic(), self._names.feed_progress(topic)
            async with answering():
                fields = cast("dict[bytes, bytes]", await self._redis.hgetall(offsets))
            partitions = {tp for tp, at in checkpoints_of(fields).items() if at.next_offset < at.rebuild_until}
            self._rebuilt[topic] = asked_at, partitions
        return partitions

    async def _lost(self, topic: str, behind: Sequence[_Behind]) -> set[str]:
        """Clients of which Redis has lost it.

        What a client has last may be passed over when it is read again: somebody has decided to skip it.
        """
        offsets, _, clients = self._names.feed_progress(topic)
        partitions = [TopicPartition(self._topic(topic), each.reached.partition) for each in behind]
        async with answering():
            known = await self._redis.hmget(clients, [f"{each.reached.partition} {each.client}" for each in behind])
            applied = await self._redis.hmget(offsets, [offset_field(tp) for tp in partitions])
            async with self._redis.pipeline(transaction=False) as pipeline:
                for each in behind:
                    pipeline.hget(self._names.feed_state(each.client), topic)
                positions = await pipeline.execute()
        return {
            each.client
            for each, before, next_offset, at in zip(behind, known, applied, positions, strict=True)
            if int(before or -1) > int(at or -1) or int(next_offset or 0) <= each.reached.last_offset
        }

    async def _learn(self, clients: Sequence[str]) -> None:
        try:
            found = await self._asked(clients)
        except (SQLAlchemyError, OSError):
            return
        asked_at = time.monotonic()
        for client in clients:
            _, before = self._known.get(client, (asked_at, {}))
            self._known[client] = asked_at, _furthest(before, found[client])
            self._known.move_to_end(client)
        while len(self._known) > CLIENTS_MAX:
            self._known.popitem(last=False)

    async def _asked(self, clients: Sequence[str]) -> dict[str, dict[str, Reached]]:
        row = feed_audit.c
        asked = select(func.unnest(literal(clients, ARRAY(Text))).label("client")).subquery("asked")
        topics = values(column("topic", Text), name="topics").data([(each,) for each in TOPICS])
        # By the key's order, backwards: one row of each.
        last = (
            select(row.partition, row.last_offset, row.at)
            .where(row.client == asked.c.client, row.topic == topics.c.topic)
            .order_by(row.partition.desc(), row.first_offset.desc())
            .limit(1)
            .lateral("last")
        )
        each = asked.join(topics, true()).join(last, true())
        query = select(asked.c.client, topics.c.topic, *last.c).select_from(each)
        found: dict[str, dict[str, Reached]] = {client: {} for client in clients}
        async with self._db.connect() as connection:
            for client, topic, *reached in await connection.execute(query):
                found[client][topic] = Reached(*reached)
        return found

    def _topic(self, kind: str) -> str:
        return self._names.feeds_bulk if kind == "bulk" else self._names.feeds_changes


def _furthest(before: dict[str, Reached], now: dict[str, Reached]) -> dict[str, Reached]:
    """Of a partition that is the same."""
    return {
        topic: max(at, before.get(topic, at), key=lambda each: (each.partition == at.partition, each.last_offset))
        for topic, at in now.items()
    }
