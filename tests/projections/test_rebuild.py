"""A rebuild gives the same read model again, while others run and traffic flows."""

from __future__ import annotations

import asyncio

import pytest

from domain.errors import NotFound, NotPossible
from projections import operations
from projections.orders import Orders
from projections.queries.progress import projection_status
from projections.rebuild import BeingBuilt, NotEqual, RebuildOptions, RebuildProgress, RebuildStopped, rebuild
from projections.registry import registered
from tests.projections import audit
from tests.projections.conftest import ReadSide, eventually
from tests.projections.traffic import Traffic

TABLES = {
    "delivery": ("delivery", "delivery_engagements"),
    "auction_log": ("auctions", "auction_outcomes", "auction_awards", "auction_engagements"),
    "catalogue": ("entities",),
    "bidder_health": ("bidder_health",),
    "traffic": ("traffic", "traffic_engagements"),
}


async def contents(read_side: ReadSide, projection: str) -> dict[str, list[str]]:
    """Every row of the projection as the text that Postgres makes of it."""
    return {
        table: sorted(row[0] for row in await read_side.fetch(f"SELECT each::text FROM {table} AS each"))
        for table in TABLES[projection]
    }


@pytest.mark.parametrize("projection", TABLES)
async def test_the_same_rows_again(read_side: ReadSide, projection: str) -> None:
    """With nobody else running, a rebuild replays by itself and ends with the very same rows."""
    traffic = Traffic(1)
    await read_side.log.append([traffic.bidder("b-1", "One")])
    await read_side.log.append_traffic(traffic, 150)
    await read_side.run_to_the_end(projection)
    before = await contents(read_side, projection)
    seen: list[RebuildProgress] = []
    last = await rebuild(read_side.addresses, projection, on_progress=seen.append)
    assert await contents(read_side, projection) == before
    assert all(before.values())
    assert last.done == last.total == seen[-1].done == await read_side.applied(projection)
    assert [each.done for each in seen] == sorted(each.done for each in seen)
    (status,) = [
        each
        for each in await projection_status(
            read_side.db, read_side.watermarks, names=read_side.names, redis=read_side.redis
        )
        if each.name == projection
    ]
    assert (status.generation, status.status, status.lag) == (2, "running", 0)


@pytest.mark.long
async def test_rebuilding_while_traffic_flows(read_side: ReadSide) -> None:
    """With live workers and new traffic all the time, the counts are exact in the end."""
    await read_side.log.append_traffic(Traffic(2), 200)
    done = asyncio.Event()

    async def traffic() -> None:
        seed = 100
        while not done.is_set():
            seed += 1
            await read_side.log.append_traffic(Traffic(seed), 10)

    async with read_side.running("delivery", "auction_log"):
        flowing = asyncio.create_task(traffic())
        for projection in ("delivery", "auction_log", "delivery"):
            await rebuild(read_side.addresses, projection)
        done.set()
        await flowing
        await read_side.caught_up("delivery", "auction_log")
    await audit.check(read_side)


async def test_what_was_wrong_is_gone(read_side: ReadSide) -> None:
    """Rows that do not follow from the log do not survive a rebuild."""
    await read_side.log.append_traffic(Traffic(3), 50)
    await read_side.run_to_the_end("delivery", "auction_log")
    await read_side.fetch("UPDATE delivery SET bids = bids + 1")
    await read_side.fetch("UPDATE delivery_lines SET site = site || '.invalid'")
    await read_side.fetch("DELETE FROM auction_outcomes")
    for projection in ("delivery", "auction_log"):
        with pytest.raises(NotEqual, match="differs from generation 1"):
            await rebuild(read_side.addresses, projection)
        await rebuild(read_side.addresses, projection, accept_differences=True)
    await audit.check(read_side)


async def test_an_event_that_cannot_be_applied_stops_a_rebuild(read_side: ReadSide) -> None:
    """The new generation stands still and says why; called again, the rebuild goes on, and parks it if told so."""
    topic = read_side.names.auctions
    await read_side.log.append_bytes(topic, "key", b'{"type":"never_heard_of"}')
    await read_side.run_to_the_end("delivery")
    assert len(await read_side.fetch("SELECT FROM dead_letters")) == 1
    with pytest.raises(RebuildStopped, match="never_heard_of"):
        await rebuild(read_side.addresses, "delivery")
    [(status, reason)] = await read_side.fetch(
        "SELECT status, stopped_reason FROM projection_generations WHERE projection = 'delivery' AND generation = 2"
    )
    assert status == "building"
    assert "never_heard_of" in reason
    assert [row["generation"] for row in await read_side.fetch("SELECT generation FROM dead_letters")] == [1]
    await rebuild(read_side.addresses, "delivery", accept_dead_letters=True)
    letters = await read_side.fetch("SELECT generation FROM dead_letters ORDER BY generation")
    assert [row["generation"] for row in letters] == [1, 2]


async def test_an_event_that_cannot_be_applied_stops_a_rebuild_in_place(read_side: ReadSide) -> None:
    """As long as it is not told to park it: then the rebuild ends, and the event is a dead letter again."""
    await read_side.log.append_bytes(read_side.names.catalogue, "key", b'{"type":"never_heard_of"}')
    await read_side.log.append([Traffic(1).bidder("b-1", "One")])
    for _ in range(2):
        with pytest.raises(RebuildStopped, match="never_heard_of"):
            await rebuild(read_side.addresses, "catalogue_cache")
    await rebuild(read_side.addresses, "catalogue_cache", accept_dead_letters=True)
    assert await read_side.redis.hkeys(read_side.names.catalogue_entities) == [b"bidder:b-1"]
    [(key,)] = await read_side.fetch("SELECT key FROM dead_letters WHERE outcome IS NULL")
    assert key == b"key"


async def test_what_would_stop_is_not_emptied(read_side: ReadSide) -> None:
    """A projection in Redis with an open dead letter stays as it is, unless somebody accepts the letter."""
    await read_side.log.append_bytes(read_side.names.catalogue, "key", b'{"type":"never_heard_of"}')
    await read_side.log.append([Traffic(1).bidder("b-1", "One")])
    await read_side.run_to_the_end("catalogue_cache")
    with pytest.raises(NotPossible, match="catalogue_cache has 1 open dead letters"):
        await rebuild(read_side.addresses, "catalogue_cache")
    with pytest.raises(NotPossible, match="retry or skip them first, or accept them"):
        await Orders(read_side.addresses).rebuild("catalogue_cache", RebuildOptions(), by="a test")
    assert await read_side.redis.hkeys(read_side.names.catalogue_entities) == [b"bidder:b-1"]
    assert len(await read_side.fetch("SELECT FROM dead_letters WHERE outcome IS NULL")) == 1
    assert await read_side.fetch("SELECT FROM projection_decisions") == []


@pytest.mark.parametrize("projection", ["catalogue", "catalogue_cache"])
async def test_what_is_paused_is_not_rebuilt(read_side: ReadSide, projection: str) -> None:
    """It is refused at once, with what to do first, and nothing is emptied or begun."""
    await read_side.log.append([Traffic(1).bidder("b-1", "One")])
    await read_side.run_to_the_end("catalogue", "catalogue_cache")
    await operations.pause(read_side.addresses, projection)
    with pytest.raises(NotPossible, match=f"{projection} is paused: resume it first"):
        await rebuild(read_side.addresses, projection)
    with pytest.raises(NotPossible, match=f"{projection} is paused: resume it first"):
        await Orders(read_side.addresses).rebuild(projection, RebuildOptions(), by="a test")
    assert await read_side.redis.hkeys(read_side.names.catalogue_entities) == [b"bidder:b-1"]
    assert await read_side.fetch("SELECT FROM projection_generations WHERE status = 'building'") == []


async def test_one_build_in_place_at_a_time(read_side: ReadSide) -> None:
    """Of four who ask at once one begins it; a command that is called then follows it, and every decision is kept."""
    await read_side.log.append([Traffic(1).bidder("b-1", "One")])
    await read_side.run_to_the_end("catalogue_cache")
    orders = Orders(read_side.addresses)
    asked = (orders.rebuild("catalogue_cache", RebuildOptions(), by="a test") for _ in range(4))
    answers = await asyncio.gather(*asked, return_exceptions=True)
    assert sum(isinstance(each, BeingBuilt) for each in answers) == 3
    followed = await rebuild(read_side.addresses, "catalogue_cache")
    assert (followed.generation, followed.done, followed.total) == (2, 1, 1)
    assert (await rebuild(read_side.addresses, "catalogue_cache", by="another")).generation == 3
    kept = await read_side.fetch("SELECT generation, decided_by, options FROM projection_decisions ORDER BY id")
    assert [(row["generation"], row["decided_by"]) for row in kept] == [(2, "a test"), (3, "another")]
    assert all('"accept_dead_letters": false' in row["options"] for row in kept)


async def test_a_loss_of_memory_takes_no_number_back(read_side: ReadSide) -> None:
    """What Redis has forgotten is filled again under the number of its build, and the next build has the next one."""
    await read_side.log.append([Traffic(1).bidder("b-1", "One")])
    await read_side.run_to_the_end("catalogue_cache")
    assert [(await rebuild(read_side.addresses, "catalogue_cache")).generation for _ in range(2)] == [2, 3]
    await read_side.redis.flushall()
    assert (await rebuild(read_side.addresses, "catalogue_cache")).generation == 4

    async def is_filled_again() -> bool:
        statuses = await projection_status(
            read_side.db, read_side.watermarks, names=read_side.names, redis=read_side.redis
        )
        return any((each.name, each.generation, each.lag) == ("catalogue_cache", 4, 0) for each in statuses)

    async with read_side.running("catalogue_cache"):
        await eventually(is_filled_again)
        await read_side.redis.flushall()
        await eventually(is_filled_again)
    assert await read_side.redis.hkeys(read_side.names.catalogue_entities) == [b"bidder:b-1"]


async def test_an_unknown_projection(read_side: ReadSide) -> None:
    """The refusal names those there are."""
    with pytest.raises(NotFound, match="auction_log"):
        await rebuild(read_side.addresses, "nonsense")
    assert registered("delivery").name == "delivery"
