"""What belongs to whom, and how much there is: publishers' placements, advertisers' campaigns, campaigns' ads."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping

import msgspec

from domain.entity import Entity, EntityKind


class _Named(msgspec.Struct):
    """Of terms, what they may belong to."""

    publisher_id: str | None = None
    advertiser_id: str | None = None
    campaign_id: str | None = None


BELONGS_TO: Mapping[EntityKind, tuple[EntityKind, ...]] = {
    "placement": ("publisher",),
    "campaign": ("advertiser",),
    "ad": ("campaign", "advertiser"),
}
"""What an entity of a kind is part of: first what its terms name, then what that is part of."""
_named = msgspec.json.Decoder(_Named).decode


def owner_id(entity: Entity) -> str | None:
    """The id of the entity that this one is part of; None for a kind that stands for itself."""
    kinds = BELONGS_TO.get(entity.kind)
    return None if kinds is None else getattr(_named(entity.terms), f"{kinds[0]}_id")


class Holdings:
    """Kept current entity by entity, so that a decision need not look through a catalogue of hundreds of thousands."""

    def __init__(self) -> None:
        self._owners: dict[str, str | None] = {}
        self._held: dict[tuple[EntityKind, str], set[str]] = {}
        self._sizes: dict[str, int] = {}
        self._registered = Counter[str]()
        self._bytes_below = Counter[str]()
        """Both by id, of all that is part of it, archived ones included."""
        self.terms_bytes = 0
        """Of all entities, archived ones included."""

    def __repr__(self) -> str:
        return f"Holdings(entities={len(self)}, terms_bytes={self.terms_bytes})"

    def __len__(self) -> int:
        return len(self._sizes)

    def put(self, entity: Entity) -> None:
        """Takes up an entity as it stands now."""
        size = len(entity.terms)
        growth = size - self._sizes.get(entity.id, 0)
        before, owner = self._owners.get(entity.id), owner_id(entity)
        # What is part of it may have been met before it: they stand in other partitions of the log.
        is_new = entity.id not in self._sizes
        self._count(
            owner,
            1 + self._registered[entity.id] if is_new else 0,
            growth + self._bytes_below[entity.id] if is_new else growth,
        )
        self.terms_bytes += growth
        self._sizes[entity.id] = size
        if before is not None:
            self._held[entity.kind, before].discard(entity.id)
        if owner is not None and entity.status != "archived":
            self._owners[entity.id] = owner
            self._held.setdefault((entity.kind, owner), set()).add(entity.id)

    def _count(self, owner: str | None, entities: int, growth: int) -> None:
        while owner is not None:
            self._registered[owner] += entities
            self._bytes_below[owner] += growth
            owner = self._owners.get(owner)

    def ever_of(self, owner: str) -> tuple[int, int]:
        """How many entities were ever registered as part of this one, at any depth, and the bytes of their terms."""
        return self._registered[owner], self._bytes_below[owner]

    def held(self, kind: EntityKind, owner: str) -> Collection[str]:
        """Ids of the owner's entities of a kind that are not archived."""
        return self._held.get((kind, owner), frozenset())
