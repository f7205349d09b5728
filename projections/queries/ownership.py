"""Whose the entities are, for queries; of tenants the same as `domain/access.py` says of single entities."""

from __future__ import annotations

from sqlalchemy import ColumnElement, false, select

from domain.access import Tenant
from domain.entity import EntityKind
from domain.holdings import BELONGS_TO
from projections.tables import entities


def belongs_to(kind: EntityKind, owner_kind: EntityKind, owner_id: str) -> ColumnElement[bool]:
    """Holds for the entities of a kind that are part of this one, directly or through what is part of it."""
    nearest, *further = BELONGS_TO.get(kind, (None,))
    if owner_kind == nearest:
        return entities.c.owner_id == owner_id
    if nearest is None or owner_kind not in further:
        return false()
    between = entities.alias()
    parts = select(between.c.id).where(between.c.kind == nearest, between.c.owner_id == owner_id)
    return entities.c.owner_id.in_(parts)


def owned_by(tenant: Tenant, kind: EntityKind) -> ColumnElement[bool]:
    """Holds for the entities of that kind that are the tenant's own; of the operator's kinds none is."""
    match tenant.role:
        case "publisher" | "advertiser" | "feed_client" as own_kind if own_kind == kind:
            return entities.c.id == tenant.subject_id
        case "publisher" | "advertiser" as owner_kind if kind != "currency_rate":
            return belongs_to(kind, owner_kind, tenant.subject_id)
        case _:
            return entities.c.kind == "currency_rate"
