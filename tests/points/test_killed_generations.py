"""SIGKILL at each point of a generation's life: it goes on from there, and nobody who reads sees anything of it."""

from __future__ import annotations

from projections import operations
from tests.points.conftest import Workers
from tests.projections import audit
from tests.projections.conftest import ReadSide, eventually
from tests.projections.test_generations import statuses
from tests.projections.traffic import Traffic

FIRST = {1: "active"}
BUILDING = {1: "active", 2: "building"}
READY = {1: "active", 2: "ready"}
SWAPPED = {1: "previous", 2: "active"}
WAY_OF_A_REBUILD = (
    ("tables are made, before COMMIT", FIRST),
    ("a generation is begun", BUILDING),
    ("the rows are written, before COMMIT", BUILDING),
    ("held to be compared", READY),
    ("held to be swapped", READY),
    ("views are replaced, before COMMIT", READY),
    ("swapped, the hold stands", SWAPPED),
)


async def check(read_side: ReadSide) -> None:
    """Whichever generation is read, it says what the log says."""
    assert await audit.delivery_in(read_side) == audit.delivery_of(await audit.logged(read_side))


async def test_a_rebuild(read_side: ReadSide, workers: Workers) -> None:
    """Called again after each death it goes on; a hold that the dead have left ends by itself."""
    await read_side.log.append_traffic(Traffic(1), 60)
    await read_side.run_to_the_end("delivery")
    for point, expected in WAY_OF_A_REBUILD:
        await workers.killed(read_side.addresses, "rebuild", ["delivery"], at=point)
        assert await statuses(read_side) == expected, point
        await check(read_side)
    await read_side.log.append_traffic(Traffic(2), 20)
    await read_side.run_to_the_end("delivery")
    await check(read_side)

    async def nothing_is_held() -> bool:
        return not await read_side.fetch("SELECT FROM projection_offsets WHERE hold_expires_at > now()")

    await eventually(nothing_is_held)
    assert (await operations.verify(read_side.addresses, "delivery", 1)).is_equal


async def test_a_swap_back_and_the_end_of_the_other(read_side: ReadSide, workers: Workers) -> None:
    """A view leads to one generation or the other; a generation that is ended is ended whole, by whoever asks again."""
    await read_side.log.append_traffic(Traffic(1), 30)
    await read_side.run_to_the_end("auction_log")
    await workers.killed(read_side.addresses, "rebuild", ["auction_log"], at="swapped, the hold stands")
    await read_side.log.append_traffic(Traffic(2), 30)
    for point, active in (("views are replaced, before COMMIT", 2), ("swapped, the hold stands", 1)):
        await workers.killed(read_side.addresses, "swap", ["auction_log"], at=point)
        found = await statuses(read_side, "auction_log")
        assert [number for number, status in found.items() if status == "active"] == [active]
        await read_side.run_to_the_end("auction_log")
        await audit.check_auction_log(read_side, await audit.logged(read_side))

    await workers.killed(read_side.addresses, "retire", ["auction_log"], at="some of its tables are dropped")
    assert await statuses(read_side, "auction_log") == {1: "active", 2: "retired"}
    assert (await operations.retire(read_side.addresses, "auction_log", 2)).status == "retired"
    assert await leftovers(read_side, "auction_log_g2") == 0

    await workers.killed(read_side.addresses, "build", ["auction_log"], at="after COMMIT")
    async with read_side.running("auction_log"):
        await workers.killed(read_side.addresses, "cancel", ["auction_log"], at="ended, before its tables are dropped")
        await read_side.log.append_traffic(Traffic(3), 30)
        await read_side.caught_up("auction_log")
    assert await statuses(read_side, "auction_log") == {1: "active", 2: "retired", 3: "cancelled"}
    assert (await operations.cancel(read_side.addresses, "auction_log", 3)).status == "cancelled"
    assert await leftovers(read_side, "auction_log_g3") == 0
    await audit.check_auction_log(read_side, await audit.logged(read_side))


async def leftovers(read_side: ReadSide, schema: str) -> int:
    """Tables and offsets that are left of a generation."""
    tables = "SELECT count(*) FROM pg_tables WHERE schemaname = $1"
    offsets = "SELECT count(*) FROM projection_offsets WHERE projection || '_g' || generation = $1"
    return sum([(await read_side.fetch(query, schema))[0][0] for query in (tables, offsets)])
