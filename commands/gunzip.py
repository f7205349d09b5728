"""gzip bodies of strangers, unpacked up to a bound."""

from __future__ import annotations

import zlib

GZIP_WINDOW = 16 + zlib.MAX_WBITS


class NotGzip(ValueError):
    """The bytes are not one whole gzip stream."""


class TooLarge(ValueError):
    """Unpacked, it is larger than the bound."""


def gunzip(packed: bytes, max_bytes: int) -> bytes:
    """Unpacks a gzip stream of one member, as HTTP servers write it; never holds more than about `max_bytes`.

    Raises NotGzip or TooLarge.
    """
    stream = zlib.decompressobj(GZIP_WINDOW)
    try:
        unpacked = stream.decompress(packed, max_bytes + 1)
    except zlib.error as error:
        raise NotGzip(str(error)) from None
    if len(unpacked) > max_bytes:
        raise TooLarge(f"more than {max_bytes} bytes when unpacked")
    if not stream.eof:
        raise NotGzip("the stream is cut off")
    if stream.unused_data:
        raise NotGzip("something follows the stream")
    return unpacked
