"""What a command makes of the catalogue: the event that it leads to, or why it may not be.

Each decision is given the entities as they stand at the head of the log. It returns the entity itself where there
is nothing to change, so that asking twice for the same does no harm.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, NamedTuple

import msgspec

from domain import events
from domain.catalogue import CurrencyRate, Status, Terms
from domain.entity import CHANGED, REGISTERED, Entity, EntityKind
from domain.errors import Conflict, Fault, NotFound, UnknownReference, VersionMismatch
from domain.events import CatalogueEvent
from domain.terms.currency_rate import rate_id
from domain.terms.form import Form, Reference, Registration

Entities = Mapping[str, Entity]
"""By id."""
Decision = CatalogueEvent | Entity
Versions = frozenset[int]
"""Those that a command may meet; None instead: any."""

_STATUS_EVENTS: dict[Status, type[CatalogueEvent]] = {
    "paused": events.EntityPaused,
    "active": events.EntityResumed,
    "archived": events.EntityArchived,
}


class Stamp(NamedTuple):
    """What a command carries of the world."""

    command_id: str
    """UUIDv7. The log keeps it as what caused the event; where the owner chooses no id, it becomes the entity's."""
    event_id: str
    at: datetime


def register(form: Form[Any, Any], stated: Registration[Any], entities: Entities, stamp: Stamp) -> CatalogueEvent:
    """Raises Conflict for an id that is taken, UnknownReference for every entity it names that is not there."""
    entity_id = stated.id or stamp.command_id
    if entity_id in entities and form.id_of is not None:
        raise Conflict(f"There is, or was, a {form.kind.replace('_', ' ')} like this one already: {entity_id!r}.")
    if entity_id in entities:
        raise Conflict(f"The id {entity_id!r} is taken by a {entities[entity_id].kind}.")
    _check_references(form.references(stated.terms), entities)
    return _event(REGISTERED[form.kind], entity_id, 1, stamp, terms=stated.terms)


def change(
    form: Form[Any, Any], entity_id: str, patch: bytes, *, entities: Entities, stamp: Stamp, expected: Versions | None
) -> Decision:
    """A JSON Merge Patch of the terms. Raises NotFound, VersionMismatch, Conflict, InvalidInput, UnknownReference."""
    entity = _found(form.kind, entity_id, expected, entities)
    if entity.status == "archived":
        raise Conflict(f"The {_named(entity)} is archived: its terms cannot change any more.")
    terms: Terms = form.patched(entity, patch)
    before: Terms = form.terms_of(entity)
    if terms == before:
        return entity
    # What it named already is not held against it: the other may have been archived since.
    named = {(each.kind, each.id) for each in form.references(before)}
    _check_references((each for each in form.references(terms) if (each.kind, each.id) not in named), entities)
    return _event(CHANGED[form.kind], entity_id, entity.version + 1, stamp, terms=terms)


def move(
    kind: EntityKind, entity_id: str, status: Status, *, entities: Entities, stamp: Stamp, expected: Versions | None
) -> Decision:
    """Pauses, resumes or archives. Raises NotFound, VersionMismatch, Conflict: nothing comes back from the archive."""
    entity = _found(kind, entity_id, expected, entities)
    if entity.status == status:
        return entity
    if entity.status == "archived":
        raise Conflict(f"The {_named(entity)} is archived: it can be neither paused nor resumed.")
    return _event(_STATUS_EVENTS[status], entity_id, entity.version + 1, stamp)


def set_rate(terms: CurrencyRate, entities: Entities, stamp: Stamp) -> Decision:
    """States or changes a pair's rate. Raises Conflict where another kind of entity has taken the pair's id."""
    entity = entities.get(rate_id(terms))
    if entity is not None and entity.kind != "currency_rate":
        raise Conflict(f"The id {entity.id!r} is taken by a {entity.kind}.")
    if entity is not None and msgspec.json.decode(entity.terms, type=CurrencyRate) == terms:
        return entity
    version = entity.version + 1 if entity else 1
    rate = msgspec.structs.asdict(terms)
    return _event(events.CurrencyRateSet, rate_id(terms), version, stamp, **rate)


def _found(kind: EntityKind, entity_id: str, expected: Versions | None, entities: Entities) -> Entity:
    entity = entities.get(entity_id)
    if entity is None or entity.kind != kind:
        raise NotFound(f"There is no {kind} {entity_id!r}.")
    if expected is not None and entity.version not in expected:
        raise VersionMismatch(f"The {_named(entity)} has version {entity.version} now.")
    return entity


def _check_references(references: Iterable[Reference], entities: Entities) -> None:
    faults = [fault for each in references if (fault := _reference_fault(each, entities.get(each.id)))]
    if faults:
        raise UnknownReference(faults)


def _reference_fault(reference: Reference, entity: Entity | None) -> Fault | None:
    if entity is None or entity.kind != reference.kind:
        kind = reference.kind.replace("_", " ")
        return Fault(reference.path, f"there is no {kind} {reference.name or reference.id!r}")
    if entity.status == "archived":
        return Fault(reference.path, f"the {_named(entity)} is archived")
    return None


def _named(entity: Entity) -> str:
    return f"{entity.kind.replace('_', ' ')} {entity.id!r}"


def _event(kind: type[CatalogueEvent], entity_id: str, version: int, stamp: Stamp, **content: Any) -> CatalogueEvent:
    return kind(
        id=stamp.event_id,
        at=stamp.at,
        correlation_id=entity_id,
        causation_id=stamp.command_id,
        aggregate_id=entity_id,
        version=version,
        **content,
    )
