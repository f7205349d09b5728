"""Load a bulk of a feed client's records: streamed into the log, resumed where it was cut off, doubled never."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime
from typing import NamedTuple, Protocol, TypedDict

from commands.feeds.intake import (
    FirstKey,
    Interrupted,
    Received,
    Runs,
    Sealer,
    Sealing,
    Sender,
    Tally,
    UploadCut,
    digest_of,
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
from domain.feeds.upload_digest import UnkeyedDigest, UploadDigest, is_unkeyed
from domain.limits import FEED_RECORD_MAX_BYTES
from domain.names import Names

REQUIRED = ("key", "value")
CHECK_SECONDS = 1.0
"""Between two looks at whether a slow upload is still wanted; a fast one looks with every batch."""


class Superseded(Conflict):
    """A later load of the same client has taken this one's place."""


class Turn(Protocol):
    """A load's turn among those of its client."""

    async def __call__(self, client: str, run_id: str) -> None:
        """Returns when all loads are decided that the log has in full by now, but that run itself.

        So none is superseded that its sender was told to be received; and the consumer has met what there is of the
        run. Raises LogUnavailable, Overloaded where that takes too long, Unavailable.
        """
        ...


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

    def __init__(
        self,
        *,
        log: EventLog,
        names: Names,
        runs: Runs,
        turn: Turn,
        sealing: Sealing,
        first_key: FirstKey,
        clock: Clock,
        ids: Ids,
    ) -> None:
        self._log = log
        self._names = names
        self._runs = runs
        self._turn = turn
        self._sealing = sealing
        self._first_key = first_key
        self.clock = clock
        self._ids = ids

    async def __call__(self, bulk: Bulk) -> Received:
        """Returns when all of it is in the log; whether it may be published is decided once it is loaded.

        Raises BrokenOff for an upload that cannot be read to its end, which has failed (what it had before is in the
        log), KeyReused where another upload had the same name or was begun under it, Superseded, Conflict for one that
        has failed before or an erased client, LogUnavailable, Overloaded, Unavailable before anything is taken, and
        Interrupted later by any of these three or by UploadCut.
        """
        await self._turn(bulk.sender.id, bulk.run_id)
        known = await self._runs.find(bulk.sender.id, bulk.run_id) if bulk.may_be_resumed else None
        _refuse_ended(known, bulk)
        digest = await digest_of(self._first_key, bulk.sender.id, BULK, bulk.run_id)
        log = OrderedLog(self._log, self._names.feeds_bulk, bulk.sender.id, self.clock)
        upload = _Upload(self, bulk, log, known, digest)
        try:
            if known is None:
                await self._open(bulk, log)
            await self._take(bulk, log, upload, is_open=known is None or known.status == "receiving")
        except (UploadCut, Unavailable) as cause:
            received = upload.tally.outcome(bulk.run_id, log.written_at, unwritten=log.unwritten)
            raise Interrupted(received) from cause
        finally:
            await log.abandon()
        return upload.tally.outcome(bulk.run_id, log.written_at)

    async def _take(self, bulk: Bulk, log: OrderedLog, upload: _Upload, *, is_open: bool) -> None:
        """Raises as the command, and what interrupts it."""
        try:
            await upload.run()
            if is_open:
                await self.check_current(bulk)
                await log.write(self._received(bulk, upload))
        except BrokenUpload as broken:
            if is_open:
                await log.write(self._failed(bulk, upload.tally, str(broken)))
            raise refusal(broken, upload.tally.outcome(bulk.run_id, log.written_at)) from broken
        except (UploadCut, Unavailable) as cause:
            if not bulk.may_be_resumed:
                await log.write(self._failed(bulk, upload.tally, _why(cause)))
            elif is_open:
                await log.write()
            raise

    async def _open(self, bulk: Bulk, log: OrderedLog) -> None:
        """Takes the load's place among the changes, then tells the bulk topic which it is."""
        changes = OrderedLog(self._log, self._names.feeds_changes, bulk.sender.id, self.clock)
        since = await changes.place(FeedLoadStarted(**self.head(bulk), mode=bulk.mode))
        opened = FeedLoadOpened(**self.head(bulk), mode=bulk.mode, since=since, may_be_resumed=bulk.may_be_resumed)
        await log.write(opened)

    def _received(self, bulk: Bulk, upload: _Upload) -> FeedLoadReceived:
        tally, digest = upload.tally, upload.digest.text
        return FeedLoadReceived(**self.head(bulk), records=tally.received, rejected=tally.rejected, digest=digest)

    def _failed(self, bulk: Bulk, tally: Tally, reason: str) -> FeedLoadFailed:
        return FeedLoadFailed(**self.head(bulk), reason=reason, records=tally.received, rejected=tally.rejected)

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
            at=self.clock.now(),
            correlation_id=client,
            causation_id=run_id,
            client=client,
            run_id=run_id,
        )


class _Upload:
    """One pass over the chunks."""

    def __init__(self, command: LoadFeed, bulk: Bulk, log: OrderedLog, known: Run | None, digest: UploadDigest) -> None:
        self.tally = Tally()
        self.digest = digest
        self._command = command
        self._bulk = bulk
        self._log = log
        self._known = known
        """What the log has under its name, until that is known to be the beginning of this upload."""
        self._compared = UnkeyedDigest() if known is not None and is_unkeyed(known.digest) else digest
        """With what the log has."""
        self._sealer = command.sealer(bulk)
        self._reader = UploadReader(bulk.form, required=REQUIRED, line_max_bytes=FEED_RECORD_MAX_BYTES)
        self._checked_at = command.clock.monotonic()

    async def run(self) -> None:
        async for chunk in self._bulk.chunks:
            for lines in self._reader.portions(chunk):
                await asyncio.sleep(0)  # others have their turn
                await self._sealer.renew()
                for line in lines:
                    await self._take(line)
            if self._command.clock.monotonic() >= self._checked_at + CHECK_SECONDS:
                await self._check_current()
        for line in self._reader.end():
            await self._take(line)
        self._check_same()

    async def _take(self, line: Line) -> None:
        if isinstance(line.content, Reason):
            self.tally.reject(line.number, line.content)
            return
        record = record_of(line.content)
        if isinstance(record, Reason):
            self.tally.reject(line.number, record)
            return
        is_new = self._is_new(line.number)
        self.tally.received += 1
        self.digest.add(line.number, line.content)
        if self._known is not None and self._compared is not self.digest:
            self._compared.add(line.number, line.content)
        if is_new and self._gather(line.number, record):
            await self._log.send()
            await self._check_current()

    def _is_new(self, line: int) -> bool:
        """Whether the log lacks this one, and all that follow."""
        if self._known is None:
            return True
        if line < self._known.next_line or self._known.status != "receiving":
            return False
        self._check_same()
        self._known = None
        return True

    def _check_same(self) -> None:
        """Raises KeyReused where what the log has under the name is not this upload as far as it goes."""
        known, tally = self._known, self.tally
        if known is None:
            return
        is_other = known.digest != self._compared.text
        if known.status != "receiving":
            is_other |= (known.received, known.rejected) != (tally.received, tally.rejected)
        if is_other:
            raise KeyReused("Another upload was begun under this `Idempotency-Key`; take a fresh one.")

    async def _check_current(self) -> None:
        self._checked_at = self._command.clock.monotonic()
        await self._command.check_current(self._bulk)

    def _gather(self, line: int, record: Record) -> bool:
        key_id, sealed = self._sealer.sealed(record.key, record.value)
        head = self._command.head(self._bulk)
        event = FeedRecordLoaded(
            **head,
            line=line,
            key=record.key,
            key_id=key_id,
            ciphertext=sealed,
            expires_at=expiry(self._bulk.sender.terms, head["at"]),
            digest=self.digest.text,
        )
        return self._log.gather(event, size_of(record.key, sealed))


def _refuse_ended(known: Run | None, bulk: Bulk) -> None:
    if known is None:
        return
    if known.status == "superseded":
        raise Superseded
    if known.status == "failed":
        raise Conflict(f"This load has failed: {known.reason}")
    if known.mode != bulk.mode:
        raise KeyReused


def _why(cause: UploadCut | Unavailable) -> str:
    """Why a load has failed that nobody can go on with."""
    why = str(cause)
    return f"The upload was ended before all of it had come: {why}" if why else "The upload was cut off."
