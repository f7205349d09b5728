"""How many hits come from one address, and from one address on one ad, counted in Redis over all processes."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Final

from redis.exceptions import RedisError

from commands.redis_pipeline import RedisAway, RedisPipeline, Script
from domain.engagement import TOO_MANY_OF_AD, TOO_MANY_OF_ADDRESS, Judgement
from domain.event_parts import EngagementKind
from domain.limits import (
    CLICKS_PER_IP_AND_AD_MINUTE_MAX,
    ENGAGEMENTS_PER_IP_MINUTE_MAX,
    IMPRESSIONS_PER_IP_AND_AD_MINUTE_MAX,
)
from domain.names import Names
from domain.networks import subscriber_of
from domain.privacy import pseudonym

MINUTE_SECONDS: Final = 60
OF_AD_MAX: Final[dict[EngagementKind, int]] = {
    "impression": IMPRESSIONS_PER_IP_AND_AD_MINUTE_MAX,
    "click": CLICKS_PER_IP_AND_AD_MINUTE_MAX,
}

# KEYS: counters of one window. ARGV[1]: seconds until they are forgotten. Returns the new counts.
COUNT = """
local counts = {}
for place, key in ipairs(KEYS) do
  counts[place] = redis.call('INCR', key)
  if counts[place] == 1 then redis.call('EXPIRE', key, ARGV[1]) end
end
return counts
"""


class EngagementRates:
    """Fixed windows of a minute. While Redis is away nobody is limited: that costs less than refusing everybody."""

    def __init__(
        self,
        pipeline: RedisPipeline,
        names: Names,
        *,
        is_unlimited: Callable[[str], bool],
        address_key: Callable[[], bytes],
    ) -> None:
        """`is_unlimited` says of an address that it is one of our own.

        `address_key` is asked for the key that hides addresses in Redis, the same in all processes.
        """
        self._pipeline = pipeline
        self._names = names
        self._is_unlimited = is_unlimited
        self._address_key = address_key
        self._count = Script(COUNT)

    def __repr__(self) -> str:
        return f"EngagementRates({self._pipeline!r})"

    async def objection(
        self, ip: str, kind: EngagementKind, ad_id: str | None, now: datetime, *, is_stated: bool = False
    ) -> Judgement | None:
        """Counts one hit in this minute; what speaks against it, if the address or the ad has had its share.

        `ad_id` is None for an ad that the exchange does not know: then the address alone is counted. An address that
        is not known is nobody's. Whoever has an IPv6 address has a network of them, so that network counts as one.
        An address that somebody else states has counters of its own, which those of its own hits know nothing of, and
        is never one of ours.
        """
        if not ip or (not is_stated and self._is_unlimited(ip)):
            return None
        hidden = pseudonym(self._address_key(), subscriber_of(ip))
        minute = int(now.timestamp()) // MINUTE_SECONDS
        prefix = "stated:" if is_stated else ""
        keys: tuple[str, ...] = (self._names.rate_key(f"{prefix}engagements", hidden, minute),)
        if ad_id is not None:
            keys = (*keys, self._names.rate_key(f"{prefix}{kind}:{ad_id}", hidden, minute))
        try:
            of_address, *of_ad = await self._pipeline.evaluate(self._count, keys, 2 * MINUTE_SECONDS)
        except (RedisAway, RedisError):
            return None
        if of_address > ENGAGEMENTS_PER_IP_MINUTE_MAX:
            return TOO_MANY_OF_ADDRESS
        return TOO_MANY_OF_AD if of_ad and of_ad[0] > OF_AD_MAX[kind] else None
