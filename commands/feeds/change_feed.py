"""Change a feed client's records one by one: adds, updates and deletes in the order in which they are sent."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime
from typing import NamedTuple, TypedDict

from commands.feeds.intake import (
    LINES_AT_A_TIME,
    Received,
    Sealer,
    Sealing,
    Sender,
    Tally,
    UploadCut,
    expiry,
    refusal,
    size_of,
)
from commands.feeds.ordered_log import OrderedLog
from commands.ports import Clock, EventLog, Ids
from domain.feed_events import FeedRecordAdded, FeedRecordDeleted, FeedRecordUpdated
from domain.feeds.debezium import Columns, envelope_change, is_envelope
from domain.feeds.ndjson import Line
from domain.feeds.records import Added, Change, Deleted, Reason, change_of
from domain.feeds.sealing import CHANGES
from domain.feeds.upload import BrokenUpload, Form, UploadReader
from domain.limits import FEED_ENVELOPE_MAX_BYTES
from domain.names import Names

REQUIRED = ("op", "key")


class Changes(NamedTuple):
    """What is uploaded: changes of our own form, a connector's envelopes, or both."""

    sender: Sender
    chunks: AsyncIterator[bytes]
    form: Form
    columns: Columns
    """Of the rows in envelopes."""
    command_id: str


class Head(TypedDict):
    """What every event of an upload has."""

    id: str
    at: datetime
    correlation_id: str
    causation_id: str
    client: str


class ChangeFeed:
    """The command of `POST /v1/feeds/{client}/changes`."""

    def __init__(self, *, log: EventLog, names: Names, sealing: Sealing, clock: Clock, ids: Ids) -> None:
        self._log = log
        self._names = names
        self._sealing = sealing
        self._clock = clock
        self._ids = ids

    async def __call__(self, changes: Changes) -> Received:
        """Returns when all of them are in the log. Sent again, they are applied again, in the same order.

        Raises InvalidInput for an upload that cannot be read to its end, and UploadCut, both with what it had before
        in the log; Conflict for an erased client, LogUnavailable, Overloaded, Unavailable.
        """
        log = OrderedLog(self._log, self._names.feeds_changes, changes.sender.id, self._clock)
        sealer = Sealer(self._sealing, changes.sender.id, CHANGES)
        reader = UploadReader(changes.form, required=REQUIRED, line_max_bytes=FEED_ENVELOPE_MAX_BYTES)
        tally = Tally()
        try:
            await sealer.renew()
            async for chunk in changes.chunks:
                for line in reader.lines(chunk):
                    await self._take(line, changes, log, sealer, tally)
            for line in reader.end():
                await self._take(line, changes, log, sealer, tally)
            await log.write()
        except BrokenUpload as broken:
            await log.write()
            raise refusal(broken) from broken
        except UploadCut:
            await log.write()
            raise
        finally:
            await log.abandon()
        return tally.outcome(changes.command_id, log.written_at)

    async def _take(self, line: Line, changes: Changes, log: OrderedLog, sealer: Sealer, tally: Tally) -> None:
        if line.number % LINES_AT_A_TIME == 0:
            await asyncio.sleep(0)
            await sealer.renew()
        change = _read(line.content, changes.columns) if isinstance(line.content, bytes) else line.content
        if change is None:
            return
        if isinstance(change, Reason):
            tally.reject(line.number, change)
            return
        tally.received += 1
        if self._gather(change, changes, log, sealer):
            await log.send()

    def _gather(self, change: Change, changes: Changes, log: OrderedLog, sealer: Sealer) -> bool:
        client = changes.sender.id
        head = Head(
            id=self._ids(),
            at=self._clock.now(),
            correlation_id=client,
            causation_id=changes.command_id,
            client=client,
        )
        key = change.key
        if isinstance(change, Deleted):
            return log.gather(FeedRecordDeleted(**head, key=key), size_of(key, b""))
        key_id, sealed = sealer.sealed(key, change.value)
        expires_at = expiry(changes.sender.terms, head["at"])
        if isinstance(change, Added):
            added = FeedRecordAdded(**head, key=key, key_id=key_id, ciphertext=sealed, expires_at=expires_at)
            return log.gather(added, size_of(key, sealed))
        updated = FeedRecordUpdated(
            **head, old_key=change.old_key, key=key, key_id=key_id, ciphertext=sealed, expires_at=expires_at
        )
        return log.gather(updated, size_of(change.old_key + key, sealed))


def _read(line: bytes, columns: Columns) -> Change | Reason | None:
    change = change_of(line)
    return envelope_change(line, columns) if isinstance(change, Reason) and is_envelope(line) else change
