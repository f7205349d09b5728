"""`Gavel-Token`: where in the log a command's events stand, for queries that want to see their effect."""

from __future__ import annotations

import re

from commands.ports import Position
from domain.errors import Fault, InvalidInput

HEADER = "Gavel-Token"
# Kafka's own rules for a topic's name; offsets are 64 bits.
_TOKEN = re.compile(r"([A-Za-z0-9._-]{1,249})/(\d{1,9})/(\d{1,18})")


def token_of(position: Position) -> str:
    """The header's value: `topic/partition/offset`."""
    return f"{position.topic}/{position.partition}/{position.offset}"


def position_of(token: str) -> Position:
    """The position that a token names; raises InvalidInput."""
    match = _TOKEN.fullmatch(token.strip())
    if match is None:
        raise InvalidInput([Fault(HEADER, "is not one that a command answered with")])
    return Position(match[1], int(match[2]), int(match[3]))
