"""The cache `catalogue_cache`: the entities in a Redis hash, which auctions match against.

Fields that changed are published, so that running processes need not ask. A Redis that lost its memory is filled
again from the log, for it has lost the offsets as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import get_args

import msgspec
from redis.asyncio import Redis

from domain.entity import Entity, EntityKind
from domain.events import Event
from domain.names import Names
from projections.catalogue import CATALOGUE_EVENTS, EventsById, changes, events_by_id

KINDS: tuple[EntityKind, ...] = get_args(EntityKind)

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Entity).decode


class CatalogueCache:
    """A `projection.Projection` in Redis."""

    name = "catalogue_cache"
    events: tuple[type[Event], ...] = CATALOGUE_EVENTS

    script = """
    -- KEYS[3]: entities. Arguments: the channel, the changed fields as JSON, then fields and values.
    for field = at + 2, #ARGV, 2 do redis.call('HSET', KEYS[3], ARGV[field], ARGV[field + 1]) end
    if #ARGV > at + 1 then redis.call('PUBLISH', ARGV[at], ARGV[at + 1]) end
    """

    def __init__(self, names: Names) -> None:
        self.offsets_key = names.catalogue_offsets
        self.parked_key = names.catalogue_parked
        self.keys = (names.catalogue_entities,)
        self._channel = names.catalogue_channel

    def fold(self, events: Sequence[Event], onto: EventsById | None = None) -> EventsById:
        return events_by_id(events, onto)

    async def arguments(self, redis: Redis, rows: EventsById) -> Sequence[str | bytes]:
        changed = {
            field_of(entity): _encode(entity) for entity, _ in changes(await self._states(redis, list(rows)), rows)
        }
        return [self._channel, _encode(list(changed)), *(part for pair in changed.items() for part in pair)]

    async def _states(self, redis: Redis, ids: Sequence[str]) -> dict[str, Entity]:
        # An event names its aggregate only, so each kind is asked for.
        fields = [f"{kind}:{aggregate_id}" for aggregate_id in ids for kind in KINDS]
        found = await redis.hmget(self.keys[0], fields)
        entities = (_decode(value) for value in found if value is not None)
        return {entity.id: entity for entity in entities}


def field_of(entity: Entity) -> str:
    """The entity's field in the hash."""
    return f"{entity.kind}:{entity.id}"
