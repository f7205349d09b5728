"""The fast check for duplicate engagements; see docs/decisions/0003."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Final

from redis.exceptions import RedisError

from commands.redis_pipeline import RedisAway, RedisPipeline, Script
from domain.names import Names
from domain.tokens import EngagementClaims

CLAIM_WAIT_SECONDS: Final = 0.25
"""How long a hit waits for the fate of an earlier one that is still being logged."""
CLAIM_POLL_SECONDS: Final = 0.025
CLAIM_EXPIRY_SECONDS: Final = 10
CLOCKS_APART_SECONDS: Final = 600
"""A hit is remembered until its token has expired on every node: from then on a repeated one is `expired` anyway."""

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

    async def is_logged(self, claims: EngagementClaims) -> bool:
        """Claims the engagement for this hit; True if an earlier hit is already in the log."""
        key = self._key(claims)
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

    async def confirm(self, claims: EngagementClaims, at: datetime) -> None:
        """The hit that claimed it `at` that moment is in the log: remembered for as long as another one could count."""
        remembered_seconds = claims.expires_at - int(at.timestamp()) + CLOCKS_APART_SECONDS
        try:
            await self._pipeline.call("SET", self._key(claims), _LOGGED, "EX", remembered_seconds)
        except (RedisAway, RedisError):
            # The judge in Postgres will catch what is now not remembered.
            return

    def _key(self, claims: EngagementClaims) -> str:
        return self._names.engagement_key(claims.kind, claims.auction_id, claims.imp_id)
