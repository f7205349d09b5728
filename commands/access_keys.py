"""The access keys that this process knows: who holds a key that is sent."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from typing import Final, NamedTuple

import msgspec
import structlog

from domain.access import Caller
from domain.catalogue import AccessKey
from domain.entity import Entity

KEY_PREFIX: Final = "gavel_"
"""By which people, and tools that look for leaked secrets, know one."""
KEY_BYTES: Final = 32

_log = structlog.get_logger(__name__)


class _Known(NamedTuple):
    version: int
    digest: str


class AccessKeys:
    """Fed by the catalogue's view with every entity that it reads.

    Versions only rise: a key that was revoked stays so while a Redis that lost its memory is filled again, and all
    keys stay in force while it is away.
    """

    def __init__(self) -> None:
        self.are_known = False
        """The catalogue's cache was read at least once."""
        self._known: dict[str, _Known] = {}
        """By id, those that are not active as well."""
        self._holders: dict[str, Caller] = {}
        """By digest, of active keys."""

    def __repr__(self) -> str:
        return f"AccessKeys(active={len(self._holders)})"

    def learn(self, entities: Iterable[Entity]) -> None:
        """Takes up what is newer than what is known; entities of other kinds are passed over."""
        for entity in entities:
            if entity.kind == "access_key":
                self._learn(entity)

    def holder(self, digest: str) -> Caller | None:
        """Whose key has this digest; None: nobody's, or it does not count at present."""
        # How long a look-up takes could tell of digests, and a digest tells nothing about a key.
        return self._holders.get(digest)

    def _learn(self, entity: Entity) -> None:
        known = self._known.get(entity.id)
        if known is not None and known.version >= entity.version:
            return
        try:
            terms = msgspec.json.decode(entity.terms, type=AccessKey)
        except msgspec.DecodeError as error:
            _log.error("an access key cannot be read, and counts no more", key_id=entity.id, error=str(error))
            terms = None
        if known is not None:
            self._holders.pop(known.digest, None)
        self._known[entity.id] = _Known(entity.version, terms.digest if terms is not None else "")
        if terms is not None and entity.status == "active":
            self._holders[terms.digest] = Caller(
                key_id=entity.id, name=terms.name, role=terms.role, subject_id=terms.subject_id
            )


def fresh_key() -> str:
    """A new access key: random enough that nobody guesses it."""
    return KEY_PREFIX + secrets.token_urlsafe(KEY_BYTES)
