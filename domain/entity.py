"""One entity of the catalogue as its events have made it: what projections store and auctions match against."""

from __future__ import annotations

from typing import Literal

import msgspec

from domain import events
from domain.catalogue import Status

EntityKind = Literal[
    "publisher", "placement", "bidder", "deal", "advertiser", "campaign", "ad", "feed_client", "currency_rate"
]


class Entity(msgspec.Struct, frozen=True):
    """An aggregate's present state; as JSON it is what the hash `Names.catalogue_entities` holds."""

    kind: EntityKind
    id: str
    version: int
    """Counts the aggregate's events from 1."""
    status: Status
    terms: msgspec.Raw
    """JSON of the kind's Struct in `domain/catalogue.py`."""


_REGISTRATIONS: dict[type[events.CatalogueEvent], EntityKind] = {
    events.PublisherRegistered: "publisher",
    events.PlacementRegistered: "placement",
    events.BidderRegistered: "bidder",
    events.DealRegistered: "deal",
    events.AdvertiserRegistered: "advertiser",
    events.CampaignRegistered: "campaign",
    events.AdRegistered: "ad",
    events.FeedClientRegistered: "feed_client",
}
_CHANGES: dict[type[events.CatalogueEvent], EntityKind] = {
    events.PublisherChanged: "publisher",
    events.PlacementChanged: "placement",
    events.BidderChanged: "bidder",
    events.DealChanged: "deal",
    events.AdvertiserChanged: "advertiser",
    events.CampaignChanged: "campaign",
    events.AdChanged: "ad",
    events.FeedClientChanged: "feed_client",
}
_STATUSES: dict[type[events.CatalogueEvent], Status] = {
    events.EntityPaused: "paused",
    events.EntityResumed: "active",
    events.EntityArchived: "archived",
}

_encode = msgspec.json.Encoder().encode


def evolve(entity: Entity | None, event: events.CatalogueEvent) -> Entity | None:
    """The entity after the event; the very same object if the event has no effect.

    The log is the lock: an event counts only if its version is the entity's next one, so of two that raced
    the later one is void for every reader alike. An event that does not fit the entity is void as well.
    """
    if event.version != (entity.version if entity else 0) + 1:
        return entity
    if isinstance(event, events.CurrencyRateSet):
        return Entity("currency_rate", event.aggregate_id, event.version, "active", _rate_terms(event))
    if entity is None:
        kind = _REGISTRATIONS.get(type(event))
        return kind and Entity(kind, event.aggregate_id, event.version, "active", _terms(event))
    if status := _STATUSES.get(type(event)):
        return Entity(entity.kind, entity.id, event.version, status, entity.terms)
    if _CHANGES.get(type(event)) == entity.kind:
        return Entity(entity.kind, entity.id, event.version, entity.status, _terms(event))
    return entity


def _terms(event: events.CatalogueEvent) -> msgspec.Raw:
    return msgspec.Raw(_encode(event.terms))  # type: ignore[attr-defined] # every type of the two tables has terms


def _rate_terms(event: events.CurrencyRateSet) -> msgspec.Raw:
    return msgspec.Raw(_encode({"base": event.base, "quote": event.quote, "rate": event.rate}))
