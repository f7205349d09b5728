"""An upload's chunks as numbered lines, whatever it is packed and written in."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Literal

import msgspec

from domain.feeds.avro import AvroReader, NotAvro
from domain.feeds.avro_schema import OtherSchema
from domain.feeds.inflation import CannotUnpack, CutOff, Encoding, inflation
from domain.feeds.ndjson import Line, LineSplitter
from domain.feeds.records import Reason
from domain.limits import FEED_LINE_BYTES, FEED_PORTION_BYTES, FEED_RECORD_MAX_BYTES


class Form(msgspec.Struct, frozen=True):
    """What the upload's headers say of it."""

    encoding: Encoding = "identity"
    written_in: Literal["ndjson", "avro"] = "ndjson"


class BrokenUpload(ValueError):
    """From here on nothing of the upload can be read; what it had before counts."""


class UploadReader:
    """Give it chunks, cut anywhere; memory holds a piece, and a line or a block."""

    def __init__(
        self, form: Form, *, required: Collection[str], line_max_bytes: int, too_long: Reason = Reason.TOO_LONG
    ) -> None:
        """`required` fields have to be in an Avro file's schema; longer lines are refused unread, as `too_long`."""
        self._inflation = inflation(form.encoding)
        self._reader = AvroReader(required) if form.written_in == "avro" else LineSplitter(line_max_bytes, too_long)

    def __repr__(self) -> str:
        return f"UploadReader({self._inflation!r}, {self._reader!r})"

    def portions(self, chunk: bytes) -> Iterator[Sequence[Line]]:
        """The lines that end in this chunk; to be exhausted before the next. Raises BrokenUpload.

        There are so few in a portion that others can wait for it, and they should have their turn after each. It may
        be empty: a few bytes can be megabytes of blank lines, or of blocks without a record.
        """
        try:
            for piece in self._inflation.pieces(chunk):
                yield from _portions(self._reader.split(piece))
        except (CannotUnpack, NotAvro, OtherSchema) as error:
            raise BrokenUpload(str(error)) from error

    def end(self) -> Iterator[Line]:
        """What is left when nothing follows. Raises BrokenUpload."""
        try:
            self._inflation.end()
            yield from self._reader.end()
        except CutOff as error:
            raise BrokenUpload(str(error)) from error


def _portions(lines: Iterable[Line]) -> Iterator[Sequence[Line]]:
    """By what it takes to work on them; what nobody could read counts as long, for it was tried."""
    portion: list[Line] = []
    left = FEED_PORTION_BYTES
    for line in lines:
        portion.append(line)
        is_refused = isinstance(line.content, Reason)
        left -= FEED_LINE_BYTES + (FEED_RECORD_MAX_BYTES if is_refused else len(line.content))
        if left <= 0:
            yield portion
            portion, left = [], FEED_PORTION_BYTES
    yield portion
