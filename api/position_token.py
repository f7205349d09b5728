"""`Gavel-Token`: where in the log a command's events stand, for queries that want to see their effect.

`topic/partition/offset`, and where there are several, `topic/partition/offset,partition/offset…`: what names no topic
is of the one before.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from commands.ports import Position
from domain.errors import Fault, InvalidInput

HEADER = "Gavel-Token"
POSITIONS_MAX = 10_000
# Kafka's own rules for a topic's name; offsets are 64 bits.
_PART = re.compile(r"(?:([A-Za-z0-9._-]{1,249})/)?(\d{1,9})/(\d{1,18})")


def token_of(*positions: Position) -> str:
    """The header's value: of each partition the last position.

    Empty where the log has not said where it put an event: it waits on the disk for the log, or its acknowledgement
    was lost.
    """
    last: dict[tuple[str, int], int] = {}
    for topic, partition, offset in positions:
        if offset < 0:
            return ""
        last[topic, partition] = max(offset, last.get((topic, partition), 0))
    parts: list[str] = []
    before = None
    for (topic, partition), offset in last.items():
        parts.append(f"{partition}/{offset}" if topic == before else f"{topic}/{partition}/{offset}")
        before = topic
    return ",".join(parts)


def token_header(token: str) -> dict[str, str]:
    """The header, where there is a token."""
    return {HEADER: token} if token else {}


def raw_token_header(*positions: Position) -> tuple[tuple[bytes, bytes], ...]:
    """The same for routes below the framework."""
    token = token_of(*positions)
    return ((b"gavel-token", token.encode()),) if token else ()


def positions_of(tokens: Iterable[str]) -> list[Position]:
    """The positions that tokens name, each of which may name several; raises InvalidInput."""
    positions: list[Position] = []
    for token in tokens:
        topic = None
        for part in token.split(","):
            match = _PART.fullmatch(part.strip())
            topic = (match[1] or topic) if match is not None else None
            if match is None or topic is None or len(positions) == POSITIONS_MAX:
                raise InvalidInput([Fault(HEADER, "is not one that a command answered with")])
            positions.append(Position(topic, int(match[2]), int(match[3])))
    return positions
