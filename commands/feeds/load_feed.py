"""Load a bulk of a feed client's records: streamed into the log, resumed where it was cut off, doubled never."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime
from typing import NamedTuple, TypedDict

from commands.feeds.intake import (
    LINES_AT_A_TIME,
    Received,
    Runs,
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
from domain.errors import Conflict, KeyReused, Unavailable
from domain.event_parts import FeedMode
from domain.feed_events import FeedLoadFailed, FeedLoadOpened, FeedLoadReceived, FeedLoadStarted, FeedRecordLoaded
from domain.feeds.ndjson import Line
from domain.feeds.records import Reason, Record, record_of
from domain.feeds.runs import Run
from domain.feeds.sealing import BULK
from domain.feeds.upload import BrokenUpload, Form, UploadReader
from domain.limits import FEED_RECORD_MAX_BYTES
from domain.names import Names

REQUIRED = ("key", "value")


class Superseded(Conflict):
    """A later load of the same client has taken this one's place."""


class Bulk(NamedTuple):
    """What is uploaded."""

    sender: Sender
    chunks: AsyncIterator[bytes]
    """The whole of it, also where it is resumed: the lines that the log has are passed over."""
    form: Form
    mode: FeedMode
    run_id: str
    may_be_resumed: bool
    """Its sender has named it and can name it again; else what is cut off has failed."""


class Head(TypedDict):
    """What every event of a load has."""

    id: str
    at: datetime
    correlation_id: str
    causation_id: str
    client: str
    run_id: str


class LoadFeed:
    """The command of `POST /v1/feeds/{client}/bulk`."""

    def __init__(self, *, log: EventLog, names: Names, runs: Runs, sealing: Sealing, clock: Clock, ids: Ids) -> None:
        self._log = log
        self._names = names
        self._runs = runs
        self._sealing = sealing
        self._clock = clock
        self._ids = ids

    async def __call__(self, bulk: Bulk) -> Received:
        """Returns when all of it is in the log; whether it may be published is decided once it is loaded.

        Raises InvalidInput for an upload that cannot be read to its end (what it had before is in the log), KeyReused
        where another upload had the same name, Superseded, Conflict for one that has failed before or an erased
        client, LogUnavailable, Overloaded, Unavailable; and what the chunks raise.
        """
        known = await self._runs.find(bulk.sender.id, bulk.run_id) if bulk.may_be_resumed else None
        _refuse_ended(known, bulk)
        log = OrderedLog(self._log, self._names.feeds_bulk, bulk.sender.id, self._clock)
        upload = _Upload(self, bulk, log, next_line=known.next_line if known else 1)
        try:
            if known is None:
                await self._open(bulk, log)
            await upload.run()
            tally = upload.tally
            if known is not None and known.status != "receiving":
                _refuse_other(known, tally)
            else:
                await log.write(FeedLoadReceived(**self.head(bulk), records=tally.received, rejected=tally.rejected))
        except BrokenUpload as broken:
            await self._fail(bulk, log, str(broken), is_over=not (broken.may_go_on and bulk.may_be_resumed))
            raise refusal(broken) from broken
        except UploadCut:
            await self._fail(bulk, log, "The upload was cut off.", is_over=not bulk.may_be_resumed)
            raise
        finally:
            await log.abandon()
        return tally.outcome(bulk.run_id, log.written_at)

    async def _open(self, bulk: Bulk, log: OrderedLog) -> None:
        """Takes the load's place among the changes, then tells the bulk topic which it is."""
        changes = OrderedLog(self._log, self._names.feeds_changes, bulk.sender.id, self._clock)
        since = await changes.place(FeedLoadStarted(**self.head(bulk), mode=bulk.mode))
        await log.write(FeedLoadOpened(**self.head(bulk), mode=bulk.mode, since=since))

    async def _fail(self, bulk: Bulk, log: OrderedLog, reason: str, *, is_over: bool) -> None:
        await log.write(*([FeedLoadFailed(**self.head(bulk), reason=reason)] if is_over else []))

    async def check_current(self, bulk: Bulk) -> None:
        """Raises Superseded, and Conflict for one that was given up. With Redis away nobody knows: the log decides."""
        try:
            run = await self._runs.find(bulk.sender.id, bulk.run_id)
        except Unavailable:
            return
        _refuse_ended(run, bulk)

    def sealer(self, bulk: Bulk) -> Sealer:
        return Sealer(self._sealing, bulk.sender.id, BULK)

    def head(self, bulk: Bulk) -> Head:
        """What every event of the load has."""
        client, run_id = bulk.sender.id, bulk.run_id
        return Head(
            id=self._ids(),
            at=self._clock.now(),
            correlation_id=client,
            causation_id=run_id,
            client=client,
            run_id=run_id,
        )


class _Upload:
    """One pass over the chunks."""

    def __init__(self, command: LoadFeed, bulk: Bulk, log: OrderedLog, *, next_line: int) -> None:
        self.tally = Tally()
        self._command = command
        self._bulk = bulk
        self._log = log
        self._next_line = next_line
        self._sealer = command.sealer(bulk)
        self._reader = UploadReader(bulk.form, required=REQUIRED, line_max_bytes=FEED_RECORD_MAX_BYTES)
        self._lines = 0

    async def run(self) -> None:
        await self._sealer.renew()
        async for chunk in self._bulk.chunks:
            for line in self._reader.lines(chunk):
                await self._take(line)
        for line in self._reader.end():
            await self._take(line)

    async def _take(self, line: Line) -> None:
        self._lines += 1
        if self._lines % LINES_AT_A_TIME == 0:
            await asyncio.sleep(0)
            await self._sealer.renew()
        record = record_of(line.content) if isinstance(line.content, bytes) else line.content
        if isinstance(record, Reason):
            self.tally.reject(line.number, record)
            return
        self.tally.received += 1
        if line.number >= self._next_line and self._gather(line.number, record):
            await self._log.send()
            await self._command.check_current(self._bulk)

    def _gather(self, line: int, record: Record) -> bool:
        key_id, sealed = self._sealer.sealed(record.key, record.value)
        head = self._command.head(self._bulk)
        expires_at = expiry(self._bulk.sender.terms, head["at"])
        event = FeedRecordLoaded(
            **head, line=line, key=record.key, key_id=key_id, ciphertext=sealed, expires_at=expires_at
        )
        return self._log.gather(event, size_of(record.key, sealed))


def _refuse_ended(known: Run | None, bulk: Bulk) -> None:
    if known is None:
        return
    if known.mode != bulk.mode:
        raise KeyReused
    if known.status == "superseded":
        raise Superseded
    if known.status == "failed":
        raise Conflict(f"This load has failed: {known.reason}")


def _refuse_other(known: Run, tally: Tally) -> None:
    """The load was received in full before: sent again it has the same figures."""
    if (known.received, known.rejected) != (tally.received, tally.rejected):
        raise KeyReused
