"""Who asks: the role of an access key, and the publisher, advertiser or feed client that it acts for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from hashlib import sha256
from typing import NamedTuple

import msgspec

from domain.catalogue import Role
from domain.entity import Entity
from domain.holdings import owner_id


class Tenant(NamedTuple):
    """For whom a key acts, where that is not the exchange's operator."""

    role: Role
    subject_id: str


class Caller(msgspec.Struct, frozen=True, kw_only=True):
    """Whom an access key stands for."""

    key_id: str | None
    """None for the operator's own key, which stands in the settings."""
    name: str
    role: Role
    subject_id: str | None
    """The publisher, advertiser or feed client; None for an admin."""

    def speaks_for_publisher(self, publisher_id: str) -> bool:
        """Whether it may tell what happened on the publisher's pages: the publisher itself, and the operator."""
        return self.role == "admin" or (self.role == "publisher" and self.subject_id == publisher_id)

    @property
    def tenant(self) -> Tenant | None:
        """None for an admin, who sees everything."""
        return None if self.role == "admin" or self.subject_id is None else Tenant(self.role, self.subject_id)


def digest_of(key: str) -> str:
    """What is kept of an access key. Keys are random enough that no salt is needed."""
    return sha256(key.encode()).hexdigest()


class EntitiesSeenBy(Mapping[str, Entity]):
    """The catalogue as a tenant may know it: a foreign entity is as absent as one that was never registered.

    An advertiser sees all placements and feed clients besides, because its campaigns may be aimed at them.
    """

    def __init__(self, entities: Mapping[str, Entity], tenant: Tenant) -> None:
        self._entities = entities
        self._tenant = tenant

    def __getitem__(self, entity_id: str) -> Entity:
        entity = self._entities[entity_id]
        if not self._is_seen(entity):
            raise KeyError(entity_id)
        return entity

    def __iter__(self) -> Iterator[str]:
        return (entity_id for entity_id, entity in self._entities.items() if self._is_seen(entity))

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def _is_seen(self, entity: Entity) -> bool:
        if self._tenant.role == "advertiser" and entity.kind in {"placement", "feed_client"}:
            return True
        return owner_of(entity, self._entities) == self._tenant


def owner_of(entity: Entity, entities: Mapping[str, Entity]) -> Tenant | None:
    """Whose the entity is; None: the operator's."""
    match entity.kind:
        case "publisher" | "advertiser" | "feed_client":
            return Tenant(entity.kind, entity.id)
        case "placement" | "campaign" | "ad":
            owner = entities.get(owner_id(entity) or "")
            return None if owner is None else owner_of(owner, entities)
        case _:
            return None
