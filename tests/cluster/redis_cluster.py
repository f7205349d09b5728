"""A real Redis Cluster on this machine, and what its operator and its misfortunes do to it."""

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

MASTERS = 3
NODE_TIMEOUT_MS = 1_000
"""A master that is silent for so long is failed over."""
AGREED_SECONDS = 60.0
LOOK_SECONDS = 0.02
KEYS_MAX = 1_000
MOVE_TIMEOUT_MS = 5_000


class ClusterServer(RedisServer):
    """One node; its data stays when it is started again."""

    def __init__(self, port: int, bus_port: int, folder: DataFolder) -> None:
        super().__init__(port, folder, choose_redis())
        self.name = f"redis-{port}"
        self.home = folder.path / self.name
        self.bus_port = bus_port

    def program(self) -> Program:
        alone = super().program()
        options = {
            "cluster-enabled": "yes",
            "cluster-port": str(self.bus_port),
            "cluster-node-timeout": str(NODE_TIMEOUT_MS),
            "cluster-replica-validity-factor": "0",
            "repl-diskless-sync-delay": "0",
        }
        words = (word for name, value in options.items() for word in (f"--{name}", value))
        return Program(name=self.name, command=(*alone.command, *words), folder=alone.folder, log=alone.log)


class Node(NamedTuple):
    server: ClusterServer
    port: int
    id: str


class RedisCluster:
    """Three masters that share the slots, each with a replica."""

    def __init__(self, nodes: Sequence[Node]) -> None:
        self.nodes = nodes

    @property
    def url(self) -> str:
        return "redis+cluster://" + ",".join(f"{HOST}:{node.port}" for node in self.nodes[:MASTERS])

    async def owner_of(self, key: str) -> Node:
        """The master that has the key's slot."""
        slot = key_slot(key.encode())
        for first, last, (_host, port, *_), *_replicas in await ask(self.nodes[0], "CLUSTER", "SLOTS"):
            if first <= slot <= last:
                return self._node_at(port)
        raise AssertionError(f"nobody has slot {slot}")

    async def another_master(self, than: Node) -> Node:
        slots = await ask(self.nodes[0], "CLUSTER", "SLOTS")
        return next(self._node_at(port) for _, _, (_, port, *_), *_ in slots if port != than.port)

    async def begin_move(self, key: str, to: Node) -> list[bytes]:
        """From here on the slot is between two masters; the keys that are still where they were."""
        slot, source = key_slot(key.encode()), await self.owner_of(key)
        await ask(to, "CLUSTER", "SETSLOT", slot, "IMPORTING", source.id)
        await ask(source, "CLUSTER", "SETSLOT", slot, "MIGRATING", to.id)
        return list(await ask(source, "CLUSTER", "GETKEYSINSLOT", slot, KEYS_MAX))

    async def move_keys(self, source: Node, to: Node, keys: Sequence[bytes]) -> None:
        await ask(source, "MIGRATE", HOST, to.port, "", 0, MOVE_TIMEOUT_MS, "KEYS", *keys)

    async def end_move(self, key: str, to: Node) -> None:
        """The importing master first: it must not lose the slot to one that believes it has it still."""
        slot, source = key_slot(key.encode()), await self.owner_of(key)
        for node in (to, source):
            await ask(node, "CLUSTER", "SETSLOT", slot, "NODE", to.id)
        await until(partial(self._is_owner, to, key))

    async def move(self, key: str) -> Node:
        """All of the key's slot goes to another master; that one."""
        source = await self.owner_of(key)
        to = await self.another_master(source)
        if keys := await self.begin_move(key, to):
            await self.move_keys(source, to, keys)
        await self.end_move(key, to)
        return to

    @asynccontextmanager
    async def failed_over(self, node: Node) -> AsyncIterator[None]:
        """The master is killed, and a replica has taken its slots; in the end it is back, as a replica."""
        node.server.kill()
        await node.server.stop()
        await self._taken_over(node)
        yield
        await node.server.start()
        await self._is_replica(node)

    @asynccontextmanager
    async def suspended(self, node: Node) -> AsyncIterator[None]:
        """As if failed over, but its connections stay open and nobody answers on them; in the end it wakes up."""
        assert node.server.pid is not None
        os.kill(node.server.pid, signal.SIGSTOP)
        try:
            await self._taken_over(node)
            yield
        finally:
            os.kill(node.server.pid, signal.SIGCONT)
        await self._is_replica(node)

    @asynccontextmanager
    async def guarded(self, password: str) -> AsyncIterator[str]:
        """Nobody is let in without the password; an address of one node with it."""
        for node in self.nodes:
            await ask(node, "CONFIG", "SET", "requirepass", password, "masterauth", password)
        yield f"redis+cluster://:{password}@{HOST}:{self.nodes[0].port}"
        for node in self.nodes:
            async with Redis(host=HOST, port=node.port, password=password) as redis:
                await redis.config_set("requirepass", "", "masterauth", "")

    async def is_whole(self) -> None:
        """Returns when every node knows that all slots are served."""
        for node in self.nodes:
            await until(partial(_says, node, "CLUSTER", "INFO", what=b"cluster_state:ok"))

    async def _taken_over(self, node: Node) -> None:
        for each in self.nodes:
            if each is not node:
                await until(partial(self._does_without, each, node))

    async def _is_replica(self, node: Node) -> None:
        await until(partial(_says, node, "ROLE", what=b"connected"))
        await self.is_whole()

    async def _is_owner(self, node: Node, key: str) -> bool:
        return await self.owner_of(key) is node

    async def _does_without(self, node: Node, dead: Node) -> bool:
        ports = [port for _, _, (_, port, *_), *_ in await ask(node, "CLUSTER", "SLOTS")]
        return dead.port not in ports and await _says(node, "CLUSTER", "INFO", what=b"cluster_state:ok")

    def _node_at(self, port: int) -> Node:
        return next(node for node in self.nodes if node.port == port)


async def ask(node: Node, *command: Any) -> Any:
    """The answer of that very node."""
    async with Redis(host=HOST, port=node.port) as redis:
        return await redis.execute_command(*command)


@asynccontextmanager
async def running_cluster(path: Path) -> AsyncIterator[RedisCluster]:
    """Its servers run inside the block."""
    async with AsyncExitStack() as stack:
        folder = DataFolder(path)
        folder.open()
        stack.callback(folder.close)
        taken: set[int] = set()
        nodes = [await _started(stack, folder, taken) for _ in range(2 * MASTERS)]
        cluster = RedisCluster(nodes)
        await _join(nodes[:MASTERS], nodes[MASTERS:])
        await cluster.is_whole()
        yield cluster


async def _started(stack: AsyncExitStack, folder: DataFolder, taken: set[int]) -> Node:
    port, bus_port = choose_port(None, taken), choose_port(None, taken)
    server = ClusterServer(port, bus_port, folder)
    await server.start()
    stack.push_async_callback(server.stop)
    node = Node(server, port, "")
    await ask(node, "CLUSTER", "SET-CONFIG-EPOCH", len(taken))
    return node._replace(id=(await ask(node, "CLUSTER", "MYID")).decode())


async def _join(masters: Sequence[Node], replicas: Sequence[Node]) -> None:
    bounds = [REDIS_CLUSTER_HASH_SLOTS * number // MASTERS for number in range(MASTERS + 1)]
    for node, (begin, end) in zip(masters, pairwise(bounds), strict=True):
        await ask(node, "CLUSTER", "ADDSLOTSRANGE", begin, end - 1)
    for node in (*masters[1:], *replicas):
        await ask(masters[0], "CLUSTER", "MEET", HOST, node.port, node.server.bus_port)
    for master, replica in zip(masters, replicas, strict=True):
        await until(partial(_says, replica, "CLUSTER", "NODES", what=master.id.encode()))
        await ask(replica, "CLUSTER", "REPLICATE", master.id)
    for replica in replicas:
        await until(partial(_says, replica, "ROLE", what=b"connected"))


async def _says(node: Node, *command: str, what: bytes) -> bool:
    return what in await ask(node, *command)


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    """Polls until the condition holds."""
    async with asyncio.timeout(AGREED_SECONDS):
        while not await holds():  # noqa: ASYNC110 - what is waited for happens in other processes
            await asyncio.sleep(LOOK_SECONDS)
