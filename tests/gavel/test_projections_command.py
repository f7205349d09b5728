"""`gavel projections` on a real log: what an operator sees, and the exit code."""

from __future__ import annotations

from pathlib import Path

from tests.gavel.shell import shell_beside
from tests.projections import audit
from tests.projections.conftest import ReadSide, read_side
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
    verified = await shell("verify", "delivery")
    assert (verified.code, "equals generation 1, row for row" in verified.out) == (0, True)
    swapped = await shell("swap", "delivery")
    assert (swapped.code, swapped.out) == (0, "Queries read generation 2 of delivery now.\n")
    listed = await shell("list")
    assert "delivery: generation 1 is previous, " in listed.out
    assert max(len(line) for line in listed.out.splitlines()) <= 80
    code, statuses = await shell.json("list")
    delivery = next(each for each in statuses if each["name"] == "delivery")
    assert (code, delivery["generation"], delivery["lag"], delivery["lag_seconds"]) == (0, 2, 0, 0)
    assert [each["command"] for each in delivery["decisions"]] == ["swap", "verify", "rebuild"]
    assert all("@" in each["by"] for each in delivery["decisions"])
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
    assert "--accept-differences" in told.err
    assert (await shell("cancel", "catalogue")).out == "Generation 2 of catalogue is cancelled.\n"
