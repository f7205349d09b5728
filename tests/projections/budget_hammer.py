"""A process that spends a campaign's budget as fast as it gets it, and may be killed wherever it is.

python -m tests.projections.budget_hammer ADDRESSES_AS_JSON BUDGET_NANOS SHOWN_SECONDS SEED
"""

from __future__ import annotations

import asyncio
import random
import sys
import time
from datetime import UTC, datetime, timedelta

import msgspec
from redis.asyncio import Redis

from commands.budgets import RedisBudgets
from commands.ports import Wanted
from commands.redis_pipeline import RedisPipeline
from domain.events import ImpressionRecorded
from domain.limits import BUDGET_IN_FLIGHT_SECONDS
from projections.servers import Addresses
from tests.projections.budget_story import award, fresh_id, met, void
from tests.projections.traffic import Log

REFUSED_PAUSE_S = 0.05


async def hammer(addresses: Addresses, budget_nanos: int, shown_s: float, seed: int) -> None:
    """For ever: reserves, and logs the award, its impression, the same twice, a refund, or nothing of it."""
    chance = random.Random(seed)
    async with Redis.from_url(addresses.redis_url) as redis, Log(addresses.kafka_url, addresses.names) as log:
        budgets = RedisBudgets(RedisPipeline(redis, timeout_s=1.0), addresses.names)
        while True:
            at, nanos, auction_id = datetime.now(UTC), chance.randint(1, 50_000_000), fresh_id()
            expires_at = at + timedelta(seconds=shown_s)
            began = time.monotonic()
            wanted = Wanted("c-1", auction_id, "1", nanos, at, expires_at, budget_nanos, None, None, "")
            (refusal,) = await budgets.reserve([wanted])
            if refusal is not None:
                await asyncio.sleep(REFUSED_PAUSE_S)
                continue
            fate = chance.random()
            if fate < 0.1:
                await budgets.release([wanted])
            elif fate > 0.2:
                won = award(nanos, at=at, shown_s=shown_s, auction_id=auction_id)
                await log.append([won])
                # Answered too late, nobody would have got the ad: see `HoldAuction`.
                is_answered = time.monotonic() - began < BUDGET_IN_FLIGHT_SECONDS
                if fate > 0.3 and is_answered and datetime.now(UTC) < expires_at:
                    seen = met(ImpressionRecorded, won)
                    again = [met(ImpressionRecorded, won)] * (fate > 0.8)
                    await log.append([seen, *again, *[void(seen)] * 2 * (fate > 0.95)])


if __name__ == "__main__":
    asyncio.run(
        hammer(msgspec.json.decode(sys.argv[1], type=Addresses), int(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4]))
    )
