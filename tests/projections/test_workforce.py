"""Which generations a process works on, and that all can see it."""

from __future__ import annotations

import asyncpg

from projections import operations, workforce
from tests.projections.conftest import ReadSide, eventually
from tests.projections.traffic import Traffic


async def test_still_listed_after_a_quick_pause(read_side: ReadSide) -> None:
    """A worker that had not ended yet when it was wanted again goes on being seen."""
    await read_side.log.append([Traffic(1).bidder("b-1", "One")])
    async with read_side.running("catalogue"):
        await read_side.caught_up("catalogue")
        holder = await asyncpg.connect(read_side.addresses.postgres_url)
        batch = holder.transaction()
        await batch.start()
        await holder.execute("SELECT FROM projection_offsets WHERE projection = 'catalogue' FOR UPDATE")
        await read_side.log.append([Traffic(1).bidder("b-2", "Two")])

        async def is_writing() -> bool:
            return bool(await read_side.fetch("SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock'"))

        await eventually(is_writing)
        looks = 0
        look = workforce.Workforce._look

        async def counted(self: workforce.Workforce) -> None:
            nonlocal looks
            await look(self)
            looks += 1

        async def has_looked_twice() -> bool:
            return looks >= 2

        workforce.Workforce._look = counted  # type: ignore[method-assign]
        try:
            for order in (operations.pause, operations.resume):
                looks = 0
                await order(read_side.addresses, "catalogue")
                await eventually(has_looked_twice)
        finally:
            workforce.Workforce._look = look  # type: ignore[method-assign]
        await batch.rollback()
        await holder.close()
        await read_side.log.append([Traffic(1).bidder("b-3", "Three")])
        await read_side.caught_up("catalogue")
        asked = "SELECT now() AS at"
        [now] = await read_side.fetch(asked)

        async def is_listed() -> bool:
            query = "SELECT FROM projection_workers WHERE cardinality(partitions) = 3 AND reported_at > $1"
            return bool(await read_side.fetch(query, now["at"]))

        await eventually(is_listed)
