"""Change a feed client's records one by one: adds, updates and deletes in the order in which they are sent."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import NamedTuple, Protocol

from msgspec.msgpack import encode

from commands.feeds.change_writer import ChangeParts, ChangeWriter
from commands.feeds.intake import Interrupted, Received, Sender, Tally, UploadCut, digest_of, refusal
from commands.feeds.redis_sources import SourceMet
from domain.errors import KeyReused, Unavailable
from domain.event_parts import FeedSource
from domain.feeds.debezium import Columns, envelope_change, is_envelope
from domain.feeds.ndjson import Line
from domain.feeds.records import Change, Deleted, Reason, change_of
from domain.feeds.sealing import CHANGES
from domain.feeds.upload import BrokenUpload, Form, UploadReader
from domain.feeds.upload_digest import UploadDigest
from domain.limits import FEED_ENVELOPE_MAX_BYTES

REQUIRED = ("op", "key")


class Sources(Protocol):
    """What the consumer has met of those who tell changes under a name."""

    async def find(self, client: str, source: str) -> SourceMet | None:
        """None for one that it has not met. Raises Unavailable."""
        ...


Room = Callable[[], Awaitable[None]]
"""Returns when there is room for a record. Raises UploadCut."""


class Changes(NamedTuple):
    """What is uploaded: changes of our own form, a connector's envelopes, or both."""

    sender: Sender
    chunks: AsyncIterator[bytes]
    """The whole of it, also where it is sent again: what the log has is passed over."""
    form: Form
    columns: Columns
    """Of the rows in envelopes."""
    command_id: str
    may_be_repeated: bool
    """Its sender has named it, and can send it again under that name without a second effect."""
    room: Room
    """Waited for by each change that puts a record, and by none that deletes one: that makes room."""


class ChangeFeed:
    """The command of `POST /v1/feeds/{client}/changes`."""

    def __init__(self, parts: ChangeParts, sources: Sources) -> None:
        self._parts = parts
        self._sources = sources

    async def __call__(self, changes: Changes) -> Received:
        """Returns when all of them are in the log.

        Without a name they are applied again when they are sent again, in the same order; with one, what was told
        before has no second effect, whoever has said what since.

        Raises BrokenOff for an upload that cannot be read to its end, which ends it, with what it had before in the
        log; KeyReused where another upload had the same name; Conflict for an erased client; Unavailable before
        anything is taken, and Interrupted later: by UploadCut, or by LogUnavailable, Overloaded, Unavailable.
        """
        client, command_id = changes.sender.id, changes.command_id
        source = f"upload/{command_id}" if changes.may_be_repeated else None
        met = await self._sources.find(client, source) if source else None
        digest = await digest_of(self._parts.first_key, client, CHANGES, command_id) if source else None
        writer = ChangeWriter(self._parts, changes.sender, command_id)
        upload = _Upload(changes, writer, source, met, digest)
        try:
            await _taken(upload, writer, source)
        except BrokenUpload as broken:
            raise refusal(broken, upload.tally.outcome(command_id, writer.written_at)) from broken
        except (UploadCut, Unavailable) as cause:
            received = upload.tally.outcome(command_id, writer.written_at, unwritten=writer.unwritten)
            raise Interrupted(received) from cause
        finally:
            await writer.abandon()
        return upload.tally.outcome(command_id, writer.written_at)


async def _taken(upload: _Upload, writer: ChangeWriter, source: str | None) -> None:
    """Whatever ends it, what it had until there is in the log then, if the log can be written to."""
    try:
        await upload.run()
    except (UploadCut, Unavailable):
        await (writer.write() if source else upload.end())
        raise
    except BrokenUpload:
        await upload.end()
        raise
    await upload.end()


class _Upload:
    """The lines of one upload, on their way into the log."""

    def __init__(
        self,
        changes: Changes,
        writer: ChangeWriter,
        source: str | None,
        met: SourceMet | None,
        digest: UploadDigest | None,
    ) -> None:
        self.tally = Tally()
        self._digest = digest
        """Of what its changes say. None: nobody can send it again under its name."""
        self._changes = changes
        self._writer = writer
        self._source = source
        self._met = met
        self._reader = UploadReader(
            changes.form,
            required=REQUIRED,
            line_max_bytes=FEED_ENVELOPE_MAX_BYTES,
            too_long=Reason.ENVELOPE_TOO_LONG,
        )
        self._last_line = 0

    async def run(self) -> None:
        async for chunk in self._changes.chunks:
            for lines in self._reader.portions(chunk):
                await asyncio.sleep(0)  # others have their turn
                await self._writer.renew()
                for line in lines:
                    await self._take(line)
        for line in self._reader.end():
            await self._take(line)

    async def end(self) -> None:
        """Nothing follows: what was refused is told once, and under its name nobody else can send something."""
        figures = (self.tally.received, self.tally.rejected)
        digest = self._digest.text if self._digest is not None else ""
        if self._met is not None and self._met.figures is not None:
            # The end of an older one has no digest.
            if figures != self._met.figures or digest != (self._met.digest or digest):
                raise KeyReused
            return
        if self._source is not None or self.tally.rejected:
            await self._writer.take_figures(*figures, self._place(self._last_line + 1), digest)
        await self._writer.write()

    async def _take(self, line: Line) -> None:
        self._last_line = line.number
        change = _read(line.content, self._changes.columns) if isinstance(line.content, bytes) else line.content
        if change is None:
            return
        if isinstance(change, Reason):
            self.tally.reject(line.number, change)
            return
        is_met = self._is_met(line.number)
        if not is_met and not isinstance(change, Deleted):
            await self._changes.room()
        self.tally.received += 1
        if self._digest is not None:
            self._digest.add(line.number, encode((type(change).__name__, change)))
        if not is_met:
            await self._writer.take(change, self._place(line.number))

    def _is_met(self, line: int) -> bool:
        """All of what has ended is: a line beyond its end is another upload's, under the same name."""
        return self._met is not None and (line <= self._met.place or self._met.figures is not None)

    def _place(self, line: int) -> FeedSource | None:
        return None if self._source is None else FeedSource(name=self._source, place=line)


def _read(line: bytes, columns: Columns) -> Change | Reason | None:
    change = change_of(line)
    return envelope_change(line, columns) if isinstance(change, Reason) and is_envelope(line) else change
