"""Lines out of the chunks of a stream: numbered, and never more of one in memory than it may be long."""

from __future__ import annotations

from typing import NamedTuple

from domain.feeds.records import Reason

BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class Line(NamedTuple):
    """A line that is not blank; of a file that has no lines, one of its records."""

    number: int
    """From 1; blank ones are counted too."""
    content: bytes | Reason
    """JSON, as far as anybody knows, without the line's end; or why there is nothing to be read."""


class LineSplitter:
    """Give it chunks, cut anywhere; it holds nothing but the beginning of the line that has not ended yet."""

    def __init__(self, line_max_bytes: int, too_long: Reason = Reason.TOO_LONG) -> None:
        """What is said of a longer line is `too_long`."""
        self._line_max_bytes = line_max_bytes
        self._too_long = too_long
        self._begun = bytearray()
        self._ended = 0

    def __repr__(self) -> str:
        return f"LineSplitter({self._ended} lines, {len(self._begun)} bytes of the next)"

    def split(self, chunk: bytes) -> list[Line]:
        """The lines that end in this chunk."""
        first, *others = chunk.split(b"\n")
        self._hold(first)
        if not others:
            return []
        *whole, rest = others
        lines = [self._line(self._taken()), *map(self._line, whole)]
        self._hold(rest)
        return [line for line in lines if line is not None]

    def end(self) -> list[Line]:
        """The last line, if nothing ended it."""
        line = self._line(self._taken())
        return [] if line is None else [line]

    def _hold(self, part: bytes) -> None:
        # Two bytes more than a line may have: enough to tell that it has too many, be one of them a CR.
        self._begun += part[: max(0, self._line_max_bytes + 2 - len(self._begun))]

    def _taken(self) -> bytes:
        content = bytes(self._begun)
        self._begun.clear()
        return content

    def _line(self, content: bytes) -> Line | None:
        self._ended += 1
        if self._ended == 1:
            content = content.removeprefix(BYTE_ORDER_MARK)
        content = content.removesuffix(b"\r")
        if len(content) > self._line_max_bytes:
            return Line(self._ended, self._too_long)
        if not content or content.isspace():
            return None
        return Line(self._ended, content)
