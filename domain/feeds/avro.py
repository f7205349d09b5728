"""Records out of the chunks of an Avro object container file, each as the line of JSON that it would be.

The container is read here, because a library that is handed a file believes what it says of its own size: the lengths
of header and blocks are bounded, and so is what a block unpacks to. fastavro decodes the records. Memory holds one
block. A record that does not decode, or takes too long to be passed over, costs those that follow in its block, as
nobody knows where they begin.

Source: https://avro.apache.org/docs/1.12.0/specification/#object-container-files
"""

from __future__ import annotations

import io
import math
import zlib
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any, Final

import cramjam
import fastavro
import msgspec

from domain.feeds.avro_schema import RecordSchema, record_schema
from domain.feeds.inflation import CutOff, Growth, ZstdError, zstd_frame
from domain.feeds.ndjson import Line
from domain.feeds.records import Reason
from domain.limits import (
    FEED_AVRO_BLOCK_MAX_BYTES,
    FEED_AVRO_HEADER_MAX_BYTES,
    FEED_AVRO_METADATA_MAX,
    FEED_AVRO_READS_MAX,
    FEED_AVRO_RECORD_MAX_BYTES,
    FEED_INFLATION_MAX,
)

MAGIC: Final = b"Obj\x01"
_SYNC_BYTES: Final = 16
_CHECKSUM_BYTES: Final = 4
_VARINT_MAX_BYTES: Final = 10
_RAW_DEFLATE: Final = -zlib.MAX_WBITS
_ESCAPED: Final = "surrogateescape"
"""Text that is not UTF-8 decodes to what does not encode: it spoils its own record, not the block."""


class NotAvro(ValueError):
    """The stream is not, or no longer, an Avro container file."""


class _Damaged(Exception):
    """The block cannot be unpacked."""


class _TooMany(Exception):
    """A record has more items than anybody waits for."""


class _More(Exception):
    """What is being read has not come in full."""


class _Header(msgspec.Struct, frozen=True):
    schema: RecordSchema
    unpack: Callable[[bytes], bytes]
    sync: bytes


class AvroReader:
    """Give it chunks, cut anywhere."""

    def __init__(self, required: Collection[str]) -> None:
        """`required` fields have to be in the file's schema."""
        self._required = required
        self._came = bytearray()
        self._header: _Header | None = None
        self._growth = Growth()
        self._read = 0

    def __repr__(self) -> str:
        return f"AvroReader({self._read} records, {len(self._came)} bytes of the next block)"

    def split(self, chunk: bytes) -> Iterator[Line]:
        """The records of the blocks that end in this chunk; to be exhausted before the next.

        Raises NotAvro, OtherSchema, and TooDense of `domain/feeds/inflation.py`.
        """
        self._came += chunk
        if self._header is None:
            self._header = self._taken_header()
        while self._header is not None and (block := self._taken_block(self._header.sync)) is not None:
            yield from self._records(self._header, *block)

    def end(self) -> Iterator[Line]:
        """Nothing follows, and nothing is left to tell. Raises CutOff within a block, or the header."""
        if self._came or self._header is None:
            raise CutOff("the Avro file is cut off")
        return iter(())

    def _taken_header(self) -> _Header | None:
        if not MAGIC.startswith(self._came[: len(MAGIC)]):
            raise NotAvro("the file is not an Avro container")
        cursor = _Cursor(self._came, len(MAGIC))
        try:
            metadata = cursor.metadata()
            sync = cursor.take(_SYNC_BYTES)
        except _More:
            if len(self._came) > FEED_AVRO_HEADER_MAX_BYTES:
                raise NotAvro("the Avro file's header is too large") from None
            return None
        codec = metadata.get(b"avro.codec", b"null").decode("latin-1")
        if codec not in _CODECS:
            raise NotAvro(f"the Avro file's codec {codec[:64]!r} is none of {', '.join(_CODECS)}")
        schema = record_schema(metadata.get(b"avro.schema", b""), self._required)
        del self._came[: cursor.at]
        return _Header(schema, _CODECS[codec], sync)

    def _taken_block(self, sync: bytes) -> tuple[int, bytes] | None:
        """How many records there are, and their packed bytes; None until the next block is complete."""
        cursor = _Cursor(self._came, 0)
        try:
            count, size = cursor.number(), cursor.number()
            if not 0 <= size <= FEED_AVRO_BLOCK_MAX_BYTES:
                raise NotAvro(f"an Avro block of {size} bytes: the limit is {FEED_AVRO_BLOCK_MAX_BYTES}")
            packed = cursor.take(size)
            if cursor.take(_SYNC_BYTES) != sync:
                raise NotAvro("an Avro block does not end where it says")
        except _More:
            return None
        del self._came[: cursor.at]
        return count, packed

    def _records(self, header: _Header, count: int, packed: bytes) -> Iterator[Line]:
        self._growth.packed(len(packed))
        # Each record has a byte at least; a count that nothing stands behind is not worth a list of faults.
        try:
            unpacked = header.unpack(packed)
            count_max = len(unpacked)
        except _Damaged:
            unpacked = b""
            count_max = min(FEED_INFLATION_MAX * len(packed), FEED_AVRO_BLOCK_MAX_BYTES)
        self._growth.unpacked(len(unpacked))
        if not 0 <= count <= count_max:
            raise NotAvro(f"an Avro block claims {count} records, and can hold {count_max} at most")
        block = _Block(unpacked, header.schema)
        for _ in range(count):
            self._read += 1
            yield Line(self._read, block.next_line())


class _Cursor:
    """Reads on in bytes of which more may follow."""

    def __init__(self, came: bytearray, at: int) -> None:
        self._came = came
        self.at = at

    def take(self, size: int) -> bytes:
        if self.at + size > len(self._came):
            raise _More
        self.at += size
        return bytes(self._came[self.at - size : self.at])

    def number(self) -> int:
        """A zig-zag number of 64 bits."""
        encoded = 0
        for index in range(_VARINT_MAX_BYTES):
            if self.at >= len(self._came):
                raise _More
            byte = self._came[self.at]
            self.at += 1
            encoded |= (byte & 0x7F) << (7 * index)
            if byte < 0x80:  # noqa: PLR2004 -- the bit that says that more follows
                return (encoded >> 1) ^ -(encoded & 1)
        raise NotAvro("the Avro file holds a number of more than 64 bits")

    def metadata(self) -> Mapping[bytes, bytes]:
        """The header's map: blocks of pairs, until an empty one."""
        pairs: dict[bytes, bytes] = {}
        left = FEED_AVRO_METADATA_MAX
        while (count := self.number()) != 0:
            if count < 0:
                self.number()  # the block's size in bytes, for those who skip it
            left -= abs(count)
            if left < 0:
                raise NotAvro("the Avro file's header has too many entries")
            for _ in range(abs(count)):
                name = self._text()
                pairs[name] = self._text()
        return pairs

    def _text(self) -> bytes:
        size = self.number()
        if not 0 <= size <= FEED_AVRO_HEADER_MAX_BYTES:
            raise NotAvro("the Avro file's header is too large")
        return self.take(size)


class _Block:
    """Decodes the records of one block."""

    def __init__(self, unpacked: bytes, schema: RecordSchema) -> None:
        self._unpacked = unpacked
        self._schema = schema
        self._at = 0

    def next_line(self) -> bytes | Reason:
        """The next record as JSON, or what is wrong with it."""
        if self._at >= len(self._unpacked):
            return Reason.UNREADABLE
        # The decoder sees no more than a record may have: a list of a million empty objects would fill the memory.
        stream = io.BytesIO(self._unpacked[self._at : self._at + FEED_AVRO_RECORD_MAX_BYTES])
        try:
            datum = fastavro.schemaless_reader(stream, self._schema.parsed, None, handle_unicode_errors=_ESCAPED)
        except Exception:  # noqa: BLE001 -- the decoder has no errors of its own: EOFError, IndexError, ValueError, …
            return self._passed_over()
        self._at += stream.tell()
        if self._schema.has_floats and not _is_finite(datum):
            return Reason.NOT_FINITE
        try:
            return msgspec.json.encode(datum)
        except UnicodeEncodeError:
            return Reason.NOT_UTF_8

    def _passed_over(self) -> Reason:
        stream = _CountedReads(self._unpacked)
        stream.seek(self._at)
        try:
            fastavro.schemaless_reader(stream, self._schema.parsed, self._schema.none_of_it)
        except _TooMany:
            self._at = len(self._unpacked)
            return Reason.TOO_LONG
        except Exception:  # noqa: BLE001 -- as above
            self._at = len(self._unpacked)  # nobody knows where the next one begins
            return Reason.UNREADABLE
        length = stream.tell() - self._at
        self._at += length
        return Reason.TOO_LONG if length > FEED_AVRO_RECORD_MAX_BYTES else Reason.UNREADABLE


class _CountedReads(io.BytesIO):
    """Millions of items of a byte each would take seconds in which nobody else has a turn."""

    def __init__(self, content: bytes) -> None:
        super().__init__(content)
        self._left = FEED_AVRO_READS_MAX

    def read(self, size: int | None = -1) -> bytes:
        self._left -= 1
        if self._left < 0:
            raise _TooMany
        return super().read(size)


def _is_finite(datum: Any) -> bool:
    if isinstance(datum, float):
        return math.isfinite(datum)
    if isinstance(datum, dict):
        return all(map(_is_finite, datum.values()))
    return not isinstance(datum, list) or all(map(_is_finite, datum))


def _plain(packed: bytes) -> bytes:
    return packed


def _inflated(packed: bytes) -> bytes:
    try:
        return _bounded(zlib.decompressobj(_RAW_DEFLATE).decompress(packed, FEED_AVRO_BLOCK_MAX_BYTES + 1))
    except zlib.error as error:
        raise _Damaged from error


def _from_zstd(packed: bytes) -> bytes:
    try:
        return _bounded(zstd_frame().decompress(packed, FEED_AVRO_BLOCK_MAX_BYTES + 1))
    except ZstdError as error:
        raise _Damaged from error


def _from_snappy(packed: bytes) -> bytes:
    """A raw block of snappy, and the checksum of what is in it."""
    body, checksum = packed[:-_CHECKSUM_BYTES], packed[-_CHECKSUM_BYTES:]
    try:
        size = cramjam.snappy.decompress_raw_len(body)
        if size > FEED_AVRO_BLOCK_MAX_BYTES:
            raise NotAvro("an Avro block is too large, unpacked")
        unpacked = bytes(cramjam.snappy.decompress_raw(body))
    except cramjam.DecompressionError as error:
        raise _Damaged from error
    if zlib.crc32(unpacked).to_bytes(_CHECKSUM_BYTES, "big") != checksum:
        raise _Damaged
    return unpacked


def _bounded(unpacked: bytes) -> bytes:
    if len(unpacked) > FEED_AVRO_BLOCK_MAX_BYTES:
        raise NotAvro("an Avro block is too large, unpacked")
    return unpacked


_CODECS: Final[Mapping[str, Callable[[bytes], bytes]]] = {
    "null": _plain,
    "deflate": _inflated,
    "snappy": _from_snappy,
    "zstandard": _from_zstd,
}
