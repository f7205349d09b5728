"""The catalogue as its entities stand now."""

from __future__ import annotations

import msgspec
from sqlalchemy import Row, select
from sqlalchemy.ext.asyncio import AsyncEngine

from domain.catalogue import Status
from domain.entity import Entity, EntityKind
from projections.queries.page import Page, cursor_after, key_of
from projections.tables import entities


async def list_entities(
    db: AsyncEngine, kind: EntityKind, *, status: Status | None = None, cursor: str | None = None, limit: int = 100
) -> Page[Entity]:
    """The entities of a kind in the order of their ids; without `status` archived ones included.

    Raises InvalidInput for a bad cursor.
    """
    query = select(entities).where(entities.c.kind == kind).order_by(entities.c.id).limit(limit + 1)
    if status is not None:
        query = query.where(entities.c.status == status)
    if cursor is not None:
        query = query.where(entities.c.id > key_of(cursor))
    async with db.connect() as connection:
        rows = (await connection.execute(query)).all()
    more = len(rows) > limit
    items = tuple(_entity(row) for row in rows[:limit])
    return Page(items=items, next_cursor=cursor_after(items[-1].id) if more else None)


async def entity(db: AsyncEngine, kind: EntityKind, entity_id: str) -> Entity | None:
    """The entity of that kind and id, or None."""
    query = select(entities).where(entities.c.id == entity_id, entities.c.kind == kind)
    async with db.connect() as connection:
        row = (await connection.execute(query)).first()
    return _entity(row) if row else None


def _entity(row: Row[tuple[object, ...]]) -> Entity:
    return Entity(row.kind, row.id, row.version, row.status, msgspec.Raw(row.terms.encode()))
