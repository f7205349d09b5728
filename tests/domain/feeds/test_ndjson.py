"""Lines are the same however the stream was cut, and a line without an end costs no memory."""

from __future__ import annotations

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.feeds.ndjson import Line, LineSplitter
from domain.feeds.records import Reason

MAX = 8


def lines_of(chunks: list[bytes], line_max_bytes: int = MAX) -> list[Line]:
    splitter = LineSplitter(line_max_bytes)
    return [line for chunk in chunks for line in splitter.split(chunk)] + splitter.end()


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        (b"", []),
        (b"a\nb", [(1, b"a"), (2, b"b")]),
        (b"a\r\nb\r\n", [(1, b"a"), (2, b"b")]),
        (b"\n \t\n\r\nd\n\n", [(4, b"d")]),
        (b"\xef\xbb\xbfa\n\xef\xbb\xbfb", [(1, b"a"), (2, b"\xef\xbb\xbfb")]),
        (b"12345678\n123456789\nx", [(1, b"12345678"), (2, Reason.TOO_LONG), (3, b"x")]),
        (b"12345678\r\n12345678\r\r\n", [(1, b"12345678"), (2, Reason.TOO_LONG)]),
        (b"a\n12345678901", [(1, b"a"), (2, Reason.TOO_LONG)]),
    ],
)
def test_lines(text: bytes, lines: list[tuple[int, bytes | Reason]]) -> None:
    """LF and CRLF end a line, blank ones only count, a long one is told by its number, a mark of byte order is none."""
    assert [tuple(line) for line in lines_of([text])] == lines
    assert [tuple(line) for line in lines_of([text[at : at + 1] for at in range(len(text))])] == lines


@given(
    st.lists(st.text(alphabet="ab{\r é", max_size=12), max_size=12),
    st.lists(st.integers(min_value=1, max_value=9), min_size=1, max_size=40),
)
def test_cuts_do_not_matter(texts: list[str], cuts: list[int]) -> None:
    """Cut into chunks of any size, the stream has the lines that `splitlines` would find."""
    text = "\n".join(texts).encode()
    chunks, at = [], 0
    while at < len(text):
        size = cuts[len(chunks) % len(cuts)]
        chunks.append(text[at : at + size])
        at += size
    expected = []
    for number, line in enumerate(text.split(b"\n"), 1):
        content = line[:-1] if line.endswith(b"\r") else line
        if len(content) > MAX:
            expected.append((number, Reason.TOO_LONG))
        elif content.strip():
            expected.append((number, content))
    assert [tuple(line) for line in lines_of(chunks)] == expected


def test_a_line_of_100_mb_without_an_end() -> None:
    """It is one bad line, and memory holds no more of it than a line may have."""
    splitter = LineSplitter(10_240)
    chunk = b"x" * 65_536
    tracemalloc.start()
    for _ in range(100 * 1024 * 1024 // len(chunk)):
        assert splitter.split(chunk) == []
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 512 * 1024
    assert splitter.split(b"\nnext") == [Line(1, Reason.TOO_LONG)]
    assert splitter.end() == [Line(2, b"next")]
