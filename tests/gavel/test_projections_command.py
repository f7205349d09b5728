"""`gavel projections` on a real log: what an operator sees, and the exit code."""

from __future__ import annotations

import signal
from pathlib import Path

import asyncpg

from tests.gavel.shell import shell_beside
from tests.projections import audit
from tests.projections.conftest import ReadSide, eventually, read_side
from tests.projections.traffic import Traffic

__all__ = ["read_side"]


async def test_from_a_rebuild_to_the_end_of_the_old_generation(read_side: ReadSide, tmp_path: Path) -> None:
    """Rebuilt by two processes, compared, swapped, swapped back and retired, with words for each step."""
    shell = shell_beside(read_side, tmp_path, "projections")
    await read_side.log.append_traffic(Traffic(1), 80)
    await read_side.run_to_the_end("delivery")
    rebuilt = await shell("rebuild", "delivery", "--processes", "2", "--no-swap")
    assert rebuilt.code == 0, rebuilt.err
    assert "of disk once more" in rebuilt.err
    assert "Generation 2 of delivery is built from " in rebuilt.err
    assert "and waits: `gavel projections verify delivery`, `gavel projections swap delivery`.\n" in rebuilt.err
    verified = await shell("verify", "delivery")
    assert (verified.code, "equals generation 1, row for row" in verified.out) == (0, True)
    code, found = await shell.json("verify", "delivery")
    assert (code, found["generation"], found["comparable"]) == (0, 2, True)
    assert {each["rows"] - each["rows_built"] for each in found["tables"]} == {0}
    swapped = await shell("swap", "delivery")
    assert (swapped.code, swapped.out) == (0, "Queries read generation 2 of delivery now.\n")
    listed = await shell("list")
    assert "delivery: generation 1 is previous" in listed.out
    assert max(len(line) for line in listed.out.splitlines()) <= 80
    code, statuses = await shell.json("list")
    delivery = next(each for each in statuses if each["name"] == "delivery")
    assert (code, delivery["generation"], delivery["lag"], delivery["lag_seconds"]) == (0, 2, 0, 0)
    assert [each["command"] for each in delivery["decisions"]] == ["swap", "verify", "verify", "rebuild"]
    assert all("@" in each["by"] for each in delivery["decisions"])
    stated = {"swap": False, "accept_differences": False, "accept_dead_letters": False}
    assert delivery["decisions"][-1]["options"] == stated
    # Nobody has run it since the log was written.
    behind = next(each for each in statuses if each["name"] == "ledger")
    assert behind["lag_seconds"] > 0
    assert behind["lag_seconds"] == max(each["lag_seconds"] for each in behind["partitions"])
    assert behind["lag"] == sum(each["lag"] for each in behind["partitions"]) > 0
    by_partition = await shell("list", "--partitions")
    assert "nobody" in by_partition.out
    retired = await shell("retire", "delivery")
    assert (retired.code, retired.out) == (0, "Generation 1 of delivery is retired.\n")
    again = await shell("retire", "delivery")
    assert again.code != 0
    assert await audit.delivery_in(read_side) == audit.delivery_of(await audit.logged(read_side))


async def test_a_difference_ends_with_the_rows_and_an_exit_code(read_side: ReadSide, tmp_path: Path) -> None:
    """Nothing is swapped, both sides of a row are shown, and the way on is named."""
    shell = shell_beside(read_side, tmp_path, "projections")
    await read_side.log.append([Traffic(1).bidder("b-1", "One")])
    await read_side.run_to_the_end("catalogue")
    await read_side.fetch("UPDATE entities SET status = 'spoilt'")
    told = await shell("rebuild", "catalogue")
    assert told.code == 1
    assert "- entities (b-1,bidder,1,spoilt" in told.out
    assert "+ entities (b-1,bidder,1,active" in told.out
    assert "\ngavel: generation 2 of catalogue differs from generation 1: entities lacks 1 rows and has 1 " in told.err
    assert "--accept-differences" in told.err.splitlines()[-1]
    again = await shell("rebuild", "catalogue", "--accept-differences")
    assert again.code == 0
    assert "Generation 2 of catalogue was built before, at " in again.err
    assert "queries read generation 2 now" in again.err
    assert (await shell("rebuild", "catalogue", "--no-swap")).code == 0
    assert (await shell("cancel", "catalogue")).out == "Generation 3 of catalogue is cancelled.\n"


async def test_a_generation_of_another_version_cannot_be_compared(read_side: ReadSide, tmp_path: Path) -> None:
    """That is neither equal nor different, and an exit code of its own; nobody can mean a number that is none."""
    shell = shell_beside(read_side, tmp_path, "projections")
    await read_side.log.append([Traffic(1).bidder("b-1", "One")])
    await read_side.run_to_the_end("catalogue")
    assert (await shell("rebuild", "catalogue")).code == 0
    await read_side.fetch("UPDATE projection_generations SET layout = 'of before' WHERE generation = 1")
    told = await shell("verify", "catalogue")
    assert (told.code, "their rows cannot be compared" in told.out) == (2, True)
    for command in ("verify", "swap"):
        told = await shell(command, "catalogue", "99999999999")
        assert (told.code, "is not in the range" in told.err) == (2, True)
        told = await shell(command, "catalogue", "99")
        assert (told.code, told.err) == (1, "gavel: catalogue has no generation 99\n")


async def test_a_rebuild_that_is_interrupted_says_what_becomes_of_it(read_side: ReadSide, tmp_path: Path) -> None:
    """Workers go on; how it is taken up again and how it is given up is told, and the exit code is Ctrl-C's."""
    shell = shell_beside(read_side, tmp_path, "projections")
    await read_side.log.append_traffic(Traffic(1), 100)
    await read_side.run_to_the_end("delivery")
    holder = await asyncpg.connect(read_side.addresses.postgres_url)
    try:
        process = await shell.started("rebuild", "delivery")
        async with holder.transaction():

            async def is_held_up() -> bool:
                query = "SELECT FROM projection_offsets WHERE generation = 2 FOR UPDATE"
                return bool(await holder.fetch(query))

            await eventually(is_held_up)

            async def is_waiting() -> bool:
                return bool(await read_side.fetch("SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock'"))

            await eventually(is_waiting)
            process.send_signal(signal.SIGINT)
        told = await shell.ended(process)
    finally:
        await holder.close()
    assert told.code == 130
    assert "Workers go on building generation 2 of delivery, and do not swap: `gavel projections rebuild" in told.err
    assert "`gavel projections cancel delivery` gives it up.\n" in told.err
