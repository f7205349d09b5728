"""A real Redis Cluster on this machine, as one that grows, moves slots and loses masters."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

from redis.asyncio import Redis
from redis.crc import REDIS_CLUSTER_HASH_SLOTS, key_slot

from gavel.child import Program
from gavel.embedded.folder import DataFolder
from gavel.embedded.ports import HOST, choose_port
from gavel.embedded.redis import Redis as RedisServer
from gavel.embedded.redis import choose_redis

NODE_TIMEOUT_MS = 1_000
"""A master that is silent for so long is failed over."""
AGREED_SECONDS = 60.0
LOOK_SECONDS = 0.02


class Node(NamedTuple):
    server: ClusterServer
    port: int
    id: str


class ClusterServer(RedisServer):
    """One node."""

    def __init__(self, port: int, bus_port: int, folder: DataFolder) -> None:
        super().__init__(port, folder, choose_redis())
        self.home = folder.path / f"redis-{port}"
        self.name = f"redis-{port}"
        self.bus_port = bus_port

    def program(self) -> Program:
        alone = super().program()
        options = {
            "cluster-enabled": "yes",
            "cluster-port": str(self.bus_port),
            "cluster-node-timeout": str(NODE_TIMEOUT_MS),
            "cluster-replica-validity-factor": "0",
        }
        words = (word for name, value in options.items() for word in (f"--{name}", value))
        return Program(name=self.name, command=(*alone.command, *words), folder=alone.folder, log=alone.log)


class RedisCluster:
    """Its nodes, and what an operator does with them."""

    def __init__(self, masters: Sequence[Node], replicas: Sequence[Node]) -> None:
        self.masters = masters
        self.replicas = replicas

    @property
    def url(self) -> str:
        return "redis+cluster://" + ",".join(f"{HOST}:{node.port}" for node in self.masters)

    async def owner_of(self, key: str) -> Node:
        """The master that has the key's slot, as the others see it."""
        slot = key_slot(key.encode())
        for first, last, (_host, port, *_), *_replicas in await self._slots():
            if first <= slot <= last:
                return next(node for node in (*self.masters, *self.replicas) if node.port == port)
        raise AssertionError(f"nobody has slot {slot}")

    async def begin_move(self, key: str, to: Node) -> list[bytes]:
        """The key's slot is between two masters; the keys that are still where they were."""
        slot, source = key_slot(key.encode()), await self.owner_of(key)
        await ask(to, "CLUSTER", "SETSLOT", slot, "IMPORTING", source.id)
        await ask(source, "CLUSTER", "SETSLOT", slot, "MIGRATING", to.id)
        return list(await ask(source, "CLUSTER", "GETKEYSINSLOT", slot, 1_000))

    async def move_keys(self, source: Node, to: Node, keys: Sequence[bytes]) -> None:
        await ask(source, "MIGRATE", HOST, to.port, "", 0, 5_000, "KEYS", *keys)

    async def end_move(self, key: str, to: Node) -> None:
        for node in (to, *(each for each in self.masters if each is not to)):
            await ask(node, "CLUSTER", "SETSLOT", key_slot(key.encode()), "NODE", to.id)

    async def move(self, key: str, to: Node) -> None:
        """All of the slot goes to another master."""
        source = await self.owner_of(key)
        if keys := await self.begin_move(key, to):
            await self.move_keys(source, to, keys)
        await self.end_move(key, to)

    async def fail_over(self, node: Node) -> None:
        """The master is killed; returns when a replica has taken its slots."""
        assert node.server.pid is not None
        os.kill(node.server.pid, signal.SIGKILL)
        await _until(lambda: self._has_left(node))
        await _until(lambda: self._is_whole(without=node))

    async def is_whole(self) -> bool:
        """Whether every node knows who has which slot."""
        return await self._is_whole(without=None)

    async def _has_left(self, node: Node) -> bool:
        return node.port not in [port for _, _, (_, port, *_), *_ in await self._slots(without=node)]

    async def _is_whole(self, without: Node | None) -> bool:
        nodes = [node for node in (*self.masters, *self.replicas) if node is not without]
        return all([b"cluster_state:ok" in await ask(node, "CLUSTER", "INFO") for node in nodes])

    async def _slots(self, without: Node | None = None) -> Any:
        node = next(node for node in (*self.masters, *self.replicas) if node is not without)
        return await ask(node, "CLUSTER", "SLOTS")


async def ask(node: Node, *command: Any) -> Any:
    """The answer of that very node."""
    async with Redis(host=HOST, port=node.port) as redis:
        return await redis.execute_command(*command)


@asynccontextmanager
async def running_cluster(path: Path, *, masters: int = 3, replicas: int = 0) -> AsyncIterator[RedisCluster]:
    """So many masters that share the slots, and of the first ones so many with a replica."""
    async with AsyncExitStack() as stack:
        folder = DataFolder(path)
        folder.open()
        stack.callback(folder.close)
        taken: set[int] = set()
        nodes = [await _started(stack, folder, taken) for _ in range(masters + replicas)]
        cluster = RedisCluster(nodes[:masters], nodes[masters:])
        await _join(cluster)
        yield cluster


async def _started(stack: AsyncExitStack, folder: DataFolder, taken: set[int]) -> Node:
    port, bus_port = choose_port(None, taken), choose_port(None, taken)
    server = ClusterServer(port, bus_port, folder)
    await server.start()
    stack.push_async_callback(server.stop)
    node = Node(server, port, "")
    await ask(node, "CLUSTER", "SET-CONFIG-EPOCH", len(taken) // 2)
    return node._replace(id=(await ask(node, "CLUSTER", "MYID")).decode())


async def _join(cluster: RedisCluster) -> None:
    first = cluster.masters[0]
    bounds = [REDIS_CLUSTER_HASH_SLOTS * n // len(cluster.masters) for n in range(len(cluster.masters) + 1)]
    for node, (begin, end) in zip(cluster.masters, pairwise(bounds), strict=True):
        await ask(node, "CLUSTER", "ADDSLOTSRANGE", begin, end - 1)
    for node in (*cluster.masters[1:], *cluster.replicas):
        await ask(first, "CLUSTER", "MEET", HOST, node.port, node.server.bus_port)
    for master, replica in zip(cluster.masters, cluster.replicas, strict=False):
        await _until(partial(_says, replica, "CLUSTER", "NODES", what=master.id.encode()))
        await ask(replica, "CLUSTER", "REPLICATE", master.id)
    await _until(cluster.is_whole)
    for replica in cluster.replicas:
        await _until(partial(_says, replica, "ROLE", what=b"connected"))


async def _says(node: Node, *command: str, what: bytes) -> bool:
    return what in await ask(node, *command)


async def _until(holds: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(AGREED_SECONDS):
        while not await holds():  # noqa: ASYNC110 - what is waited for happens in other processes
            await asyncio.sleep(LOOK_SECONDS)
