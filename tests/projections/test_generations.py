"""Generations of a read model: built side by side, compared, swapped, swapped back, retired; paused and resumed."""

from __future__ import annotations

import asyncio

import asyncpg
import msgspec
import pytest

from domain.errors import Conflict, NotFound, Refusal
from projections import operations
from projections.batch import Move
from projections.queries.generations import is_of_this_version
from projections.queries.progress import projection_status
from projections.queries.versions import what_this_version_waits_for
from projections.rebuild import NotEqual, rebuild
from projections.registry import registered
from projections.servers import Servers
from projections.store import FenceLost
from projections.swap import NotReady
from tests.projections import audit
from tests.projections.conftest import ReadSide, eventually
from tests.projections.traffic import Traffic


async def statuses(read_side: ReadSide, projection: str = "delivery") -> dict[int, str]:
    """Of every generation, by its number."""
    rows = await read_side.fetch(
        "SELECT generation, status FROM projection_generations WHERE projection = $1", projection
    )
    return dict(sorted((row["generation"], row["status"]) for row in rows))


async def test_swapped_back_and_retired(read_side: ReadSide) -> None:
    """The generation of before is kept up to date, so that it can be swapped back, until it is retired."""
    async with read_side.running("delivery"):
        await read_side.log.append_traffic(Traffic(1), 60)
        await rebuild(read_side.addresses, "delivery")
        assert await statuses(read_side) == {1: "previous", 2: "active"}
        await read_side.log.append_traffic(Traffic(2), 60)
        await read_side.caught_up("delivery")
        assert (await operations.swap(read_side.addresses, "delivery")).number == 1
        assert await statuses(read_side) == {1: "active", 2: "previous"}
        assert await audit.delivery_in(read_side) == audit.delivery_of(await audit.logged(read_side))
        assert (await operations.retire(read_side.addresses, "delivery")).number == 2
        await read_side.log.append_traffic(Traffic(3), 20)
        await read_side.caught_up("delivery")
    assert await statuses(read_side) == {1: "active", 2: "retired"}
    assert await audit.delivery_in(read_side) == audit.delivery_of(await audit.logged(read_side))
    assert await read_side.fetch("SELECT FROM pg_namespace WHERE nspname = 'delivery_g2'") == []
    with pytest.raises(Conflict, match="active"):
        await operations.retire(read_side.addresses, "delivery", 1)
    with pytest.raises(Refusal, match="no such generation"):
        await operations.swap(read_side.addresses, "delivery")


async def test_nobody_who_reads_sees_a_gap_or_a_step_back(read_side: ReadSide) -> None:
    """A reader that polls all the time meets no error, and no sum that is less than the one before."""
    await read_side.log.append_traffic(Traffic(1), 150)
    seen: list[int] = []
    done = asyncio.Event()

    async def read() -> None:
        connection = await asyncpg.connect(read_side.addresses.postgres_url)
        try:
            while not done.is_set():
                seen.append(await connection.fetchval("SELECT coalesce(sum(bids), 0)::bigint FROM delivery"))
        finally:
            await connection.close()

    async with read_side.running("delivery"):
        await read_side.caught_up("delivery")
        reading = asyncio.create_task(read())
        for seed in (2, 3):
            await read_side.log.append_traffic(Traffic(seed), 40)
            await rebuild(read_side.addresses, "delivery")
        done.set()
        await reading
    assert seen == sorted(seen)
    assert seen[0] > 0
    assert await statuses(read_side) == {1: "previous", 2: "previous", 3: "active"}


async def test_a_row_that_differs_is_told_and_bars_the_swap(read_side: ReadSide) -> None:
    """The comparison names the table and both rows; the generation that was built waits for a decision."""
    await read_side.log.append([Traffic(1).bidder("b-1", "One")])
    await read_side.run_to_the_end("catalogue")
    await read_side.fetch("UPDATE entities SET status = 'spoilt'")
    with pytest.raises(NotEqual) as raised:
        await rebuild(read_side.addresses, "catalogue")
    [table] = raised.value.verification.tables
    assert (table.table, table.missing, table.surplus) == ("entities", 1, 1)
    assert "spoilt" in table.missing_rows[0]
    assert "active" in table.surplus_rows[0]
    assert await statuses(read_side, "catalogue") == {1: "active", 2: "ready"}
    assert [row["status"] for row in await read_side.fetch("SELECT status FROM entities")] == ["spoilt"]
    assert (await operations.cancel(read_side.addresses, "catalogue")).status == "cancelled"


async def test_a_rebuild_that_was_broken_off_goes_on(read_side: ReadSide) -> None:
    """Called again, it finishes the generation that it had begun, at the offsets where that stands."""
    await read_side.log.append_traffic(Traffic(1), 300)
    await read_side.run_to_the_end("auction_log")
    begun = asyncio.Event()
    broken = asyncio.create_task(
        rebuild(read_side.addresses, "auction_log", on_progress=lambda at: begun.set() if at.done else None)
    )
    await begun.wait()
    broken.cancel()
    with pytest.raises(asyncio.CancelledError):
        await broken
    await rebuild(read_side.addresses, "auction_log")
    assert await statuses(read_side, "auction_log") == {1: "previous", 2: "active"}
    await audit.check_auction_log(read_side, await audit.logged(read_side))


async def test_a_dead_letter_bars_the_swap_back(read_side: ReadSide) -> None:
    """What a generation could not take is missing in it, unless somebody accepts that."""
    await read_side.log.append_bytes(read_side.names.auctions, "key", b'{"type":"never_heard_of"}')
    await read_side.run_to_the_end("delivery")
    await rebuild(read_side.addresses, "delivery", accept_dead_letters=True)
    with pytest.raises(NotReady, match="1 dead letters"):
        await operations.swap(read_side.addresses, "delivery", 1)
    assert (await operations.swap(read_side.addresses, "delivery", 1, accept_dead_letters=True)).number == 1


async def test_paused_over_a_restart(read_side: ReadSide) -> None:
    """Nothing is applied while it is paused, whoever starts, and nothing is missing afterwards."""
    await read_side.log.append_traffic(Traffic(1), 20)
    await read_side.run_to_the_end("delivery", "catalogue")
    applied = await read_side.applied("delivery")
    await operations.pause(read_side.addresses, "delivery")
    await read_side.log.append_traffic(Traffic(2), 20)
    await read_side.log.append([Traffic(1).bidder("b-1", "One")])
    async with read_side.running("delivery", "catalogue"):
        await read_side.caught_up("catalogue")
        assert await read_side.applied("delivery") == applied
        await operations.resume(read_side.addresses, "delivery")
        await read_side.caught_up("delivery")
    assert await audit.delivery_in(read_side) == audit.delivery_of(await audit.logged(read_side))


async def test_paused_in_redis(read_side: ReadSide) -> None:
    """Nothing is applied behind the answer, also by whoever starts while Postgres, which knows of it, is away."""
    names = read_side.names
    await read_side.log.append([Traffic(1).bidder("b-1", "One")])
    async with read_side.running("catalogue_cache", "catalogue"):
        await read_side.caught_up("catalogue_cache")
        await operations.pause(read_side.addresses, "catalogue_cache")
        await read_side.log.append([Traffic(1).bidder("b-2", "Two")])
        await read_side.caught_up("catalogue")
    away = msgspec.structs.replace(read_side.addresses, postgres_url="postgresql://127.0.0.1:1/nothing")
    async with Servers(away, client_id="test") as servers:
        registration = registered("catalogue_cache")
        _, store = await registration.opened(servers, 1)
        tp, checkpoint = next(iter((await store.checkpoints()).items()))
        at = checkpoint.next_offset
        with pytest.raises(FenceLost):
            await store.apply(None, {tp: Move(at, at + 1)})
        assert (await store.state()).rests
    assert await read_side.redis.hkeys(names.catalogue_entities) == [b"bidder:b-1"]
    await operations.resume(read_side.addresses, "catalogue_cache")
    await read_side.run_to_the_end("catalogue_cache")
    assert set(await read_side.redis.hkeys(names.catalogue_entities)) == {b"bidder:b-1", b"bidder:b-2"}


async def test_another_layout_is_built_beside_the_one_that_stands(read_side: ReadSide) -> None:
    """Workers of a version with other tables build a generation of theirs, which becomes active by itself."""
    await read_side.log.append_traffic(Traffic(1), 60)
    await read_side.run_to_the_end("delivery")
    await read_side.fetch("UPDATE projection_generations SET layout = 'of before' WHERE projection = 'delivery'")

    async def is_swapped() -> bool:
        return await statuses(read_side) == {1: "previous", 2: "active"}

    async with read_side.running("delivery"):
        await eventually(is_swapped)
    assert await audit.delivery_in(read_side) == audit.delivery_of(await audit.logged(read_side))
    compared = await operations.verify(read_side.addresses, "delivery", 1)
    assert (compared.comparable, compared.is_equal) == (False, None)


async def test_swapped_back_to_what_was_read_before(read_side: ReadSide) -> None:
    """Of several generations that were active the last one comes back, and not the newest."""
    await read_side.log.append([Traffic(1).bidder("b-1", "One")])
    async with read_side.running("catalogue"):
        for _ in range(2):
            await rebuild(read_side.addresses, "catalogue")
        assert await statuses(read_side, "catalogue") == {1: "previous", 2: "previous", 3: "active"}
        assert (await operations.swap(read_side.addresses, "catalogue", 1)).number == 1
        swapped = [(await operations.swap(read_side.addresses, "catalogue")).number for _ in range(3)]
    assert swapped == [3, 1, 3]


async def test_what_is_not_there_is_no_decision(read_side: ReadSide) -> None:
    """An order that is refused is not kept as one that somebody has given."""
    await read_side.run_to_the_end("catalogue")
    for order in (operations.verify, operations.swap):
        with pytest.raises(NotFound, match="no generation 99"):
            await order(read_side.addresses, "catalogue", 99)
    with pytest.raises(Refusal, match="no such generation"):
        await operations.verify(read_side.addresses, "catalogue")
    assert await read_side.fetch("SELECT FROM projection_decisions") == []


async def of_another_version(read_side: ReadSide, number: int) -> None:
    await read_side.fetch("UPDATE projection_generations SET layout = 'another' WHERE generation = $1", number)


async def test_a_version_that_is_taken_back(read_side: ReadSide) -> None:
    """Its generation of before is kept up to date, and all who look are told how queries come to read it again."""
    await read_side.log.append([Traffic(1).bidder("b-1", "One")])
    async with read_side.running("catalogue"):
        await rebuild(read_side.addresses, "catalogue")
    await of_another_version(read_side, 2)
    async with read_side.running("catalogue"):
        await read_side.log.append([Traffic(1).bidder("b-2", "Two")])

        async def is_read() -> bool:
            query = "SELECT FROM catalogue_g1.entities WHERE id = 'b-2'"
            return bool(await read_side.fetch(query))

        await eventually(is_read)
        assert await statuses(read_side, "catalogue") == {1: "previous", 2: "active"}
        assert not await is_of_this_version(read_side.db, "catalogue")
        way_on = "`gavel projections swap catalogue 1`"
        assert way_on in await what_this_version_waits_for(read_side.db, "catalogue")
        known = await projection_status(
            read_side.db, read_side.watermarks, names=read_side.names, redis=read_side.redis
        )
        [previous, _] = next(each.generations for each in known if each.name == "catalogue")
        assert way_on in (previous.waits or "")
        # As other workers do, which this version has none of.
        await read_side.fetch("UPDATE projection_offsets SET next_offset = 0 WHERE generation = 2")
        await operations.swap(read_side.addresses, "catalogue", 1)
    assert await is_of_this_version(read_side.db, "catalogue")


async def test_what_people_have_ended_is_not_begun_again(read_side: ReadSide) -> None:
    """A worker of another version that was forgotten takes nothing over, and a cancelled build stays cancelled."""
    names = ("catalogue", "traffic", "bidder_health")
    await read_side.log.append([Traffic(1).bidder("b-1", "One")])
    await read_side.run_to_the_end(*names)
    await rebuild(read_side.addresses, "catalogue")
    await operations.retire(read_side.addresses, "catalogue", 1)
    await rebuild(read_side.addresses, "traffic", swaps=False)
    await operations.cancel(read_side.addresses, "traffic")
    await read_side.fetch("UPDATE projection_generations SET layout = 'another' WHERE status = 'active'")

    async def is_swapped() -> bool:
        return await statuses(read_side, "bidder_health") == {1: "previous", 2: "active"}

    async with read_side.running(*names):
        await eventually(is_swapped)
        assert await statuses(read_side, "catalogue") == {1: "retired", 2: "active"}
        assert await statuses(read_side, "traffic") == {1: "active", 2: "cancelled"}
        for name in ("catalogue", "traffic"):
            assert f"`gavel projections rebuild {name}`" in await what_this_version_waits_for(read_side.db, name)
        await rebuild(read_side.addresses, "traffic")
    assert await statuses(read_side, "traffic") == {1: "previous", 2: "cancelled", 3: "active"}
