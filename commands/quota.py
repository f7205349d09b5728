"""How often something may happen, counted in Redis over all processes: a bidder's calls, an address' ads."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable
from datetime import datetime
from typing import Final

from redis.exceptions import RedisError

from commands.quota_share import QuotaShare
from commands.redis_pipeline import RedisAway, RedisPipeline, Script
from domain.limits import ADS_PER_IP_MINUTE_MAX, QUOTA_WAIT_SECONDS
from domain.names import Names
from domain.networks import subscriber_of
from domain.privacy import pseudonym

MINUTE_SECONDS: Final = 60

# KEYS[1]: the counter of a window. ARGV[1]: seconds until it is forgotten.
COUNT = """
local count = redis.call('INCR', KEYS[1])
if count == 1 then redis.call('EXPIRE', KEYS[1], ARGV[1]) end
return count
"""


class Quota:
    """Fixed windows. While Redis is away each process keeps to its share of a bidder's limit.

    Addresses are not limited then: that costs less than refusing everybody.
    """

    def __init__(
        self,
        pipeline: RedisPipeline,
        names: Names,
        *,
        is_unlimited: Callable[[str], bool],
        address_key: Callable[[], bytes],
        processes: int = 1,
    ) -> None:
        """`is_unlimited` says of an address that it is one of our own; `processes` is how many hold auctions here.

        `address_key` is asked for the key that hides addresses in Redis, the same in all processes.
        """
        self._pipeline = pipeline
        self._shares = defaultdict[str, QuotaShare](lambda: QuotaShare(processes))
        """By bidder."""
        self._is_unlimited = is_unlimited
        self._address_key = address_key
        self._names = names
        self._count = Script(COUNT)

    def __repr__(self) -> str:
        return f"Quota({self._pipeline!r})"

    async def allows_call(self, bidder_id: str, qps_limit: int, now: datetime) -> bool:
        """Counts one call of a bidder in this second; False once its limit is used up.

        Waits no longer than QUOTA_WAIT_SECONDS for Redis: the time is the bidder's.
        """
        second = int(now.timestamp())
        share = self._shares[bidder_id]
        try:
            async with asyncio.timeout(QUOTA_WAIT_SECONDS):
                calls = await self._counted(self._names.quota_key(bidder_id, second), 2)
        except (RedisAway, RedisError, TimeoutError):
            return share.allows(second, qps_limit)
        share.counted(second, calls)
        return calls <= qps_limit

    async def allows_ad(self, ip: str, now: datetime) -> bool:
        """Counts one ad that an address asks for in this minute; False once it has had its share."""
        if self._is_unlimited(ip):
            return True
        hidden = pseudonym(self._address_key(), subscriber_of(ip))
        key = self._names.rate_key("ads", hidden, int(now.timestamp()) // MINUTE_SECONDS)
        try:
            return await self._counted(key, 2 * MINUTE_SECONDS) <= ADS_PER_IP_MINUTE_MAX
        except (RedisAway, RedisError):
            return True

    async def _counted(self, key: str, expiry_seconds: int) -> int:
        return int(await self._pipeline.evaluate(self._count, (key,), expiry_seconds))
