"""Unpacking what strangers send."""

from __future__ import annotations

import gzip
import tracemalloc

import pytest

from commands.gunzip import NotGzip, TooLarge, gunzip


def test_a_bomb_never_unfolds() -> None:
    """Refusing 200 MB packed into 200 kB takes little more memory than the bound."""
    bomb = gzip.compress(b"\0" * 200_000_000)
    tracemalloc.start()
    try:
        with pytest.raises(TooLarge):
            gunzip(bomb, 100_000)
        assert tracemalloc.get_traced_memory()[1] < 2_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("length", [0, 1, 100_000])
def test_up_to_the_bound_all_is_well(length: int) -> None:
    """The bound itself is allowed."""
    assert gunzip(gzip.compress(b"x" * length), 100_000) == b"x" * length


def test_one_byte_more_is_too_large() -> None:
    """The bound is exact."""
    with pytest.raises(TooLarge):
        gunzip(gzip.compress(b"x" * 100_001), 100_000)


@pytest.mark.parametrize(
    "packed", [b"", b"plain", gzip.compress(b"abc", mtime=0)[:-1], gzip.compress(b"abc", mtime=0) + b"\0"]
)
def test_what_is_not_one_whole_stream(packed: bytes) -> None:
    """Nothing, plain text, a cut stream and a stream with a tail are refused."""
    with pytest.raises(NotGzip):
        gunzip(packed, 100_000)
