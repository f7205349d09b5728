"""The watchdog tells a projector that hangs from one that waits for good reasons."""

from __future__ import annotations

import asyncio

import asyncpg

from projections.engine import Projector
from projections.registry import registered
from projections.run import one_life
from projections.servers import Servers
from projections.watch import Watch
from tests.projections import audit
from tests.projections.conftest import ReadSide
from tests.projections.traffic import Traffic

STALL_S = 1.5


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
                await living
        await blocker.close()
    await read_side.run_to_the_end("delivery")
    assert await audit.delivery_in(read_side) == audit.delivery_of(await audit.logged(read_side))
