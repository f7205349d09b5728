"""The catalogue as its entities stand now."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import msgspec
from sqlalchemy import Row, select
from sqlalchemy.ext.asyncio import AsyncEngine

from domain.access import Tenant
from domain.catalogue import Status
from domain.entity import Entity, EntityKind
from projections.queries.ownership import belongs_to, owned_by
from projections.queries.page import Page, cursor_after, key_of
from projections.tables import entities


async def list_entities(
    db: AsyncEngine,
    kind: EntityKind,
    *,
    status: Status | None = None,
    cursor: str | None = None,
    limit: int = 100,
    parts_of: Mapping[EntityKind, str] = MappingProxyType({}),
    tenant: Tenant | None = None,
) -> Page[Entity]:
    """The entities of a kind in the order of their ids; without `status` archived ones included.

    Those that are part of all entities in `parts_of`, ids by kind. Those of one `tenant`, or of all.

    Raises InvalidInput for a bad cursor.
    """
    query = select(entities).where(entities.c.kind == kind).order_by(entities.c.id).limit(limit + 1)
    if status is not None:
        query = query.where(entities.c.status == status)
    for owner_kind, owner_id in parts_of.items():
        query = query.where(belongs_to(kind, owner_kind, owner_id))
    if tenant is not None:
        query = query.where(owned_by(tenant, kind))
    if cursor is not None:
        query = query.where(entities.c.id > key_of(cursor))
    async with db.connect() as connection:
        rows = (await connection.execute(query)).all()
    more = len(rows) > limit
    items = tuple(_entity(row) for row in rows[:limit])
    return Page(items=items, next_cursor=cursor_after(items[-1].id) if more else None)


async def entity(db: AsyncEngine, kind: EntityKind, entity_id: str, *, tenant: Tenant | None = None) -> Entity | None:
    """The entity of that kind and id, or None; for a `tenant` none is there but its own."""
    query = select(entities).where(entities.c.id == entity_id, entities.c.kind == kind)
    if tenant is not None:
        query = query.where(owned_by(tenant, kind))
    async with db.connect() as connection:
        row = (await connection.execute(query)).first()
    return _entity(row) if row else None


def _entity(row: Row[tuple[object, ...]]) -> Entity:
    return Entity(row.kind, row.id, row.version, row.status, msgspec.Raw(row.terms.encode()))
