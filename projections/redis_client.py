"""A client of the Redis that an address names: one server or a cluster, used in the same way.

Whoever is given one keeps to what both can do: a command, script or transaction touches keys of one hash slot.
"""

from __future__ import annotations

import asyncio
from typing import Any, cast

from redis.asyncio import Redis, RedisCluster
from redis.asyncio.cluster import ClusterNode, ClusterPubSub
from redis.asyncio.connection import SSLConnection, parse_url
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisClusterException
from redis.exceptions import TimeoutError as RedisTimeoutError

from domain.redis_url import RedisUrl, parse_redis_url


def redis_client(redis_url: str, **options: Any) -> Redis:
    """Connects when it is first used. Raises InvalidInput for a malformed address.

    `options` are those of a connection, as `Redis` takes them. A cluster's client is handed out under the type of the
    other: the library has no name for what both can do.
    """
    url = parse_redis_url(redis_url)
    return cast("Redis", Cluster(url, **options)) if url.is_cluster else Redis.from_url(redis_url, **options)


class Cluster(RedisCluster):
    """Follows slots and masters wherever they go; what fails, fails as it would with one Redis."""

    def __init__(self, url: RedisUrl, **options: Any) -> None:
        self._url = url
        self._options = options
        known: dict[str, Any] = {**options, **parse_url(url.at(*url.servers[0]))}
        tls = known.pop("connection_class", None) is SSLConnection
        super().__init__(startup_nodes=[ClusterNode(*server) for server in url.servers[1:]], ssl=tls, **known)

    def __repr__(self) -> str:
        return f"Cluster({self._url!r})"

    async def initialize(self, *found: Any, **failed: Any) -> RedisCluster:
        """Learns the slots. A cluster of which no node answers, or not all slots are served, is a server away."""
        try:
            return await super().initialize(*found, **failed)
        except RedisClusterException as error:
            raise RedisConnectionError(str(error)) from error

    async def execute_command(self, *command: Any, **options: Any) -> Any:
        try:
            return await super().execute_command(*command, **options)
        except RedisClusterException as error:
            raise RedisConnectionError(str(error)) from error

    async def aclose(self) -> None:
        """Also what commands under way have connected again since a fault has closed it: the library leaves that."""
        await super().aclose()
        nodes = [*self.nodes_manager.nodes_cache.values(), *self.nodes_manager.startup_nodes.values()]
        await asyncio.gather(*(node.disconnect_free_connections() for node in nodes))

    async def ping(self, **_options: Any) -> bool:
        """Whether every master answers."""
        await self.execute_command("PING", target_nodes=RedisCluster.PRIMARIES)
        return True

    def pubsub(self, **options: Any) -> Subscription:  # type: ignore[override] # the channel says which node it is
        return Subscription(self, **options)


class Subscription(ClusterPubSub):
    """Announcements from the master of the slot that the channel's name has: where they are made, none gets lost."""

    async def execute_command(self, *command: Any, **options: Any) -> Any:
        await self.cluster.initialize()
        try:
            return await super().execute_command(*command, **options)
        except RedisClusterException as error:
            raise RedisConnectionError(str(error)) from error
        except (RedisConnectionError, RedisTimeoutError, OSError):
            # Its place may be taken by another one: the next subscription learns the slots again.
            await self.cluster.aclose()
            raise
