"""An entity of the catalogue as `/v1` shows it, and the paths of the kinds."""

from __future__ import annotations

from typing import Any, NamedTuple
from urllib.parse import quote

from domain.entity import Entity, EntityKind
from domain.terms.form import Form


class Collection(NamedTuple):
    """Where entities of a kind are found under `/v1`."""

    path: str
    kind: EntityKind
    singular: str
    has_status: bool = True
    """They can be changed, paused, resumed and archived; a rate is only stated anew."""
    is_issued: bool = False
    """Gavel makes what matters of it: `POST` is a route of its own, and its terms never change."""


COLLECTIONS = (
    Collection("publishers", "publisher", "publisher"),
    Collection("placements", "placement", "placement"),
    Collection("bidders", "bidder", "bidder"),
    Collection("deals", "deal", "deal"),
    Collection("advertisers", "advertiser", "advertiser"),
    Collection("campaigns", "campaign", "campaign"),
    Collection("ads", "ad", "ad"),
    Collection("feed-clients", "feed_client", "feed client"),
    Collection("currency-rates", "currency_rate", "currency rate", has_status=False),
    Collection("access-keys", "access_key", "access key", is_issued=True),
)


def shown(entity: Entity, form: Form[Any, Any]) -> dict[str, Any]:
    """The terms as their owner states them, beside what Gavel adds."""
    return {"id": entity.id, "version": entity.version, "status": entity.status, **form.shown(entity)}


def etag(entity: Entity) -> str:
    """The version that `If-Match` names."""
    return f'"{entity.version}"'


def location(collection: Collection, entity: Entity) -> str:
    """The address of the entity."""
    return f"/v1/{collection.path}/{quote(entity.id, safe='')}"
