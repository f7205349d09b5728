"""The catalogue as its entities stand now."""

from __future__ import annotations

from datetime import datetime

import msgspec
from sqlalchemy import Row, select
from sqlalchemy.ext.asyncio import AsyncEngine

from domain.catalogue import Bidder, Status
from projections.queries.page import Page, cursor_after, key_of
from projections.tables import entities


class RegisteredBidder(msgspec.Struct, frozen=True, kw_only=True):
    """A bidder with its place in history."""

    id: str
    version: int
    status: Status
    created_at: datetime
    updated_at: datetime
    terms: Bidder


_decode_bidder = msgspec.json.Decoder(Bidder).decode


async def list_bidders(db: AsyncEngine, *, cursor: str | None = None, limit: int = 100) -> Page[RegisteredBidder]:
    """All bidders in the order of their ids, archived ones included. Raises InvalidInput for a bad cursor."""
    query = select(entities).where(entities.c.kind == "bidder").order_by(entities.c.id).limit(limit + 1)
    if cursor is not None:
        query = query.where(entities.c.id > key_of(cursor))
    async with db.connect() as connection:
        rows = (await connection.execute(query)).all()
    more = len(rows) > limit
    items = tuple(_bidder(row) for row in rows[:limit])
    return Page(items=items, next_cursor=cursor_after(items[-1].id) if more else None)


async def bidder(db: AsyncEngine, bidder_id: str) -> RegisteredBidder | None:
    """The bidder of that id, or None."""
    query = select(entities).where(entities.c.id == bidder_id, entities.c.kind == "bidder")
    async with db.connect() as connection:
        row = (await connection.execute(query)).first()
    return _bidder(row) if row else None


def _bidder(row: Row[tuple[object, ...]]) -> RegisteredBidder:
    return RegisteredBidder(
        id=row.id,
        version=row.version,
        status=row.status,
        created_at=row.created_at,
        updated_at=row.updated_at,
        terms=_decode_bidder(row.terms),
    )
