"""Whether the Redis that holds feed clients' records has room for more, and keeps those that it has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from redis.asyncio import Redis, RedisCluster

from domain.limits import FEED_MEMORY_MAX_PERCENT
from projections.redis_store import answering

FULL: Final = f"Redis has no room for records: over {FEED_MEMORY_MAX_PERCENT} % of maxmemory, raise it"
KEEPS_ALL: Final = "noeviction"
PERCENT: Final = 100


class FeedMemory(NamedTuple):
    """Of a server, or of a cluster."""

    percent: float
    """Of its bound that is taken, of the fullest node; 0 without a bound."""
    evicts: str | None
    """The `maxmemory-policy` of a node that has a bound and drops keys there; None where none does."""

    @property
    def why_no_room(self) -> str | None:
        """Why no record may be added; None where one may.

        A Redis that drops keys as it likes has no room for what must not be lost: a client's records are one key.
        """
        if self.evicts is not None:
            return f"Redis would evict records when it is full ({self.evicts}): set maxmemory-policy to {KEEPS_ALL}"
        return FULL if self.percent > FEED_MEMORY_MAX_PERCENT else None


async def feed_memory(redis: Redis | RedisCluster) -> FeedMemory:
    """As it is now. Raises Unavailable."""
    of_all: dict[str, Any] = {"target_nodes": RedisCluster.PRIMARIES} if isinstance(redis, RedisCluster) else {}
    async with answering():
        told: Mapping[str, Any] = await redis.info("memory", **of_all)
    nodes: list[Mapping[str, Any]] = [told] if "used_memory" in told else list(told.values())
    bounded = [node for node in nodes if int(node["maxmemory"])]
    percents = [PERCENT * float(node["used_memory"]) / int(node["maxmemory"]) for node in bounded]
    policies = [str(node["maxmemory_policy"]) for node in bounded]
    return FeedMemory(max(percents, default=0.0), next((each for each in policies if each != KEEPS_ALL), None))
