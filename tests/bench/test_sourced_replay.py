"""The peer that rebuilds are held against counts right: it would be no peer otherwise."""

from __future__ import annotations

import asyncio
from collections import Counter
from itertools import chain, islice

import asyncpg
import msgspec
import pytest

from bench.cost import Cost
from bench.generated_events import histories
from bench.peers.sourced_delivery import SUMS, additions, fill
from bench.process import python, running
from bench.sourced_replay import SourcedPlan
from domain.codec import encode
from domain.events import BidRefused
from tests.projections import audit

AUCTIONS_OF_A_DAY = 86_400
ACROSS_A_QUARTER = slice(880, 920)
"""One a second, so that rows are met again, and some are seen in the quarter of an hour after their own."""
LIMIT_SECONDS = 60.0


async def test_the_peer_ends_with_the_rows_that_follow_from_the_events(database: str) -> None:
    """Row for row what an auditor counts from the same events; and no more when it begins anew."""
    logged = list(islice(histories(AUCTIONS_OF_A_DAY), ACROSS_A_QUARTER.start, ACROSS_A_QUARTER.stop))
    saved, last = await asyncio.to_thread(fill, database, logged)
    plan = SourcedPlan(postgres_url=database, events=saved, last=last)
    events = [encode(event) for event in chain.from_iterable((*each.auction, *each.engagements) for each in logged)]
    expected = audit.delivery_of([msgspec.json.decode(event) for event in events])
    assert saved == len(events)

    for _ in range(2):
        command = python("-m", "bench.sourced_replay", msgspec.json.encode(plan).decode())
        async with running("sourced_replay", command) as process:
            cost = msgspec.json.decode(await process.result(LIMIT_SECONDS), type=Cost)
        assert cost.operations == saved
        assert 0 < cost.cpu_seconds <= cost.wall_seconds * 2
        assert await _rows(database) == expected


async def _rows(database: str) -> dict[tuple[object, ...], Counter[str]]:
    connection = await asyncpg.connect(database)
    try:
        rows = await connection.fetch("SELECT * FROM sourced_delivery")
    finally:
        await connection.close()
    return {
        (
            *(row[name].strftime("%Y-%m-%dT%H:%M") for name in ("quarter", "auction_quarter")),
            *(row[name] for name in audit.DIMENSIONS),
        ): Counter({name: int(row[name]) for name in SUMS if row[name]})
        for row in rows
    }


def test_a_type_that_nobody_counts_is_refused() -> None:
    """It would be left out by the database before; to count it as nothing would hide that it was not."""
    refused = next(
        event for history in histories(AUCTIONS_OF_A_DAY) for event in history.auction if isinstance(event, BidRefused)
    )
    with pytest.raises(TypeError, match="BidRefused"):
        additions(refused)
