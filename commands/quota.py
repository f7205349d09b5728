"""How often something may happen, counted in Redis over all processes: a bidder's calls, an address' engagements."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Final

from redis.exceptions import RedisError

from commands.redis_pipeline import RedisAway, RedisPipeline, Script
from domain.limits import ENGAGEMENTS_PER_IP_MINUTE_MAX
from domain.names import Names

MINUTE_SECONDS: Final = 60

# KEYS[1]: the counter of a window. ARGV[1]: seconds until it is forgotten.
COUNT = """
local count = redis.call('INCR', KEYS[1])
if count == 1 then redis.call('EXPIRE', KEYS[1], ARGV[1]) end
return count
"""


class Quota:
    """Fixed windows. While Redis is away nothing is limited: that costs less than refusing everybody."""

    def __init__(self, pipeline: RedisPipeline, names: Names, *, is_unlimited: Callable[[str], bool]) -> None:
        """`is_unlimited` says of an address that it is one of our own, not a viewer's."""
        self._pipeline = pipeline
        self._is_unlimited = is_unlimited
        self._names = names
        self._count = Script(COUNT)

    def __repr__(self) -> str:
        return f"Quota({self._pipeline!r})"

    async def allows_call(self, bidder_id: str, qps_limit: int, now: datetime) -> bool:
        """Counts one call of a bidder in this second; False once its limit is used up."""
        key = self._names.quota_key(bidder_id, int(now.timestamp()))
        return await self._counted(key, 2) <= qps_limit

    async def allows_engagement(self, ip: str, now: datetime) -> bool:
        """Counts one engagement of an address in this minute; False once it has had its share."""
        if self._is_unlimited(ip):
            return True
        key = self._names.rate_key(ip, int(now.timestamp()) // MINUTE_SECONDS)
        return await self._counted(key, 2 * MINUTE_SECONDS) <= ENGAGEMENTS_PER_IP_MINUTE_MAX

    async def _counted(self, key: str, expiry_seconds: int) -> int:
        try:
            return int(await self._pipeline.evaluate(self._count, (key,), expiry_seconds))
        except (RedisAway, RedisError):
            return 0
