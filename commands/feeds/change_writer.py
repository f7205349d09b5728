"""A feed client's changes on their way into the log: sealed, in order, and each told where it comes from."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple, TypedDict

from commands.feeds.intake import FirstKey, Sealer, Sealing, Sender, expiry, size_of
from commands.feeds.ordered_log import OrderedLog
from commands.ports import Clock, EventLog, Ids, Position
from domain.event_parts import FeedSource
from domain.feed_events import FeedChangesReceived, FeedRecordAdded, FeedRecordDeleted, FeedRecordUpdated
from domain.feeds.records import Added, Change, Deleted
from domain.feeds.sealing import CHANGES
from domain.names import Names

MARK_BYTES = 400
"""About how long an event is that carries no record."""


class ChangeParts(NamedTuple):
    """What changes are written with."""

    log: EventLog
    names: Names
    sealing: Sealing
    first_key: FirstKey
    clock: Clock
    ids: Ids


class Head(TypedDict):
    """What every event of a feed has."""

    id: str
    at: datetime
    correlation_id: str
    causation_id: str
    client: str


class ChangeWriter:
    """Of one upload, or one connector. Renew it every few records, as a `Sealer`; `abandon` it in the end."""

    def __init__(self, parts: ChangeParts, sender: Sender, command_id: str) -> None:
        self.sender = sender
        self._parts = parts
        self._command_id = command_id
        self._log = OrderedLog(parts.log, parts.names.feeds_changes, sender.id, parts.clock)
        self._sealer = Sealer(parts.sealing, sender.id, CHANGES)

    def __repr__(self) -> str:
        return f"ChangeWriter({self._log!r})"

    @property
    def written_at(self) -> Position | None:
        """Of the last event that is written, where the log has said so."""
        return self._log.written_at

    @property
    def unwritten(self) -> int:
        """As `OrderedLog` says it."""
        return self._log.unwritten

    async def renew(self) -> None:
        """Raises Conflict for an erased client, Unavailable."""
        await self._sealer.renew()

    async def take(self, change: Change, source: FeedSource | None) -> None:
        """Raises LogUnavailable, Overloaded: of this change or of one before."""
        if self._gather(change, source):
            await self._log.send()

    async def take_figures(self, records: int, rejected: int, source: FeedSource | None, digest: str = "") -> None:
        """What came beside the changes: how many there were, and what was none. Raises as `take`."""
        event = FeedChangesReceived(**self._head(), records=records, rejected=rejected, source=source, digest=digest)
        if self._log.gather(event, MARK_BYTES, is_record=False):
            await self._log.send()

    async def write(self) -> None:
        """Returns when all that was taken is in the log. Raises as `take`."""
        await self._log.write()

    async def abandon(self) -> None:
        """What is not written by now may be written or not."""
        await self._log.abandon()

    def _gather(self, change: Change, source: FeedSource | None) -> bool:
        head, key = self._head(), change.key
        if isinstance(change, Deleted):
            return self._log.gather(FeedRecordDeleted(**head, key=key, source=source), size_of(key, b""))
        key_id, sealed = self._sealer.sealed(key, change.value)
        expires_at = expiry(self.sender.terms, head["at"])
        if isinstance(change, Added):
            added = FeedRecordAdded(
                **head, key=key, key_id=key_id, ciphertext=sealed, expires_at=expires_at, source=source
            )
            return self._log.gather(added, size_of(key, sealed))
        updated = FeedRecordUpdated(
            **head,
            old_key=change.old_key,
            key=key,
            key_id=key_id,
            ciphertext=sealed,
            expires_at=expires_at,
            source=source,
        )
        return self._log.gather(updated, size_of(change.old_key + key, sealed))

    def _head(self) -> Head:
        client = self.sender.id
        return Head(
            id=self._parts.ids(),
            at=self._parts.clock.now(),
            correlation_id=client,
            causation_id=self._command_id,
            client=client,
        )
