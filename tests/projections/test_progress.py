"""Where projections stand, and waiting until one has seen what one has written."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import NamedTuple

from domain.names import Names
from projections.queries.freshness import Whereabouts, lag, wait_for
from projections.queries.progress import REDIS_ANSWERS_S, projection_status
from projections.redis_client import redis_client
from projections.registry import REGISTRY, RUNNABLE, topology
from projections.watermarks import Watermarks
from tests.projections.conftest import ReadSide
from tests.projections.traffic import Traffic


class At(NamedTuple):
    topic: str
    partition: int
    offset: int


def where(read_side: ReadSide) -> Whereabouts:
    return Whereabouts(read_side.db, read_side.redis, read_side.names)


async def test_lag_is_what_is_logged_and_not_applied(read_side: ReadSide) -> None:
    """It counts before a projection ever ran, goes to nothing, and names each partition's position."""
    await read_side.log.append_traffic(Traffic(1), 30)
    logged = len(await read_side.log.payloads(read_side.names.auctions))
    logged += len(await read_side.log.payloads(read_side.names.engagements))
    assert await lag(where(read_side), read_side.watermarks, "delivery") == logged
    await read_side.run_to_the_end("delivery")
    assert await lag(where(read_side), read_side.watermarks, "delivery") == 0

    statuses = await projection_status(read_side.db, read_side.watermarks, names=read_side.names, redis=read_side.redis)
    assert [each.name for each in statuses] == [each.name for each in REGISTRY]
    by_name = {each.name: each for each in statuses}
    assert (by_name["delivery"].status, by_name["delivery"].lag) == ("running", 0)
    assert by_name["auction_log"].lag == logged
    assert sum(each.next_offset or 0 for each in by_name["delivery"].partitions) == logged
    assert all(each.next_offset == each.high_watermark for each in by_name["delivery"].partitions)


async def test_kafka_away(read_side: ReadSide) -> None:
    """Nobody knows the lag then, and the positions are still told."""
    await read_side.log.append_traffic(Traffic(1), 5)
    await read_side.run_to_the_end("delivery")
    async with Watermarks("127.0.0.1:1", client_id="test") as nowhere:
        assert await lag(where(read_side), nowhere, "delivery") is None
        statuses = await projection_status(read_side.db, nowhere, names=read_side.names, redis=read_side.redis)
    delivery = next(each for each in statuses if each.name == "delivery")
    assert delivery.lag is None
    assert {each.high_watermark for each in delivery.partitions} == {None}
    assert sum(each.next_offset or 0 for each in delivery.partitions) > 0


async def test_kafka_silent(read_side: ReadSide) -> None:
    """Nobody waits for it longer than he has said he would, and all but the lag is told."""
    await read_side.log.append_traffic(Traffic(1), 5)
    await read_side.run_to_the_end("delivery", "budgets")
    async with saying_nothing() as port, Watermarks(f"127.0.0.1:{port}", client_id="test") as silent:
        async with asyncio.timeout(3.0):
            statuses = await projection_status(
                read_side.db, silent, names=read_side.names, redis=read_side.redis, kafka_answers_s=0.5
            )
    by_name = {each.name: each for each in statuses}
    for each in (by_name["delivery"], by_name["budgets"]):
        assert (each.status, each.generation, each.lag) == ("running", 1, None)
        assert sum(at.next_offset or 0 for at in each.partitions) > 0


async def test_last_words(read_side: ReadSide) -> None:
    """Of a worker that is gone it is told how often its consumers failed; it is not counted among those that work."""
    async with read_side.running("delivery"):
        await read_side.caught_up("delivery")
    await read_side.fetch(
        "INSERT INTO projection_workers (worker, projection, generation, partitions, events_per_second, restarts, "
        "reported_at) VALUES ('gone:1', 'delivery', 1, '{}', 9, 3, now() - interval '20 minutes')"
    )
    statuses = await projection_status(read_side.db, read_side.watermarks, names=read_side.names, redis=read_side.redis)
    delivery = next(each for each in statuses if each.name == "delivery")
    assert [(each.worker, each.restarts) for each in delivery.silent if each.restarts] == [("gone:1", 3)]
    assert "gone:1" not in {each.worker for each in delivery.workers}
    assert (delivery.restarts, delivery.events_per_second) == (
        0,
        sum(each.events_per_second for each in delivery.workers),
    )


@asynccontextmanager
async def saying_nothing() -> AsyncIterator[int]:
    """The port of a server that takes connections and keeps them."""
    gone = asyncio.Event()

    async def says_nothing(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await gone.wait()
        writer.close()

    async with await asyncio.start_server(says_nothing, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1]
        gone.set()


async def test_redis_silent(read_side: ReadSide) -> None:
    """What it alone knows is not known then, nobody makes it up, and all else is told as soon as ever."""
    await read_side.log.append_traffic(Traffic(1), 5)
    await read_side.run_to_the_end("delivery", "budgets")
    async with saying_nothing() as port, aclosing(redis_client(f"redis://127.0.0.1:{port}/0")) as silent:
        async with asyncio.timeout(3 * REDIS_ANSWERS_S):
            statuses = await projection_status(read_side.db, read_side.watermarks, names=read_side.names, redis=silent)
    by_name = {each.name: each for each in statuses}
    assert (by_name["delivery"].status, by_name["delivery"].lag) == ("running", 0)
    for budgets in (by_name["budgets"], by_name["catalogue_cache"]):
        assert (budgets.status, budgets.generation, budgets.lag, budgets.lag_seconds) == ("stopped", None, None, None)
        assert "Redis" in (budgets.reason or "")
        assert {(each.next_offset, each.lag) for each in budgets.partitions} == {(None, None)}


async def test_waiting_for_ones_own_write(read_side: ReadSide) -> None:
    """The wait ends when the event is applied, and not before; without a projector it gives up in time."""
    last = await read_side.log.append([Traffic(1).bidder("b-1", "One")])
    position = At(last.topic, last.partition, 0)
    assert not await wait_for(where(read_side), "catalogue", [position], 0.2)
    waiting = asyncio.create_task(wait_for(where(read_side), "catalogue", [position], 60))
    async with read_side.running("catalogue"):
        assert await waiting
    assert [row["id"] for row in await read_side.fetch("SELECT id FROM entities")] == ["b-1"]
    assert not await wait_for(where(read_side), "catalogue", [At(last.topic, last.partition, 1)], 0)


def test_the_map_names_everything() -> None:
    """Every projection has topics, events and a place where it writes, and its own group if it keeps an offset."""
    names = Names("shop")
    stops = {stop.projection: stop for stop in topology(names)}
    assert list(stops) == list(RUNNABLE)
    assert {name: stop.group for name, stop in stops.items()} == {
        "catalogue": "shop.projection.catalogue.g<n>",
        "catalogue_cache": "shop.projection.catalogue_cache",
        "auction_log": "shop.projection.auction_log.g<n>",
        "delivery": "shop.projection.delivery.g<n>",
        "ledger": "shop.projection.ledger.g<n>",
        "budgets": "shop.projection.budgets",
        "audiences": "shop.projection.audiences",
        "audiences_bulk": "shop.projection.audiences_bulk",
        "bidder_health": "shop.projection.bidder_health.g<n>",
        "traffic": "shop.projection.traffic.g<n>",
        "notices": "shop.projection.notices",
        "live": None,
    }
    assert "shop:feed:{<client>}:records:<since>" in stops["audiences_bulk"].writes
    for stop in stops.values():
        assert set(stop.topics) <= set(names.topics)
        assert stop.events
        assert stop.writes
