"""One entity of the catalogue as its events have made it: what projections store and auctions match against."""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from domain import events
from domain.catalogue import Status

EntityKind = Literal[
    "publisher",
    "placement",
    "bidder",
    "deal",
    "advertiser",
    "campaign",
    "ad",
    "feed_client",
    "currency_rate",
    "access_key",
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
    active_since: float = 0.0
    """Unix seconds: its registration; of one that was paused, as if its pauses of that UTC day had come first.

    0 where nobody has kept it, as in Postgres.
    """
    paused_at: float = 0.0
    """Unix seconds, for the last time; 0: never."""


REGISTERED: dict[EntityKind, type[events.CatalogueEvent]] = {
    "publisher": events.PublisherRegistered,
    "placement": events.PlacementRegistered,
    "bidder": events.BidderRegistered,
    "deal": events.DealRegistered,
    "advertiser": events.AdvertiserRegistered,
    "campaign": events.CampaignRegistered,
    "ad": events.AdRegistered,
    "feed_client": events.FeedClientRegistered,
    "access_key": events.AccessKeyRegistered,
}
CHANGED: dict[EntityKind, type[events.CatalogueEvent]] = {
    "publisher": events.PublisherChanged,
    "placement": events.PlacementChanged,
    "bidder": events.BidderChanged,
    "deal": events.DealChanged,
    "advertiser": events.AdvertiserChanged,
    "campaign": events.CampaignChanged,
    "ad": events.AdChanged,
    "feed_client": events.FeedClientChanged,
    "access_key": events.AccessKeyChanged,
}
_REGISTRATIONS = {event: kind for kind, event in REGISTERED.items()}
_STATUSES: dict[type[events.CatalogueEvent], Status] = {
    events.EntityPaused: "paused",
    events.EntityResumed: "active",
    events.EntityArchived: "archived",
}

_DAY_SECONDS: Final = 24 * 3_600
_encode = msgspec.json.Encoder().encode


def evolve(entity: Entity | None, event: events.CatalogueEvent) -> Entity | None:
    """The entity after the event; the very same object if the event has no effect.

    The log is the lock: an event counts only if its version is the entity's next one, so of two that raced
    the later one is void for every reader alike. An event that does not fit the entity is void as well.
    """
    if event.version != (entity.version if entity else 0) + 1:
        return entity
    if isinstance(event, events.CurrencyRateSet):
        fits = entity is None or entity.kind == "currency_rate"
        return (
            Entity("currency_rate", event.aggregate_id, event.version, "active", _rate_terms(event)) if fits else entity
        )
    if entity is None:
        kind = _REGISTRATIONS.get(type(event))
        since = event.at.timestamp()
        return kind and Entity(kind, event.aggregate_id, event.version, "active", _terms(event), since)
    if status := _STATUSES.get(type(event)):
        return _moved(entity, event, status)
    if CHANGED.get(entity.kind) is type(event):
        return msgspec.structs.replace(entity, version=event.version, terms=_terms(event))
    return entity


def _moved(entity: Entity, event: events.CatalogueEvent, status: Status) -> Entity:
    moved = msgspec.structs.replace(entity, version=event.version, status=status)
    if status == "paused":
        return msgspec.structs.replace(moved, paused_at=event.at.timestamp())
    if status == "active":
        at = event.at.timestamp()
        since = max(entity.active_since, at - at % _DAY_SECONDS)
        return msgspec.structs.replace(moved, active_since=since + max(0.0, at - max(since, entity.paused_at)))
    return moved


def _terms(event: events.CatalogueEvent) -> msgspec.Raw:
    return msgspec.Raw(_encode(event.terms))  # type: ignore[attr-defined] # every type of the two tables has terms


def _rate_terms(event: events.CurrencyRateSet) -> msgspec.Raw:
    return msgspec.Raw(_encode({"base": event.base, "quote": event.quote, "rate": event.rate}))
