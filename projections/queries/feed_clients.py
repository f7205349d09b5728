"""The feed clients there are, by their names."""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import JSON, ColumnElement, FromClause, cast, collate, select
from sqlalchemy.ext.asyncio import AsyncEngine

from domain.catalogue import Status
from projections.queries.page import Page, cursor_after, key_of
from projections.tables import entities


class FeedClientListed(NamedTuple):
    """One of them."""

    id: str
    name: str
    status: Status


async def list_feed_clients(db: AsyncEngine, *, cursor: str | None = None, limit: int = 100) -> Page[FeedClientListed]:
    """In the order of their names, archived ones included. Raises InvalidInput for a bad cursor."""
    row, name = entities.c, _name_in(entities)
    query = select(row.id, name, row.status).where(row.kind == "feed_client").order_by(name).limit(limit + 1)
    if cursor is not None:
        # By its id, which stands for the name: that may have in it what no cursor has.
        last = entities.alias()
        query = query.where(name > select(_name_in(last)).where(last.c.id == key_of(cursor)).scalar_subquery())
    async with db.connect() as connection:
        rows = (await connection.execute(query)).all()
    items = tuple(FeedClientListed(*each) for each in rows[:limit])
    return Page(items=items, next_cursor=cursor_after(items[-1].id) if len(rows) > limit else None)


def _name_in(table: FromClause) -> ColumnElement[str]:
    return collate(cast(table.c.terms, JSON)["name"].as_string(), "C")
