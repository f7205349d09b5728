"""Whoever watches readers notices what a rebuild must never do to them: a check that cannot fail is worth nothing."""

from __future__ import annotations

import asyncio

import asyncpg
import pytest

from bench.polled_readers import BIDDERS, Figures, NotAnswered, Watched, polling, sql
from projections.rebuild import rebuild
from tests.projections.conftest import ReadSide, eventually, read_side
from tests.projections.traffic import Traffic

__all__ = ["read_side"]


@pytest.mark.parametrize(
    ("answers", "fault"),
    [
        ([{("a",): [1, 2]}, {("a",): [1, 1]}], "a step back: ('a',) fell from (1, 2) to (1, 1)"),
        ([{("a",): [1], ("b",): [1]}, {("b",): [2]}], "a gap: ('a',) is gone"),
        ([{("a",): [1]}, {}], "a gap: ('a',) is gone"),
    ],
)
def test_a_step_back_and_a_gap_are_faults(answers: list[Figures], fault: str) -> None:
    """The key and the figures are told."""
    reader = Watched("reader")
    for each in answers:
        reader.answered(each, 0.01)
    assert (reader.faults, reader.told_faults) == (1, [f"reader: {fault}"])


def test_what_grows_is_news_and_no_fault() -> None:
    """Figures that grow, and keys that are new, are what a reader wants to see."""
    reader = Watched("reader")
    for each in ({}, {("a",): [1]}, {("a",): [1]}, {("a",): [2], ("b",): [0]}):
        reader.answered(each, 0.01)
    assert (reader.answers, reader.news, reader.faults) == (4, 2, 0)


async def test_an_error_is_a_fault() -> None:
    """A reader that is refused goes on asking."""
    asked = asyncio.Event()

    async def ask() -> Figures:
        if asked.is_set():
            return {("a",): [1]}
        asked.set()
        raise NotAnswered("503 being built")

    async def has_answered() -> bool:
        return reader.answers > 0

    async with polling({"report": ask}) as [reader]:
        await eventually(has_answered)
    assert reader.told_faults == ["report: an error: NotAnswered('503 being built')"]


async def test_who_polls_over_a_rebuild_notices_nothing_but_what_is_new(read_side: ReadSide) -> None:
    """SQL on the views before, during and after a swap; rows that somebody takes away are noticed at once."""
    await read_side.log.append_traffic(Traffic(1), 60)
    await read_side.run_to_the_end("bidder_health")

    async def has_seen_news() -> bool:
        return reader.news > before

    async def has_noticed() -> bool:
        return reader.faults > 0

    async with (
        asyncpg.create_pool(read_side.addresses.postgres_url, min_size=0, max_size=1) as pool,
        polling({"bidders": sql(pool, BIDDERS, key_columns=2)}) as [reader],
    ):
        before = 0
        await eventually(has_seen_news)
        before = reader.news
        await read_side.log.append_traffic(Traffic(2), 20)
        await rebuild(read_side.addresses, "bidder_health")
        await eventually(has_seen_news)
        assert reader.told_faults == []
        await read_side.fetch("DELETE FROM bidder_health_g2.bidder_health")
        await eventually(has_noticed)
    assert "a gap" in reader.told_faults[0]
