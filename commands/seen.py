"""The fast check for duplicate engagements; see docs/decisions/0003."""

from __future__ import annotations

import asyncio
from typing import Final

from redis.exceptions import RedisError

from commands.redis_pipeline import RedisAway, RedisPipeline, Script
from domain.event_parts import EngagementKind
from domain.limits import CLICK_EXPIRY_SECONDS
from domain.names import Names

CLAIM_WAIT_SECONDS: Final = 0.25
"""How long a hit waits for the fate of an earlier one that is still being logged."""
CLAIM_POLL_SECONDS: Final = 0.025
CLAIM_EXPIRY_SECONDS: Final = 10
REMEMBERED_SECONDS: Final = 2 * CLICK_EXPIRY_SECONDS
"""Past it a repeated hit is `expired` anyway."""

# KEYS[1]: the engagement. ARGV[1]: seconds that an unconfirmed claim holds. Returns what an earlier hit left there.
CLAIM = """
local earlier = redis.call('GET', KEYS[1])
if not earlier then redis.call('SET', KEYS[1], 'claimed', 'EX', ARGV[1]) end
return earlier
"""

_CLAIMED, _LOGGED = b"claimed", b"logged"


class SeenInRedis:
    """Implements `ports.SeenEngagements`: a key is claimed by the first hit and confirmed once that is logged."""

    def __init__(self, pipeline: RedisPipeline, names: Names) -> None:
        self._pipeline = pipeline
        self._names = names
        self._claim = Script(CLAIM)

    def __repr__(self) -> str:
        return f"SeenInRedis({self._pipeline!r})"

    async def is_logged(self, kind: EngagementKind, auction_id: str, imp_id: str) -> bool:
        """Claims the engagement for this hit; True if an earlier hit is already in the log."""
        key = self._names.engagement_key(kind, auction_id, imp_id)
        loop = asyncio.get_running_loop()
        give_up_at = loop.time() + CLAIM_WAIT_SECONDS
        try:
            earlier = await self._pipeline.evaluate(self._claim, (key,), CLAIM_EXPIRY_SECONDS)
            while earlier == _CLAIMED and loop.time() < give_up_at:
                await asyncio.sleep(CLAIM_POLL_SECONDS)
                earlier = await self._pipeline.call("GET", key)
        except (RedisAway, RedisError):
            return False
        return bool(earlier == _LOGGED)

    async def confirm(self, kind: EngagementKind, auction_id: str, imp_id: str) -> None:
        """The hit that claimed it is in the log now."""
        key = self._names.engagement_key(kind, auction_id, imp_id)
        try:
            await self._pipeline.call("SET", key, _LOGGED, "EX", REMEMBERED_SECONDS)
        except (RedisAway, RedisError):
            # The judge in Postgres will catch what is now not remembered.
            return
