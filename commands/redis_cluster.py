"""Redis calls of concurrent commands on a cluster: shared round trips with each of its masters.

A key's slot says which master has it. Who serves which slot is learnt from any node, and learnt again whenever a
master says that a slot has gone to another one, or does not answer: then a replica may have taken its place.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

import structlog
from redis.asyncio import Redis
from redis.crc import REDIS_CLUSTER_HASH_SLOTS, key_slot
from redis.exceptions import AskError, ClusterDownError, MovedError, RedisError, TryAgainError

from commands.redis_pipeline import RedisAway, RedisCalls, RedisPipeline
from domain.redis_url import RedisUrl

REDIRECTS_MAX: Final = 5
"""How often one call is sent on; more often, the masters do not agree who has the slot."""
LEARN_AGAIN_SECONDS: Final = 0.25
"""Between two questions for the slots."""
KEY_AT: Final[dict[str | bytes | float, int]] = {"EVALSHA": 3, "EVAL": 3}
"""Where the first key stands in a command; in all others it is the word after the first."""

Address = tuple[str, int]

_log = structlog.get_logger(__name__)


class Master(NamedTuple):
    """A server that serves slots, or has served some."""

    address: Address
    pipeline: RedisPipeline


class RedisClusterPipelines(RedisCalls):
    """One `RedisPipeline` for each master that was met."""

    def __init__(self, url: RedisUrl, connect: Callable[[str], Redis], *, timeout_s: float) -> None:
        """`connect` makes a client of the one server at an address; `timeout_s` bounds a round trip with it."""
        self._url = url
        self._connect = connect
        self._timeout_s = timeout_s
        self._masters: dict[Address, Master] = {}
        self._owners: list[Master | None] = [None] * REDIS_CLUSTER_HASH_SLOTS
        """By slot."""
        self._serving: list[Master] = []
        """Those that have slots."""
        self._learning: asyncio.Task[None] | None = None
        self._learn_at = 0.0

    def __repr__(self) -> str:
        return f"RedisClusterPipelines({self._url!r}, masters={len(self._masters)})"

    async def close(self) -> None:
        """Waits for the calls under way."""
        if self._learning is not None:
            self._learning.cancel()
            await asyncio.wait({self._learning})
        await asyncio.gather(*(master.pipeline.close() for master in self._masters.values()))

    async def call(self, *command: str | bytes | float) -> Any:
        slot = _slot_of(command)
        master = self._owners[slot] or await self._owner_learnt(slot)
        is_sent = False
        for _ in range(REDIRECTS_MAX):
            try:
                return await (_asked(master, command) if is_sent else master.pipeline.call(*command))
            except MovedError as moved:
                master = self._owners[slot] = self._master_at(moved.host or master.address[0], moved.port)
                is_sent = False
                self._learn_soon()
            except AskError as ask:
                master = self._master_at(ask.host or master.address[0], ask.port)
                is_sent = True
            except (ClusterDownError, TryAgainError) as error:
                # The slot has no master at the moment, or its keys are on their way between two: as good as away.
                self._learn_soon()
                raise RedisAway(str(error)) from error
            except RedisAway:
                self._learn_soon()
                raise
        raise RedisAway(f"slot {slot} is sent on from master to master")

    # -- who has which slot -----------------------------------------------------------------------

    async def _owner_learnt(self, slot: int) -> Master:
        """Raises RedisAway if nobody is known to have it."""
        self._learn_soon()
        if self._learning is not None:
            await asyncio.shield(self._learning)
        owner = self._owners[slot]
        if owner is None:
            raise RedisAway(f"no master of the cluster is known to have slot {slot}")
        return owner

    def _learn_soon(self) -> None:
        loop = asyncio.get_running_loop()
        if self._learning is None and loop.time() >= self._learn_at:
            self._learning = loop.create_task(self._learn(), name="redis cluster slots")

    async def _learn(self) -> None:
        """Asks the masters that serve, then those that were named in the beginning, until one answers."""
        named = [self._master_at(*server) for server in self._url.servers]
        error: Exception | None = None
        try:
            for master in dict.fromkeys([*self._serving, *named]):
                try:
                    self._take(await master.pipeline.call("CLUSTER", "SLOTS"), master)
                except (RedisError, RedisAway) as refused:
                    error = refused
                else:
                    return
            _log.warning("no node of the cluster says who has which slot", cluster=repr(self._url), error=repr(error))
        finally:
            self._learn_at = asyncio.get_running_loop().time() + LEARN_AGAIN_SECONDS
            self._learning = None

    def _take(self, ranges: Sequence[Sequence[Any]], told_by: Master) -> None:
        """Each range is its first and last slot, then host, port and more of its master, then its replicas."""
        serving: dict[Master, None] = {}
        for first, last, (host, port, *_), *_replicas in ranges:
            # Without a host it is that of whoever says so.
            owner = self._master_at(host.decode() if host else told_by.address[0], port)
            self._owners[first : last + 1] = [owner] * (last + 1 - first)
            serving[owner] = None
        self._serving = [*serving]

    def _master_at(self, host: str, port: int) -> Master:
        address = (host, port)
        if address not in self._masters:
            client = self._connect(self._url.at(host, port))
            self._masters[address] = Master(address, RedisPipeline(client, timeout_s=self._timeout_s))
        return self._masters[address]


async def _asked(master: Master, command: tuple[str | bytes | float, ...]) -> Any:
    """The answer of the master that a slot is moving to, which serves it to those who say that they were sent."""
    # Both are handed over in one breath, so that nothing comes between them on the connection.
    _permitted, answer = await asyncio.gather(master.pipeline.call("ASKING"), master.pipeline.call(*command))
    return answer


def _slot_of(command: tuple[str | bytes | float, ...]) -> int:
    key = command[KEY_AT.get(command[0], 1)]
    return key_slot(key if isinstance(key, bytes) else str(key).encode())
