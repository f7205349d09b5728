"""Workers that were stopped past their session and woken again: the fence is all that tells them, and it does.

The same story with the fence taken out of the zombie loses exactness: the check can fail.
"""

from __future__ import annotations

import os
import signal
from typing import Any

import pytest

from projections.orders import Orders, RebuildOptions
from tests.points.conftest import Workers
from tests.points.story import (
    IN_POSTGRES,
    IN_REDIS,
    Story,
    check_books,
    check_budgets,
    check_cache,
    check_catalogue,
    check_postgres,
    contents,
)
from tests.projections import audit
from tests.projections.conftest import ReadSide, eventually

ALL = (*IN_POSTGRES, *IN_REDIS)


async def woken_late(read_side: ReadSide, workers: Workers, *, is_fenced: bool) -> tuple[dict[str, Any], Story]:
    """What the tables and keys hold before a zombie wakes.

    It had the log so far ready, as one batch of every projection; others took its partitions over, went on, and have
    ended. It dies once it has tried to write each of its batches.
    """
    story = Story(read_side)
    await story.goes_on()
    zombie = await workers.frozen(read_side.addresses, ALL, is_zombie=True, is_fenced=is_fenced)
    await story.goes_on()
    await read_side.run_to_the_end(*ALL)
    before = await contents(read_side)
    os.kill(zombie, signal.SIGCONT)
    await workers.ended()
    return before, story


async def test_a_zombie_changes_nothing(read_side: ReadSide, workers: Workers) -> None:
    """Not a row, not a key and not an offset; and what comes afterwards is counted as if it had never been."""
    before, story = await woken_late(read_side, workers, is_fenced=True)
    assert await contents(read_side) == before
    await story.goes_on()
    await read_side.run_to_the_end(*ALL)
    await check_postgres(read_side)
    await check_cache(read_side)
    await check_budgets(read_side)


@pytest.mark.long
async def test_without_the_fence_it_does(read_side: ReadSide, workers: Workers) -> None:
    """Events count twice, an old version of an entity comes back, and offsets of every projection go back."""
    before, _ = await woken_late(read_side, workers, is_fenced=False)
    after = await contents(read_side)
    for name in ("offsets", "delivery.delivery", f"catalogue_cache.{read_side.names.catalogue_entities}"):
        assert after[name] != before[name], name
    went_back = {old[0] for old, new in zip(before["offsets"], after["offsets"], strict=True) if new[3] < old[3]}
    assert went_back == set(IN_POSTGRES)
    assert after[f"budgets.{read_side.names.budget_offsets}"] != before[f"budgets.{read_side.names.budget_offsets}"]
    with pytest.raises(AssertionError):
        await check_cache(read_side)
    await read_side.run_to_the_end(*ALL)
    logged = await audit.logged(read_side)
    assert await audit.delivery_in(read_side) != audit.delivery_of(logged)
    # Whose keys are the events' own, these come right by themselves.
    await audit.check_auction_log(read_side, logged)
    await check_books(read_side)
    await check_cache(read_side)
    await check_budgets(read_side)


@pytest.mark.long
async def test_a_zombie_stops_nothing(read_side: ReadSide, workers: Workers) -> None:
    """It was about to say that the rebuild has to stop; an operator has accepted the letters, and others have swapped.

    Awake it works on: what comes is applied.
    """
    story, orders = Story(read_side), Orders(read_side.addresses)
    await story.goes_on()
    await read_side.log.append_bytes(read_side.names.catalogue, "a key", b'{"type":"never_heard_of"}')
    await read_side.run_to_the_end("catalogue")
    await orders.rebuild("catalogue", RebuildOptions(), by="a test")
    zombie = await workers.frozen(read_side.addresses, ["catalogue"], freezes_at="about to say stop")
    built = (
        "SELECT status, stopped_reason FROM projection_generations WHERE projection = 'catalogue' AND generation = 2"
    )

    async def is_stopped() -> bool:
        return (await read_side.fetch(built))[0]["stopped_reason"] is not None

    async def is_active() -> bool:
        return bool((await read_side.fetch(built))[0]["status"] == "active")

    async with read_side.running("catalogue"):
        await eventually(is_stopped)
        accepted = RebuildOptions(accept_dead_letters=True, accept_differences=True)
        await orders.rebuild("catalogue", accepted, by="a test")
        await eventually(is_active)
    os.kill(zombie, signal.SIGCONT)
    await story.goes_on()
    await read_side.caught_up("catalogue")
    assert [tuple(row) for row in await read_side.fetch(built)] == [("active", None)]
    await check_catalogue(read_side)
    os.kill(zombie, signal.SIGKILL)
    await workers.ended()


async def test_frozen_inside_its_transaction(read_side: ReadSide, workers: Workers) -> None:
    """It has the row of its offset locked: the database ends its transaction, and awake it works on."""
    story = Story(read_side)
    await story.goes_on()
    zombie = await workers.frozen(read_side.addresses, ["delivery"], freezes_at="the rows are written, before COMMIT")
    await story.goes_on()
    await read_side.run_to_the_end("delivery")
    assert await audit.delivery_in(read_side) == audit.delivery_of(await audit.logged(read_side))
    os.kill(zombie, signal.SIGCONT)
    await story.goes_on()
    await read_side.caught_up("delivery")
    assert await audit.delivery_in(read_side) == audit.delivery_of(await audit.logged(read_side))
    os.kill(zombie, signal.SIGKILL)
    await workers.ended()
