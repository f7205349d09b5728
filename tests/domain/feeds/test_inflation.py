"""gzip and zstd come out as they went in, whatever the cuts; what is cut off, false or a bomb is refused."""

from __future__ import annotations

import bz2
import gzip
import tracemalloc

import pytest
from backports import zstd
from hypothesis import given
from hypothesis import strategies as st

from domain.feeds.inflation import CutOff, Encoding, NotPacked, TooDense, inflation
from domain.limits import FEED_INFLATION_FREE_BYTES, FEED_PIECE_MAX_BYTES

PACK = {"identity": bytes, "gzip": gzip.compress, "zstd": zstd.compress}
EVERY = pytest.mark.parametrize("encoding", ["identity", "gzip", "zstd"])
PACKED = pytest.mark.parametrize("encoding", ["gzip", "zstd"])


def cut(packed: bytes, size: int) -> list[bytes]:
    return [packed[at : at + size] for at in range(0, len(packed), size)]


def unpacked(encoding: Encoding, chunks: list[bytes]) -> bytes:
    stream = inflation(encoding)
    pieces = [piece for chunk in chunks for piece in stream.pieces(chunk)]
    stream.end()
    assert all(len(piece) <= FEED_PIECE_MAX_BYTES for piece in pieces)
    return b"".join(pieces)


@EVERY
@given(
    parts=st.lists(st.binary(max_size=3_000), min_size=1, max_size=5),
    times=st.integers(1, 400),
    size=st.integers(1, 70_000),
)
def test_round_trip(encoding: Encoding, parts: list[bytes], times: int, size: int) -> None:
    """Frames in a row, cut anywhere, are one stream."""
    packed = b"".join(PACK[encoding](part * times) for part in parts)
    assert unpacked(encoding, cut(packed, max(size, len(packed) // 500))) == b"".join(part * times for part in parts)


@PACKED
def test_cut_off(encoding: Encoding) -> None:
    """Without its last byte a stream is cut off, and what it has until there came out; so is an empty one."""
    packed = PACK[encoding](b"0123456789" * 1_000)
    stream = inflation(encoding)
    assert b"".join(stream.pieces(packed[:-1])) in (b"0123456789" * 1_000, b"")
    with pytest.raises(CutOff):
        stream.end()
    with pytest.raises(CutOff):
        unpacked(encoding, [])


@PACKED
@pytest.mark.parametrize("text", [b'{"key": "plain"}\n' * 9, bz2.compress(b"other"), b"\x1f\x8b\x08garbage" * 4])
def test_not_packed(encoding: Encoding, text: bytes) -> None:
    """What is not of the announced encoding is refused, at the beginning and behind a good frame."""
    with pytest.raises(NotPacked):
        unpacked(encoding, [text])
    with pytest.raises(NotPacked):
        unpacked(encoding, [PACK[encoding](b"good"), text])


def test_a_damaged_gzip() -> None:
    """A byte that changed on the way is noticed by the checksum."""
    packed = bytearray(gzip.compress(b"0123456789" * 100))
    packed[-6] ^= 1
    with pytest.raises(NotPacked):
        unpacked("gzip", [bytes(packed)])


def test_a_zstd_of_an_immense_window() -> None:
    """A frame that asks its reader for 128 MiB of window does not get them."""
    packer = zstd.ZstdCompressor(options={zstd.CompressionParameter.window_log: 27})
    packed = packer.compress(b"abc" * 1_000_000) + packer.flush()
    with pytest.raises(NotPacked, match="a window of more than 8 MiB"):
        unpacked("zstd", [packed])


@PACKED
def test_a_bomb(encoding: Encoding) -> None:
    """Zeros without end are refused near the bound, from a single chunk, within a few megabytes of memory."""
    mebibyte = bytes(1024 * 1024)
    pieces = inflation(encoding).pieces(PACK[encoding](mebibyte * 32) * 8)
    came: list[int] = []
    tracemalloc.start()
    with pytest.raises(TooDense):
        came.extend(map(len, pieces))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert sum(came) <= FEED_INFLATION_FREE_BYTES + 2 * len(mebibyte)
    assert peak < 4 * len(mebibyte)


@PACKED
def test_records_that_hardly_differ_are_no_bomb(encoding: Encoding) -> None:
    """A hundred thousand records of one segment are dense, and welcome."""
    text = b"".join(b'{"key": "user-%d", "value": {"segments": ["sport"]}}\n' % number for number in range(320_000))
    assert len(text) > FEED_INFLATION_FREE_BYTES
    assert unpacked(encoding, cut(PACK[encoding](text), 65_536)) == text
