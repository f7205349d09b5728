"""The read model `catalogue`: every entity as its events have made it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import asyncpg
import msgspec

from domain.codec import EVENT_TYPES
from domain.entity import Entity, evolve
from domain.events import CatalogueEvent, Event
from domain.holdings import owner_id
from projections.postgres_store import Connection

CATALOGUE_EVENTS = tuple(each for each in EVENT_TYPES.values() if issubclass(each, CatalogueEvent))

UPSERT = """
INSERT INTO entities (id, kind, version, status, terms, owner_id, created_at, updated_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
ON CONFLICT (id) DO UPDATE SET kind = excluded.kind, version = excluded.version, status = excluded.status,
    terms = excluded.terms, owner_id = excluded.owner_id, updated_at = excluded.updated_at
"""

EventsById = dict[str, list[CatalogueEvent]]
"""Aggregate ids and the events of each in order."""


class Catalogue:
    """A `projection.Projection` in Postgres."""

    name = "catalogue"
    events: tuple[type[Event], ...] = CATALOGUE_EVENTS

    def fold(self, events: Sequence[Event], onto: EventsById | None = None) -> EventsById:
        return events_by_id(events, onto)

    async def prepare(self, connection: Connection, rows: EventsById) -> None:
        """Nothing: its table is there."""

    async def write(self, connection: Connection, rows: EventsById) -> None:
        known = await connection.fetch(
            "SELECT id, kind, version, status, terms FROM entities WHERE id = ANY($1)", list(rows)
        )
        states = {row["id"]: _entity(row) for row in known}
        upserts = [
            (
                state.id,
                state.kind,
                state.version,
                state.status,
                bytes(state.terms).decode(),
                owner_id(state),
                effective[0].at,
                effective[-1].at,
            )
            for state, effective in changes(states, rows)
        ]
        await connection.executemany(UPSERT, upserts)


def events_by_id(events: Sequence[Event], onto: EventsById | None) -> EventsById:
    """The batch, aggregate by aggregate."""
    found: EventsById = {} if onto is None else onto
    for event in events:
        assert isinstance(event, CatalogueEvent), event
        found.setdefault(event.aggregate_id, []).append(event)
    return found


def changes(states: Mapping[str, Entity], batch: EventsById) -> list[tuple[Entity, list[CatalogueEvent]]]:
    """Each entity that the batch changes, as it ends up, with the events that had an effect; sorted by id."""
    changed = []
    for aggregate_id, events in sorted(batch.items()):
        state, effective = states.get(aggregate_id), []
        for event in events:
            after = evolve(state, event)
            if after is not state:
                state = after
                effective.append(event)
        if state is not None and effective:
            changed.append((state, effective))
    return changed


def _entity(row: asyncpg.Record) -> Entity:
    return Entity(row["kind"], row["id"], row["version"], row["status"], msgspec.Raw(row["terms"].encode()))
