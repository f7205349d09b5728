"""What became of a feed client's records: the sums, and batch by batch."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Literal, cast

import msgspec
from redis.asyncio import Redis
from sqlalchemy import RowMapping, func, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from domain.errors import Fault, InvalidInput
from domain.names import Names
from projections.engine_tables import feed_audit
from projections.queries.page import cursor_after, key_of
from projections.redis_store import answering

Topic = Literal["bulk", "changes"]
FIGURES = ("adds", "overwrites", "updates", "deletes", "stale", "rejected")
"""Every record of the log that was read counts in one of them."""
BESIDE = ("marks", "refused")
OFFSET_DIGITS = 19


class Sums(msgspec.Struct, frozen=True, kw_only=True):
    """Of some batches."""

    batches: int = 0
    records: int = 0
    """Read in the log: the sum of those that follow, up to `rejected`."""
    adds: int = 0
    overwrites: int = 0
    updates: int = 0
    """An update counts once, also where nothing stood under its old key."""
    deletes: int = 0
    """Also where there was nothing to take away."""
    stale: int = 0
    """Something later stands over them, or, of a delete, over what it was to take away; or they were told before."""
    rejected: int = 0
    """Parked, for nobody can read them: see the dead letters."""
    marks: int = 0
    """What is no record: a load's beginning and end, an erasure."""
    refused: int = 0
    """Lines of uploads that were no records, told at the end of each; the log does not have them."""


class Batch(msgspec.Struct, frozen=True, kw_only=True):
    """Consecutive records of the client that were applied in one instant."""

    batch: str
    topic: Topic
    partition: int
    first_offset: int
    last_offset: int
    generation: int
    """Of the projection that applied it, as `GET /v1/projections` counts."""
    adds: int
    overwrites: int
    updates: int
    deletes: int
    stale: int
    rejected: int
    marks: int
    refused: int
    at: datetime
    """When the last of it was sent."""
    started: datetime
    finished: datetime
    digest: str
    """SHA-1 over the SHA-256 of each record's value as the log has it, hexadecimal."""


class AuditShown(msgspec.Struct, frozen=True, kw_only=True):
    totals: Sums | None
    """Of all batches, on the first page only: to add them up takes the longer the more there are."""
    topics: Mapping[Topic, Sums] | None
    pending: int
    """Batches that are applied and not in these figures yet."""
    items: tuple[Batch, ...]
    """In the order of the log, the bulk's first."""
    next_cursor: str | None


async def feed_audit_of(
    db: AsyncEngine, redis: Redis, names: Names, client: str, *, cursor: str | None = None, limit: int = 100
) -> AuditShown:
    """Of a client's id. Sums without a cursor only. Raises InvalidInput for a bad cursor, Unavailable."""
    async with answering():
        pending = await redis.llen(names.feed_audit(client))
    row = feed_audit.c
    query = select(feed_audit).where(row.client == client).order_by(row.topic, row.partition, row.first_offset)
    if cursor is not None:
        query = query.where(tuple_(row.topic, row.partition, row.first_offset) > tuple_(*_place_of(cursor)))
    async with db.connect() as connection:
        topics = await _sums(connection, client) if cursor is None else None
        rows = (await connection.execute(query.limit(limit + 1))).mappings().all()
    items = tuple(_shown(each) for each in rows[:limit])
    return AuditShown(
        totals=None if topics is None else total(topics),
        topics=topics,
        pending=pending,
        items=items,
        next_cursor=cursor_after(items[-1].batch) if len(rows) > limit else None,
    )


async def feed_sums_of(db: AsyncEngine, client: str) -> dict[Topic, Sums]:
    """Of a client's id, over all its batches."""
    async with db.connect() as connection:
        return await _sums(connection, client)


def total(topics: Mapping[Topic, Sums]) -> Sums:
    """Of both topics."""
    names = Sums.__struct_fields__
    return Sums(**{name: sum(getattr(each, name) for each in topics.values()) for name in names})


async def _sums(connection: AsyncConnection, client: str) -> dict[Topic, Sums]:
    names = (*FIGURES, *BESIDE)
    row = feed_audit.c
    query = (
        select(row.topic, func.count().label("batches"), *(func.sum(row[name]).label(name) for name in names))
        .where(row.client == client)
        .group_by(row.topic)
    )
    found: dict[Topic, Sums] = {"bulk": Sums(), "changes": Sums()}
    for each in (await connection.execute(query)).mappings():
        counted = {name: int(each[name]) for name in names}
        records = sum(counted[name] for name in FIGURES)
        found[cast("Topic", each["topic"])] = Sums(batches=each["batches"], records=records, **counted)
    return found


def _shown(row: RowMapping) -> Batch:
    batch = f"{row['topic']}-{row['partition']}-{row['first_offset']}"
    return Batch(batch=batch, **{name: value for name, value in row.items() if name != "client"})


def _place_of(cursor: str) -> tuple[str, int, int]:
    topic, _, numbers = key_of(cursor).partition("-")
    partition, _, offset = numbers.partition("-")
    if not all(text.isascii() and text.isdigit() and len(text) < OFFSET_DIGITS for text in (partition, offset)):
        raise InvalidInput([Fault("cursor", "is not one that was given out")])
    return topic, min(int(partition), 2**31 - 1), int(offset)
