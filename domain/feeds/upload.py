"""An upload's chunks as numbered lines, whatever it is packed and written in."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Literal

import msgspec

from domain.feeds.avro import AvroReader, NotAvro
from domain.feeds.avro_schema import OtherSchema
from domain.feeds.inflation import CannotUnpack, CutOff, Encoding, inflation
from domain.feeds.ndjson import Line, LineSplitter


class Form(msgspec.Struct, frozen=True):
    """What the upload's headers say of it."""

    encoding: Encoding = "identity"
    written_in: Literal["ndjson", "avro"] = "ndjson"


class BrokenUpload(ValueError):
    """From here on nothing of the upload can be read; what it had before counts."""


class UploadReader:
    """Give it chunks, cut anywhere; memory holds a piece, and a line or a block."""

    def __init__(self, form: Form, *, required: Collection[str], line_max_bytes: int) -> None:
        """`required` fields have to be in an Avro file's schema; longer lines are refused unread."""
        self._inflation = inflation(form.encoding)
        self._reader = AvroReader(required) if form.written_in == "avro" else LineSplitter(line_max_bytes)

    def __repr__(self) -> str:
        return f"UploadReader({self._inflation!r}, {self._reader!r})"

    def lines(self, chunk: bytes) -> Iterator[Line]:
        """The lines that end in this chunk; to be exhausted before the next. Raises BrokenUpload."""
        try:
            for piece in self._inflation.pieces(chunk):
                yield from self._reader.split(piece)
        except (CannotUnpack, NotAvro, OtherSchema) as error:
            raise BrokenUpload(str(error)) from error

    def end(self) -> Iterator[Line]:
        """What is left when nothing follows. Raises BrokenUpload."""
        try:
            self._inflation.end()
            yield from self._reader.end()
        except CutOff as error:
            raise BrokenUpload(str(error)) from error
