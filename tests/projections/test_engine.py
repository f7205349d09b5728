"""The engine against real servers: each event has its effect exactly once, whatever happens."""

from __future__ import annotations

from tests.projections.conftest import ReadSide
from tests.projections.traffic import Traffic

async def test_smoke(read_side: ReadSide) -> None:
    """Everything catches up."""
    traffic = Traffic(1)
    await read_side.log.append([traffic.bidder("b-fast", "Fast & Cheap")])
    await read_side.log.append_traffic(traffic, 300)
    async with read_side.running("catalogue", "catalogue_cache", "auction_log", "delivery", "live"):
        await read_side.caught_up("catalogue", "catalogue_cache", "auction_log", "delivery")
    print(await read_side.fetch("select count(*), sum(requests), sum(imps), sum(bids), sum(impressions_gross), sum(impressions), sum(spend_nanos) from delivery"))
    print(await read_side.fetch("select * from entities"))
    print(await read_side.redis.hgetall(read_side.names.catalogue_entities))
    print(await read_side.fetch("select * from projection_offsets"))
