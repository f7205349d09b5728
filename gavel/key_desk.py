"""Access keys from the command line: written to the log and read from it, so that no API has to run."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import NamedTuple

import msgspec

from commands.access_keys import fresh_key
from commands.catalogue_head import CatalogueHead
from commands.change_catalogue import ChangeCatalogue
from commands.kafka_log import KafkaLog
from domain.access import digest_of
from domain.catalogue import Role, Status
from domain.errors import Unavailable
from domain.names import Names
from domain.terms.access_key import ACCESS_KEY
from domain.terms.kinds import all_forms
from gavel.process_clock import SystemClock, fresh_id
from gavel.read_side import require
from gavel.settings import Settings


class ListedKey(msgspec.Struct, frozen=True, kw_only=True):
    """A key as `gavel keys list` shows it."""

    id: str
    name: str
    role: Role
    subject_id: str | None
    status: Status


class Issued(NamedTuple):
    """A new key, told this once."""

    id: str
    key: str


class KeyDesk:
    """The commands about access keys, of one installation."""

    def __init__(self, change: ChangeCatalogue, head: CatalogueHead) -> None:
        self._change = change
        self._head = head

    async def issue(self, *, name: str, role: Role, subject_id: str | None) -> Issued:
        """Raises InvalidInput, UnknownReference for a subject that is not there, LogUnavailable."""
        key = fresh_key()
        stated = {"name": name, "role": role, "subject_id": subject_id}
        changed, _ = await self._change.issue_key(msgspec.json.encode(stated), digest_of(key), command_id=fresh_id())
        return Issued(changed.entity.id, key)

    async def revoke(self, key_id: str) -> None:
        """For good; one that is revoked already stays so. Raises NotFound, LogUnavailable."""
        await self._change.move("access_key", key_id, "archived", expected=None, command_id=fresh_id())

    async def listed(self) -> list[ListedKey]:
        """All keys, the oldest first, revoked ones too. Raises LogUnavailable."""
        await self._head.read()
        keys = sorted((each for each in self._head.entities.values() if each.kind == "access_key"), key=lambda e: e.id)
        return [ListedKey(id=each.id, status=each.status, **ACCESS_KEY.shown(each)) for each in keys]


async def _not_asked(campaign_id: str) -> int:
    """No command about a key asks what a campaign has spent."""
    raise Unavailable(f"Nobody here knows what the campaign {campaign_id!r} has spent.")


@asynccontextmanager
async def key_desk(settings: Settings) -> AsyncIterator[KeyDesk]:
    """Connected to the installation's log. Raises InvalidInput where no Kafka is set."""
    [kafka_url] = require(settings, "kafka_url")
    names = Names(settings.namespace)
    log = KafkaLog(kafka_url, names.topics, client_id="gavel-keys")
    head = CatalogueHead(kafka_url, names.catalogue, client_id="gavel-keys-catalogue")
    await log.start()
    try:
        change = ChangeCatalogue(
            log=log,
            head=head,
            names=names,
            forms=all_forms(allow_private=settings.allow_private_endpoints),
            spent_of=_not_asked,
            clock=SystemClock(),
            ids=fresh_id,
        )
        yield KeyDesk(change, head)
    finally:
        await head.close()
        await log.close()
