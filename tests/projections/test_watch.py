"""The watchdog tells a projector that hangs from one that waits for good reasons, and only that one is replaced."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from urllib.parse import urlsplit

import asyncpg
import msgspec
import pytest

from projections.engine import Projector
from projections.registry import registered
from projections.run import one_life, run_projectors
from projections.servers import Addresses, Servers
from projections.watch import Watch
from projections.watermarks import Watermarks
from tests.projections import audit
from tests.projections.conftest import ReadSide, eventually
from tests.projections.swallowing_proxy import KafkaProxy, SwallowingProxy, running
from tests.projections.traffic import Traffic

STALL_S = 1.5
WORKER_STALL_S = 4.0
"""Of whole workers, which may have to join a group on a busy machine."""


async def test_a_projector_that_makes_no_progress(read_side: ReadSide) -> None:
    """Its life ends while it hangs on a lock, not while there is nothing to read; its successor goes on."""
    registration = registered("delivery")
    topics = registration.topics_of(read_side.names)
    stop = asyncio.Event()
    async with Servers(read_side.addresses, client_id="test") as servers:
        projection, store = await registration.opened(servers, 1)
        projector = Projector(
            projection, store, topics=topics, group=servers.names.group("delivery", 1), kafka=servers.kafka
        )
        watch = Watch(store, servers.watermarks, topics, stall_s=STALL_S)
        living = asyncio.create_task(one_life(projector, watch, stop))
        await read_side.log.append_traffic(Traffic(1), 5)
        await read_side.caught_up("delivery")
        done, _ = await asyncio.wait({living}, timeout=3 * STALL_S)
        assert not done

        blocker = await asyncpg.connect(read_side.addresses.postgres_url)
        async with blocker.transaction():
            await blocker.execute("SELECT FROM projection_offsets FOR UPDATE")
            await read_side.log.append_traffic(Traffic(2), 5)
            async with asyncio.timeout(20 * STALL_S):
                assert "has stood at" in str(await living)
        await blocker.close()
    await read_side.run_to_the_end("delivery")
    assert await audit.delivery_in(read_side) == audit.delivery_of(await audit.logged(read_side))


async def test_one_partition_that_stands_still(read_side: ReadSide) -> None:
    """It is noticed although the others go on all the time."""
    await read_side.log.append_traffic(Traffic(1), 10)
    await read_side.run_to_the_end("delivery")
    await read_side.log.append_traffic(Traffic(2), 300)
    stood = read_side.names.auctions
    registration = registered("delivery")
    topics = registration.topics_of(read_side.names)
    async with Servers(read_side.addresses, client_id="test") as servers:
        projection, store = await registration.opened(servers, 1)
        # Before it is started it is in no group: then all partitions are looked at.
        onlooker = Projector(projection, store, topics=topics, group="nobody", kafka=servers.kafka)
        watch = Watch(store, servers.watermarks, topics, stall_s=STALL_S)
        looking = asyncio.create_task(watch.until_it_hangs(onlooker))
        while not looking.done():
            # As another worker would, whose partitions these are.
            await read_side.fetch(
                "UPDATE projection_offsets SET next_offset = next_offset + 1 "
                "WHERE projection = 'delivery' AND NOT (topic = $1 AND partition = 0)",
                stood,
            )
            await asyncio.wait({looking}, timeout=STALL_S / 10)
        assert (await looking).startswith(f"{stood}/0 has stood at")
        stop = asyncio.Event()
        stop.set()
        await onlooker.run(stop)


async def test_a_silent_kafka_is_no_fault_of_the_store(read_side: ReadSide) -> None:
    """While nobody says how far the log goes, nobody is replaced for what the store has not done."""
    await read_side.log.append_traffic(Traffic(1), 5)
    await read_side.run_to_the_end("delivery")
    registration = registered("delivery")
    topics = registration.topics_of(read_side.names)

    async def says_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(-1)
        writer.close()

    async with (
        await asyncio.start_server(says_nothing, "127.0.0.1", 0) as silent,
        Watermarks(f"127.0.0.1:{silent.sockets[0].getsockname()[1]}", client_id="test") as watermarks,
        Servers(read_side.addresses, client_id="test") as servers,
    ):
        projection, store = await registration.opened(servers, 1)
        onlooker = Projector(projection, store, topics=topics, group="nobody", kafka=servers.kafka)
        looking = asyncio.create_task(Watch(store, watermarks, topics, stall_s=STALL_S).until_it_hangs(onlooker))
        done, _ = await asyncio.wait({looking}, timeout=4 * STALL_S)
        assert not done, await looking
        looking.cancel()
        stop = asyncio.Event()
        stop.set()
        await onlooker.run(stop)


@pytest.mark.long
async def test_a_fetch_that_brings_nothing_any_more(read_side: ReadSide, impatient: None) -> None:
    """A worker whose connection for records is silent, while its heartbeats go on, gets a successor; no other does."""
    del impatient
    url = urlsplit(f"//{read_side.addresses.kafka_url.rpartition('/')[2]}")
    proxy = KafkaProxy(str(url.hostname), int(url.port or 0))
    async with running(proxy), another_worker(read_side.addresses):
        through = msgspec.structs.replace(read_side.addresses, kafka_url=f"{url.hostname}:{proxy.port}")
        async with worker(through, "delivery"):
            await read_side.log.append_traffic(Traffic(1), 20)
            await read_side.caught_up("delivery")
            await eventually(partial(both_read, read_side))
            proxy.swallow()
            for seed in (2, 3, 4):
                await read_side.log.append_traffic(Traffic(seed), 20)
            await read_side.caught_up("delivery")
            assert proxy.swallowed_bytes > 0
            await eventually(partial(one_was_replaced, read_side, "of which it has not heard"))
    assert await audit.delivery_in(read_side) == audit.delivery_of(await audit.logged(read_side))


@pytest.mark.long
async def test_a_database_that_does_not_answer_over_its_connections(read_side: ReadSide, impatient: None) -> None:
    """They are dead and nobody has closed them: they are thrown away, and the work goes on over fresh ones."""
    del impatient
    url = urlsplit(read_side.addresses.postgres_url)
    proxy = SwallowingProxy(str(url.hostname), int(url.port or 0))
    async with running(proxy):
        through = url._replace(netloc=url.netloc.replace(str(url.port), str(proxy.port)))
        async with worker(msgspec.structs.replace(read_side.addresses, postgres_url=through.geturl()), "delivery"):
            await read_side.log.append_traffic(Traffic(1), 20)
            await read_side.caught_up("delivery")
            proxy.swallow()
            await read_side.log.append_traffic(Traffic(2), 20)
            await read_side.caught_up("delivery")
    assert proxy.swallowed_bytes > 0
    assert await audit.delivery_in(read_side) == audit.delivery_of(await audit.logged(read_side))


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers of this process do not wait as long as they would."""
    monkeypatch.setattr("projections.run.Watch", partial(Watch, stall_s=WORKER_STALL_S))


@asynccontextmanager
async def worker(addresses: Addresses, *projections: str) -> AsyncIterator[None]:
    """In this process."""
    stop = asyncio.Event()
    task = asyncio.create_task(run_projectors(addresses, projections, stop))
    try:
        yield
    finally:
        stop.set()
        await task


@asynccontextmanager
async def another_worker(addresses: Addresses) -> AsyncIterator[None]:
    """A process of its own."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.projections.projector", msgspec.json.encode(addresses).decode(), "delivery"
    )
    try:
        yield
    finally:
        process.kill()
        await process.wait()


async def both_read(read_side: ReadSide) -> bool:
    """Whether each worker has partitions."""
    rows = await read_side.fetch("SELECT FROM projection_workers WHERE cardinality(partitions) > 0")
    return len(rows) > 1


async def one_was_replaced(read_side: ReadSide, why: str) -> bool:
    """Whether the workers tell so: of one consumer, and why."""
    rows = await read_side.fetch("SELECT restarts, restarted_because FROM projection_workers ORDER BY restarts")
    if [row["restarts"] > 0 for row in rows] != [False, True]:
        return False
    return why in rows[-1]["restarted_because"]
