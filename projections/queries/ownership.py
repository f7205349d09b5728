"""What of the catalogue a tenant may see: the same as `domain/access.py` says of single entities, for queries."""

from __future__ import annotations

from sqlalchemy import JSON, ColumnElement, cast, false, select

from domain.access import Tenant
from domain.entity import EntityKind
from projections.tables import entities


def owned_by(tenant: Tenant, kind: EntityKind) -> ColumnElement[bool]:
    """Holds for the entities of that kind that are the tenant's own; of the operator's kinds none is."""
    match (tenant.role, kind):
        case ("publisher", "publisher") | ("advertiser", "advertiser") | ("feed_client", "feed_client"):
            return entities.c.id == tenant.subject_id
        case ("publisher", "placement"):
            return _term("publisher_id") == tenant.subject_id
        case ("advertiser", "campaign"):
            return _term("advertiser_id") == tenant.subject_id
        case ("advertiser", "ad"):
            campaigns = select(entities.c.id).where(
                entities.c.kind == "campaign", _term("advertiser_id") == tenant.subject_id
            )
            return _term("campaign_id").in_(campaigns)
        case (_, "currency_rate"):
            return entities.c.kind == kind
        case _:
            return false()


def _term(name: str) -> ColumnElement[str]:
    term: ColumnElement[str] = cast(entities.c.terms, JSON)[name].as_string()
    return term
