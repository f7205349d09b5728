"""How full the Redis is that holds feed clients' records."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from redis.asyncio import Redis, RedisCluster

from projections.redis_store import answering


async def feed_memory(redis: Redis | RedisCluster) -> float:
    """The share of its bound that is taken, from 0 on, of the fullest node of a cluster; 0 without a bound.

    Raises Unavailable.
    """
    of_all: dict[str, Any] = {"target_nodes": RedisCluster.PRIMARIES} if isinstance(redis, RedisCluster) else {}
    async with answering():
        told: Mapping[str, Any] = await redis.info("memory", **of_all)
    nodes: list[Mapping[str, Any]] = [told] if "used_memory" in told else list(told.values())
    return max(float(node["used_memory"]) / (int(node["maxmemory"]) or float("inf")) for node in nodes)
