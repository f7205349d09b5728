"""Changes of the catalogue: decided by the domain at the head of the log, appended, and read back.

The log is the lock (docs/decisions/0001): a command has succeeded once its own event has turned out to be the one
that counts.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

import msgspec

from commands.catalogue_head import CatalogueHead, Made
from commands.ports import Clock, Ids, RefusingLog
from domain import legality
from domain.access import EntitiesSeenBy, Tenant
from domain.catalogue import Status
from domain.catalogue_changes import Decision, Entities, Stamp, Versions, change, move, register, set_rate
from domain.entity import Entity, EntityKind
from domain.errors import Conflict, Unavailable, VersionMismatch
from domain.events import CampaignChanged, CatalogueEvent
from domain.names import Names
from domain.terms.access_key import ACCESS_KEY
from domain.terms.currency_rate import CURRENCY_RATE, rate_id
from domain.terms.form import Form
from domain.terms.kinds import Forms

SpentOf = Callable[[str], Awaitable[int]]
"""What a campaign has spent and reserved, in nano-units of its currency. Raises Unavailable while nobody knows."""

LOST = "Somebody else was faster: read it again, then decide again."


class Changed(NamedTuple):
    """An entity as a command has left it."""

    entity: Entity
    made: Made
    is_new: bool
    """The command registered it."""


class ChangeCatalogue:
    """The commands of `/v1/publishers`, `/v1/campaigns` and all the other kinds of the catalogue.

    Every command raises what its decision in `domain/catalogue_changes.py` raises, and `domain/legality.py`; Conflict,
    or VersionMismatch where a version was expected, when another command was faster; LogUnavailable and Overloaded.
    A command that is run again under the same id has its effect once: the answer is that of the first run.
    """

    def __init__(
        self,
        *,
        log: RefusingLog,
        head: CatalogueHead,
        names: Names,
        forms: Forms,
        spent_of: SpentOf,
        clock: Clock,
        ids: Ids,
    ) -> None:
        self._log = log
        self._head = head
        self._names = names
        self._forms = forms
        self._spent_of = spent_of
        self._clock = clock
        self._ids = ids

    def form(self, kind: EntityKind) -> Form[Any, Any]:
        """How the terms of a kind are stated."""
        return self._forms[kind]

    async def register(
        self, kind: EntityKind, body: bytes, *, command_id: str, tenant: Tenant | None = None
    ) -> Changed:
        """`POST /v1/…`."""
        form = self._forms[kind]
        stated = form.registration(body)
        stamp = self._stamp(command_id)
        return await self._carry_out(
            stated.id or command_id, stamp, None, lambda entities: register(form, stated, entities, stamp), tenant
        )

    async def change(
        self,
        kind: EntityKind,
        entity_id: str,
        patch: bytes,
        *,
        expected: Versions | None,
        command_id: str,
        tenant: Tenant | None = None,
    ) -> Changed:
        """`PATCH /v1/…/{id}`; `expected` holds the versions that the caller would have changed."""
        form, stamp = self._forms[kind], self._stamp(command_id)
        return await self._carry_out(
            entity_id,
            stamp,
            expected,
            lambda entities: change(form, entity_id, patch, entities=entities, stamp=stamp, expected=expected),
            tenant,
        )

    async def move(
        self,
        kind: EntityKind,
        entity_id: str,
        status: Status,
        *,
        expected: Versions | None,
        command_id: str,
        tenant: Tenant | None = None,
    ) -> Changed:
        """`POST /v1/…/{id}/pause`, `/resume` and `/archive`."""
        stamp = self._stamp(command_id)
        return await self._carry_out(
            entity_id,
            stamp,
            expected,
            lambda entities: move(kind, entity_id, status, entities=entities, stamp=stamp, expected=expected),
            tenant,
        )

    async def set_rate(self, body: bytes, *, command_id: str) -> Changed:
        """`POST /v1/currency-rates`."""
        terms = CURRENCY_RATE.registration(body).terms
        stamp = self._stamp(command_id)
        return await self._carry_out(rate_id(terms), stamp, None, lambda entities: set_rate(terms, entities, stamp))

    async def issue_key(self, body: bytes, digest: str, *, command_id: str) -> tuple[Changed, bool]:
        """`POST /v1/access-keys`; and whether it is this very key that counts: a retry brings a key of its own."""
        stated = ACCESS_KEY.registration(body)
        stated = stated._replace(terms=msgspec.structs.replace(stated.terms, digest=digest))
        stamp = self._stamp(command_id)
        changed = await self._carry_out(
            command_id, stamp, None, lambda entities: register(ACCESS_KEY, stated, entities, stamp)
        )
        return changed, ACCESS_KEY.terms_of(changed.entity).digest == digest

    def _stamp(self, command_id: str) -> Stamp:
        return Stamp(command_id, self._ids(), self._clock.now())

    async def _carry_out(
        self,
        entity_id: str,
        stamp: Stamp,
        expected: Versions | None,
        decide: Callable[[Entities], Decision],
        tenant: Tenant | None = None,
    ) -> Changed:
        self._log.check(self._names.catalogue, entity_id)
        await self._head.read()
        made = self._head.made_by(stamp.command_id)
        if made is not None:
            return await self.as_made(made, is_new=made.version == 1)
        entities = self._head.entities
        decision = decide(entities if tenant is None else EntitiesSeenBy(entities, tenant))
        if isinstance(decision, Entity):
            return Changed(*self._head.known(decision.id), is_new=False)
        spent_nanos = await self._spent_by_changed(decision)
        asks = None if tenant is None else tenant.subject_id
        legality.check(decision, legality.World(entities, self._head.holdings, spent_nanos, asks))
        made = await self._append(decision, expected)
        return await self.as_made(made, is_new=made.version == 1)

    async def as_made(self, made: Made, *, is_new: bool) -> Changed:
        """What a command was answered with that made, or found, an entity so."""
        return Changed(*await self._head.as_made(made), is_new=is_new)

    async def _spent_by_changed(self, event: CatalogueEvent) -> int | None:
        """What the campaign that is to change has spent and reserved; None while nobody knows."""
        if not isinstance(event, CampaignChanged):
            return None
        try:
            return await self._spent_of(event.aggregate_id)
        except Unavailable:
            return None

    async def _append(self, event: CatalogueEvent, expected: Versions | None) -> Made:
        self._head.check_readable(event.aggregate_id)
        await self._log.append(self._names.catalogue, event.aggregate_id, [event])
        await self._head.read()
        made = self._head.made_by(event.causation_id)
        if made is None:
            raise VersionMismatch(LOST) if expected is not None else Conflict(LOST)
        return made
