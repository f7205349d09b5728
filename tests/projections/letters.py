"""Dead letters as tests look at them, and who decides about them."""

from __future__ import annotations

import asyncpg
import pytest

from projections.dead_letters import DeadLetters
from tests.projections.conftest import ReadSide

GARBAGE = b'{"type":"bid_placed","id":"half an eve'
UNKNOWN = b'{"type":"never_heard_of"}'
WAITS = "waits behind an earlier dead letter of its key"
OPERATOR = "an operator"


@pytest.fixture
def desk(read_side: ReadSide) -> DeadLetters:
    return DeadLetters(read_side.addresses)


async def letters(read_side: ReadSide, projection: str) -> list[asyncpg.Record]:
    """All of them, ended ones too, in the order of the log."""
    query = 'SELECT * FROM dead_letters WHERE projection = $1 ORDER BY topic, partition, "offset"'
    return await read_side.fetch(query, projection)


async def is_settled(read_side: ReadSide) -> bool:
    return await read_side.fetch("SELECT FROM dead_letters WHERE outcome IS NULL") == []
