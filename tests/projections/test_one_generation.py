"""An answer of several statements reads one generation, whatever is swapped between two of them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import asyncpg
import pytest
from sqlalchemy.ext.asyncio import AsyncConnection

from domain.errors import Unavailable
from projections import operations
from projections.queries.auction_story import auction_story
from projections.queries.delivery import delivery_report
from projections.queries.delivery_groups import Question
from projections.queries.freshness import Whereabouts, wait_for
from projections.rebuild import rebuild
from tests.projections.conftest import ReadSide
from tests.projections.traffic import BIDDERS, START, Traffic

PREAMBLE = 3
"""Statements by which a connection is tied to generations."""
QUESTION = Question(start=START - timedelta(hours=1), end=datetime(2026, 11, 23, tzinfo=UTC), by=("bidder",))
Act = Callable[[], Awaitable[object]]


@asynccontextmanager
async def between(monkeypatch: pytest.MonkeyPatch, after: int, act: Act) -> AsyncIterator[None]:
    """Does something after so many statements of an answer, before the next one is sent."""
    execute = AsyncConnection.execute
    seen = 0

    async def counted(connection: AsyncConnection, *arguments: Any, **options: Any) -> Any:
        nonlocal seen
        result = await execute(connection, *arguments, **options)
        seen += 1
        if seen == after:
            await act()
        return result

    with monkeypatch.context() as patched:
        patched.setattr(AsyncConnection, "execute", counted)
        yield
    assert seen > after, "nothing came after it"


async def two_generations(read_side: ReadSide) -> None:
    """Of `delivery`, the second one ready, and its figures so wrong that nobody takes them for those of the first."""
    await read_side.log.append_traffic(Traffic(1), 60)
    await read_side.run_to_the_end("delivery")
    await rebuild(read_side.addresses, "delivery", swaps=False)
    await read_side.fetch("UPDATE delivery_g2.delivery SET bids = bids + 1000000")
    await read_side.fetch("DELETE FROM delivery_g2.delivery_reach")


async def test_a_swap_in_the_middle_of_a_report(read_side: ReadSide, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows, totals and reach are all of the generation before; the next report is all of the one after."""
    await two_generations(read_side)
    before = await delivery_report(read_side.db, QUESTION)
    assert before.totals.reach > 0
    async with between(monkeypatch, PREAMBLE + 1, lambda: operations.swap(read_side.addresses, "delivery")):
        meanwhile = await delivery_report(read_side.db, QUESTION)
    assert meanwhile == before
    after = await delivery_report(read_side.db, QUESTION)
    assert after.totals.reach == 0
    assert after.totals.bids == sum(row.bids for row in after.rows) > 1_000_000


async def test_a_generation_is_not_retired_while_it_is_read(
    read_side: ReadSide, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tables that a report has not come to yet stay as long as the report takes."""
    await two_generations(read_side)
    before = await delivery_report(read_side.db, QUESTION)

    async def swapped_and_dropped() -> None:
        await operations.swap(read_side.addresses, "delivery")
        connection = await asyncpg.connect(read_side.addresses.postgres_url)
        try:
            await connection.execute("SET lock_timeout = 200")
            with pytest.raises(asyncpg.LockNotAvailableError):
                await connection.execute("DROP TABLE delivery_g1.delivery_reach")
        finally:
            await connection.close()

    async with between(monkeypatch, PREAMBLE + 1, swapped_and_dropped):
        assert await delivery_report(read_side.db, QUESTION) == before


async def test_a_story_whose_second_read_model_is_swapped(read_side: ReadSide, monkeypatch: pytest.MonkeyPatch) -> None:
    """A generation that was built after the story was begun is empty to it: the names are those of the one before."""
    traffic = Traffic(1)
    story = traffic.auction()
    auction_id = story[0].correlation_id
    await read_side.log.append([traffic.bidder(bidder_id, f"The bidder {bidder_id}") for bidder_id in BIDDERS])
    await read_side.log.append(story)
    await read_side.run_to_the_end("auction_log", "catalogue")
    before = await auction_story(read_side.db, auction_id)
    assert before is not None
    named = {each.bidder for imp in before.imps for each in imp.outcomes}
    assert any(name.startswith("The bidder ") for name in named), named

    async with between(monkeypatch, PREAMBLE + 1, lambda: rebuild(read_side.addresses, "catalogue")):
        assert await auction_story(read_side.db, auction_id) == before
    assert await auction_story(read_side.db, auction_id) == before


async def test_tables_of_another_version(read_side: ReadSide) -> None:
    """What this version of the code cannot read is not read."""
    await read_side.fetch("UPDATE projection_generations SET layout = 'of before' WHERE projection = 'delivery'")
    with pytest.raises(Unavailable, match="delivery is being built"):
        await delivery_report(read_side.db, QUESTION)


class At(NamedTuple):
    topic: str
    partition: int
    offset: int


async def test_a_position_is_waited_for_over_a_swap(read_side: ReadSide) -> None:
    """What was written before the swap is seen after it, and after the swap back, as soon as the wait is over."""
    whereabouts = Whereabouts(read_side.db, read_side.redis, read_side.names)
    traffic = Traffic(1)
    await read_side.log.append([traffic.bidder("b-1", "One")])
    await read_side.run_to_the_end("catalogue")
    await rebuild(read_side.addresses, "catalogue", swaps=False)
    for number in (2, 3):
        # Nobody runs: neither generation has it.
        await read_side.log.append([traffic.bidder(f"b-{number}", "Another")])
        positions = await last_positions(read_side, read_side.names.catalogue)
        assert not await wait_for(whereabouts, "catalogue", positions, 0)
        await operations.swap(read_side.addresses, "catalogue")
        async with read_side.running("catalogue"):
            assert await wait_for(whereabouts, "catalogue", positions, 60)
            seen = await read_side.fetch("SELECT id FROM entities ORDER BY id")
        assert [row["id"] for row in seen] == [f"b-{each}" for each in range(1, number + 1)]
        assert await active(read_side) == (2 if number == 2 else 1)


async def test_a_budget_is_waited_for_where_it_stands(read_side: ReadSide) -> None:
    """A projection in Redis keeps its offsets there."""
    whereabouts = Whereabouts(read_side.db, read_side.redis, read_side.names)
    await read_side.log.append(Traffic(1).auction())
    positions = await last_positions(read_side, read_side.names.auctions)
    assert not await wait_for(whereabouts, "budgets", positions, 0)
    async with read_side.running("budgets"):
        assert await wait_for(whereabouts, "budgets", positions, 60)


async def last_positions(read_side: ReadSide, topic: str) -> list[At]:
    """Where the log ends now."""
    high = await read_side.watermarks.high([topic])
    return [At(tp.topic, tp.partition, end - 1) for tp, end in high.items() if end]


async def active(read_side: ReadSide) -> int:
    [row] = await read_side.fetch("SELECT active_generation FROM projections WHERE projection = 'catalogue'")
    return int(row["active_generation"])
