"""What may not happen to the catalogue as things stand: time passed, money spent or another entity forbids it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Final, NamedTuple, TypeVar

import msgspec

from domain import events
from domain.catalogue import Ad, Campaign, FeedClient, Placement, Terms
from domain.entity import Entity, EntityKind
from domain.errors import Fault, IllegalMove, InvalidInput, LimitReached, Unavailable
from domain.events import CatalogueEvent
from domain.holdings import Holdings, owner_id
from domain.limits import (
    ADS_PER_CAMPAIGN_MAX,
    CAMPAIGNS_PER_ADVERTISER_MAX,
    CATALOGUE_ENTITIES_MAX,
    CATALOGUE_OPERATORS_SHARE,
    CATALOGUE_TERMS_MAX_BYTES,
    FLIGHT_LATE_START_MAX_SECONDS,
    PLACEMENTS_PER_PUBLISHER_MAX,
    TENANT_ENTITIES_MAX,
    TENANT_TERMS_MAX_BYTES,
)
from domain.money import amount_text

Kind = TypeVar("Kind", bound=Terms)
_LATE_START: Final = timedelta(seconds=FLIGHT_LATE_START_MAX_SECONDS)
_HELD_MAX: Final[Mapping[EntityKind, int]] = {
    "placement": PLACEMENTS_PER_PUBLISHER_MAX,
    "campaign": CAMPAIGNS_PER_ADVERTISER_MAX,
    "ad": ADS_PER_CAMPAIGN_MAX,
}
_NAMED_MAX: Final = 5
"""Of the campaigns that keep an advertiser from the archive."""


class World(NamedTuple):
    """What a decision is held against: all of the catalogue, whoever asks, and the money spent."""

    entities: Mapping[str, Entity]
    holdings: Holdings
    spent_nanos: int | None
    """By the campaign that changes, what is reserved included; None where nobody knows at the moment."""
    tenant_id: str | None = None
    """The publisher or advertiser whose command it is; None: the operator's."""


def check(event: CatalogueEvent, world: World) -> None:
    """Raises InvalidInput, IllegalMove, LimitReached, Unavailable for an event that must not be logged at its time."""
    before = world.entities.get(event.aggregate_id)
    _check_limits(event, world)
    if isinstance(event, events.AdRegistered | events.AdChanged | events.CampaignChanged):
        _raise_any(IllegalMove, _archived_faults(event.terms, world.entities))
    match event:
        case events.CampaignRegistered(terms=campaign):
            _raise_any(InvalidInput, _flight_faults(campaign, None, event.at))
        case events.AdRegistered(terms=ad):
            _raise_any(IllegalMove, _ended_faults("campaign_id", world.entities[ad.campaign_id], event.at))
        case events.CampaignChanged(terms=campaign) if before is not None:
            _check_campaign(before, campaign, event.at, world.spent_nanos)
        case events.PlacementChanged(terms=placement) if before is not None:
            _check_fixed(_terms(before, Placement).publisher_id, placement.publisher_id, "publisher_id")
        case events.AdChanged(terms=ad) if before is not None:
            _check_fixed(_terms(before, Ad).campaign_id, ad.campaign_id, "campaign_id")
        case events.FeedClientChanged(terms=feed_client) if before is not None:
            _check_fixed(_terms(before, FeedClient).name, feed_client.name, "name")
        case events.EntityResumed() if before is not None:
            _raise_any(IllegalMove, _resume_faults(before, event.at, world.entities))
        case events.EntityArchived() if before is not None and before.kind == "advertiser":
            _raise_any(IllegalMove, _archive_faults(before.id, event.at, world))


def _archived_faults(terms: Ad | Campaign, entities: Mapping[str, Entity]) -> Iterator[Fault]:
    """Nothing is prepared for whom nothing can run any more."""
    path = "campaign_id" if isinstance(terms, Ad) else "advertiser_id"
    above = entities.get(getattr(terms, path))
    while above is not None:
        if above.status == "archived":
            yield Fault(path, f"the {above.kind} {above.id!r} is archived: nothing of it can run any more")
        above = entities.get(owner_id(above) or "")


# -- campaigns -------------------------------------------------------------------------------------


def _check_campaign(entity: Entity, after: Campaign, now: datetime, spent_nanos: int | None) -> None:
    before = _terms(entity, Campaign)
    _check_fixed(before.advertiser_id, after.advertiser_id, "advertiser_id")
    _check_fixed(before.currency, after.currency, "currency")
    _raise_any(InvalidInput, _flight_faults(after, before, now))
    if after.budget_nanos < before.budget_nanos:
        _check_lower_budget(entity.id, after, spent_nanos)


def _check_lower_budget(campaign_id: str, after: Campaign, spent_nanos: int | None) -> None:
    if spent_nanos is None:
        raise Unavailable(
            f"What the campaign {campaign_id!r} has spent is not known at the moment: its budget can only be raised."
        )
    if after.budget_nanos < spent_nanos:
        spent = f"{amount_text(spent_nanos)} {after.currency}"
        raise IllegalMove([Fault("budget", f"is below what is spent and reserved of it already: {spent}")])


def _flight_faults(after: Campaign, before: Campaign | None, now: datetime) -> Iterator[Fault]:
    """Of a flight that is stated now; one that stood before may have begun and ended."""
    starts_at = None if before and before.starts_at == after.starts_at else _instant(after.starts_at)
    ends_at = None if before and before.ends_at == after.ends_at else _instant(after.ends_at)
    if starts_at is not None and starts_at < now - _LATE_START:
        yield Fault("starts_at", "is more than a day in the past: leave it out to start at once")
    if ends_at is not None and ends_at <= now:
        yield Fault("ends_at", "is in the past: pause or archive a campaign to end it")


def _ended_faults(path: str, campaign: Entity, now: datetime) -> Iterator[Fault]:
    ends_at = _instant(_terms(campaign, Campaign).ends_at)
    if ends_at is not None and ends_at <= now:
        yield Fault(path, f"the flight of the campaign {campaign.id!r} ended at {ends_at:%Y-%m-%dT%H:%M:%SZ}")


# -- moves -----------------------------------------------------------------------------------------


def _resume_faults(entity: Entity, now: datetime, entities: Mapping[str, Entity]) -> Iterator[Fault]:
    """Nothing comes back to life whose owner is archived, or whose time is over."""
    owner = entities.get(owner_id(entity) or "")
    if owner is not None and owner.status == "archived":
        yield Fault("status", f"its {owner.kind} {owner.id!r} is archived: it cannot be resumed any more")
    if entity.kind == "campaign":
        yield from (
            Fault(each.path, f"{each.message}: set a later ends_at before it is resumed")
            for each in _ended_faults("ends_at", entity, now)
        )


def _archive_faults(advertiser_id: str, now: datetime, world: World) -> Iterator[Fault]:
    """An advertiser does not go while its campaigns are live."""
    campaigns = (world.entities[each] for each in sorted(world.holdings.held("campaign", advertiser_id)))
    live = [each.id for each in campaigns if each.status == "active" and not [*_ended_faults("", each, now)]]
    if live:
        named = ", ".join(map(repr, live[:_NAMED_MAX])) + (" and others" if len(live) > _NAMED_MAX else "")
        what = f"its live campaigns ({len(live)}: {named}) would go on without it: pause or archive them first"
        yield Fault("status", what)


# -- all kinds -------------------------------------------------------------------------------------


def _check_fixed(before: str, after: str, field: str) -> None:
    """What was logged in its name would change hands."""
    if before != after:
        raise InvalidInput([Fault(field, f"cannot change, it is {before!r} for good: register another one")])


def _check_limits(event: CatalogueEvent, world: World) -> None:
    _check_room(event, world)
    match event:
        case events.PlacementRegistered(terms=Placement(publisher_id=owner)):
            _check_held("placement", owner, world)
        case events.CampaignRegistered(terms=Campaign(advertiser_id=owner)):
            _check_held("campaign", owner, world)
        case events.AdRegistered(terms=Ad(campaign_id=owner)):
            _check_held("ad", owner, world)


def _check_room(event: CatalogueEvent, world: World) -> None:
    """Of what is registered, and of terms that become longer."""
    before, terms = world.entities.get(event.aggregate_id), getattr(event, "terms", None)
    size = 0 if terms is None else len(msgspec.json.encode(terms))
    growth, added = (size, 1) if before is None else (size - len(before.terms), 0)
    if not added and growth <= 0:
        return
    if world.tenant_id is not None:
        _check_share(world.tenant_id, *world.holdings.ever_of(world.tenant_id), added, growth)
    held, held_bytes = len(world.holdings), world.holdings.terms_bytes
    shares = CATALOGUE_OPERATORS_SHARE
    of_tenants = 1 if world.tenant_id is None else (shares - 1) / shares
    entities_max, bytes_max = int(CATALOGUE_ENTITIES_MAX * of_tenants), int(CATALOGUE_TERMS_MAX_BYTES * of_tenants)
    if held + added > entities_max or held_bytes + growth > bytes_max:
        raise LimitReached(
            f"The catalogue is full: it holds {held} entities of {entities_max}, and {held_bytes} bytes of terms of"
            f" {bytes_max}. Nothing more can be registered, and no terms can become longer"
            + ("." if world.tenant_id is None else ", but by the operator.")
        )


def _check_share(tenant_id: str, registered: int, held_bytes: int, added: int, growth: int) -> None:
    if registered + added > TENANT_ENTITIES_MAX or held_bytes + growth > TENANT_TERMS_MAX_BYTES:
        raise LimitReached(
            f"{tenant_id!r} has registered {registered} entities of {TENANT_ENTITIES_MAX}, archived ones included, and"
            f" {held_bytes} bytes of terms of {TENANT_TERMS_MAX_BYTES}: only the operator can register more for it."
        )


def _check_held(kind: EntityKind, owner: str, world: World) -> None:
    if len(world.holdings.held(kind, owner)) >= _HELD_MAX[kind]:
        named = f"{world.entities[owner].kind} {owner!r}"
        raise LimitReached(f"The {named} has {_HELD_MAX[kind]} {kind}s, and may have no more: archive some first.")


def _raise_any(error: type[InvalidInput], faults: Iterator[Fault]) -> None:
    if found := [*faults]:
        raise error(found)


def _terms(entity: Entity, kind: type[Kind]) -> Kind:
    return msgspec.json.decode(entity.terms, type=kind)


def _instant(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
