"""gzip and zstd out of the chunks of a stream, in pieces of bounded size; a bomb is refused on its way.

CannotUnpack
├── NotPacked   the bytes are not of the encoding that was announced
├── CutOff      the stream ends within a frame
└── TooDense    it grows by more than anybody's records do
"""

from __future__ import annotations

import sys
import zlib
from collections.abc import Callable, Iterator, Mapping
from typing import Final, Literal, Protocol

from domain.limits import (
    FEED_INFLATION_FREE_BYTES,
    FEED_INFLATION_MAX,
    FEED_PACKED_STEP_BYTES,
    FEED_PIECE_MAX_BYTES,
    FEED_ZSTD_WINDOW_LOG_MAX,
)

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

ZstdError = zstd.ZstdError
Encoding = Literal["identity", "gzip", "zstd"]

WINDOW_TOO_LARGE: Final = "too much memory"
"""So zstd says it, which has no other name for it that its reader is told."""
_GZIP_WINDOW: Final = 16 + zlib.MAX_WBITS
_ZSTD_OPTIONS: Final[Mapping[int, int]] = {zstd.DecompressionParameter.window_log_max: FEED_ZSTD_WINDOW_LOG_MAX}
"""A frame's window is memory that its writer asks of its reader."""


class CannotUnpack(ValueError):
    """The upload cannot be unpacked any further."""


class NotPacked(CannotUnpack):
    """The bytes are not of the encoding that was announced."""


class CutOff(CannotUnpack):
    """The stream ends within a frame."""


class TooDense(CannotUnpack):
    """It grows by more than anybody's records do."""


class Inflation(Protocol):
    """Unpacks one stream."""

    def pieces(self, chunk: bytes) -> Iterator[bytes]:
        """What the chunk adds, in pieces of at most FEED_PIECE_MAX_BYTES. Raises NotPacked, TooDense.

        A piece may be empty: frames that have nothing in them take their time, too.
        """
        ...

    def end(self) -> None:
        """Nothing follows. Raises CutOff."""
        ...


class _Frame(Protocol):
    """One member of a gzip stream, or one frame of a zstd one."""

    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    @property
    def needs_input(self) -> bool: ...
    def decompress(self, data: bytes, max_length: int) -> bytes: ...


class Growth:
    """How much larger a stream has become by unpacking."""

    def __init__(self) -> None:
        self._packed_bytes = 0
        self._unpacked_bytes = 0

    def __repr__(self) -> str:
        return f"Growth({self._packed_bytes} bytes to {self._unpacked_bytes})"

    def packed(self, count: int) -> None:
        """So many bytes more are to be unpacked."""
        self._packed_bytes += count

    def unpacked(self, count: int) -> None:
        """So many bytes more came out. Raises TooDense."""
        self._unpacked_bytes += count
        if self._unpacked_bytes > max(FEED_INFLATION_FREE_BYTES, FEED_INFLATION_MAX * self._packed_bytes):
            raise TooDense(f"unpacked, the stream is more than {FEED_INFLATION_MAX} times as large")


class Plain:
    """What was not packed at all."""

    def pieces(self, chunk: bytes) -> Iterator[bytes]:
        """The chunk, cut where it is large."""
        for start in range(0, len(chunk), FEED_PIECE_MAX_BYTES):
            yield chunk[start : start + FEED_PIECE_MAX_BYTES]

    def end(self) -> None:
        """It may end anywhere."""


class Packed:
    """Frames in a row, as `cat` and parallel packers make them."""

    def __init__(self, encoding: str, new_frame: Callable[[], _Frame]) -> None:
        self._encoding = encoding
        self._new_frame = new_frame
        self._frame: _Frame | None = None
        self._frames = 0
        self._growth = Growth()

    def __repr__(self) -> str:
        return f"Packed({self._encoding!r}, {self._growth!r})"

    def pieces(self, chunk: bytes) -> Iterator[bytes]:
        """As Inflation says."""
        for start in range(0, len(chunk), FEED_PACKED_STEP_BYTES):
            step = chunk[start : start + FEED_PACKED_STEP_BYTES]
            self._growth.packed(len(step))
            yield from self._unpacked(step)

    def end(self) -> None:
        """As Inflation says; a stream without any frame is cut off too."""
        if self._frame is not None or not self._frames:
            raise CutOff(f"the {self._encoding} stream is cut off")

    def _unpacked(self, packed: bytes) -> Iterator[bytes]:
        while packed or self._frame is not None:
            frame = self._frame
            if frame is None:
                frame = self._frame = self._new_frame()
                self._frames += 1
            try:
                piece = frame.decompress(packed, FEED_PIECE_MAX_BYTES)
            except (zlib.error, ZstdError) as error:
                raise NotPacked(self._what_is_wrong(error)) from error
            self._growth.unpacked(len(piece))
            yield piece
            packed = b""
            if frame.eof:
                packed = frame.unused_data
                self._frame = None
            elif frame.needs_input:
                return

    def _what_is_wrong(self, error: Exception) -> str:
        if WINDOW_TOO_LARGE in str(error):
            return f"the zstd stream asks for a window of more than {1 << (FEED_ZSTD_WINDOW_LOG_MAX - 20)} MiB"
        return f"the stream is not {self._encoding}: {error}"


class _GzipMember:
    """zlib's object with the manners of the other ones."""

    def __init__(self) -> None:
        self._member = zlib.decompressobj(_GZIP_WINDOW)
        self._has_more = False

    @property
    def eof(self) -> bool:
        return self._member.eof

    @property
    def unused_data(self) -> bytes:
        return self._member.unused_data

    @property
    def needs_input(self) -> bool:
        return not self._has_more

    def decompress(self, data: bytes, max_length: int) -> bytes:
        piece = self._member.decompress(self._member.unconsumed_tail + data, max_length)
        # A full piece: zlib may hold more of what it has read already.
        self._has_more = len(piece) == max_length
        return piece


def zstd_frame() -> _Frame:
    """Unpacks one frame of zstd; raises ZstdError."""
    return zstd.ZstdDecompressor(options=_ZSTD_OPTIONS)


_FRAMES: Mapping[Encoding, Callable[[], _Frame]] = {"gzip": _GzipMember, "zstd": zstd_frame}


def inflation(encoding: Encoding) -> Inflation:
    """What unpacks one stream of the encoding."""
    return Plain() if encoding == "identity" else Packed(encoding, _FRAMES[encoding])
