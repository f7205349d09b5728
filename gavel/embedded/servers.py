"""The servers that an installation needs: those its settings name are used, the others are started and kept running."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from pathlib import Path
from types import TracebackType
from typing import Literal, NamedTuple

from rich.console import Console

from gavel.embedded.folder import DataFolder
from gavel.embedded.jars import JarCache, Stopped, read_lock
from gavel.embedded.java import choose_java
from gavel.embedded.kafka import Broker, Node, new_cluster_id
from gavel.embedded.orphans import end_orphans
from gavel.embedded.ports import choose_port
from gavel.embedded.postgres import Postgres
from gavel.embedded.redis import Redis, choose_redis
from gavel.embedded.server import Server
from gavel.errors import CannotRun
from gavel.settings import Settings
from gavel.supervisor import Supervisor

ServerName = Literal["kafka", "postgres", "redis"]
ALL: frozenset[ServerName] = frozenset({"kafka", "postgres", "redis"})
BROKER_COUNTS = (1, 3)


class Urls(NamedTuple):
    """Where the servers are; None: not asked for."""

    kafka_url: str | None
    postgres_url: str | None
    redis_url: str | None


class EmbeddedServers:
    """`async with EmbeddedServers(settings) as urls:` — the servers run inside the block, and a dead one is restarted.

    With `folder`, the caller holds the data folder; without, it is locked here. `announce` gets one line for people
    about each server and each restart. Raises CannotRun.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        only: Collection[ServerName] = ALL,
        folder: DataFolder | None = None,
        announce: Callable[[str], None] = lambda _line: None,
        console: Console | None = None,
    ) -> None:
        self._settings = settings
        self._only = only
        self._borrowed = folder is not None
        self._folder = folder or DataFolder(settings.data)
        self._announce = announce
        self._console = console or Console(stderr=True)
        self._supervisor = Supervisor(announce)
        self._servers: dict[str, Server] = {}

    def __repr__(self) -> str:
        return f"<EmbeddedServers in {self._folder.path}: {', '.join(self._servers) or 'none running'}>"

    async def __aenter__(self) -> Urls:
        if not self._borrowed:
            self._folder.open()
        try:
            return await self._start()
        except BaseException:
            await self._stop()
            raise

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stop()

    def kill(self) -> None:
        """Hurries a stop that is under way."""
        self._supervisor.kill()

    async def _stop(self) -> None:
        await self._supervisor.stop()
        self._servers.clear()
        if not self._borrowed:
            self._folder.close()

    @property
    def pids(self) -> dict[str, int]:
        """Process ids of the running servers: kafka-1, …, postgres, redis."""
        return {name: server.pid for name, server in self._servers.items() if server.pid is not None}

    async def take_down(self, name: str) -> None:
        """Stops one server (kafka-1, …, postgres, redis) and leaves it so."""
        await self._supervisor.take_down(self._servers[name])

    async def bring_back(self, name: str) -> None:
        """Starts a server again that was taken down, on the same data and port."""
        await self._supervisor.bring_back(self._servers[name])

    async def _start(self) -> Urls:
        for name in await end_orphans(self._folder.record.running):
            self._announce(f"{name} was still running from an earlier start; it was ended")
        self._folder.record.running.clear()
        taken: set[int] = set()
        brokers = await self._brokers(taken) if self._starts("kafka") else []
        postgres = [Postgres(self._port("postgres", taken), self._folder)] if self._starts("postgres") else []
        redis = [Redis(self._port("redis", taken), self._folder, choose_redis())] if self._starts("redis") else []
        self._folder.save()
        servers: list[Server] = [*brokers, *postgres, *redis]
        for server in servers:
            self._servers[server.name] = server
            self._announce(f"{server.name}: {server.label}")
        await self._supervisor.start(*servers)
        settings = self._settings
        return Urls(
            ",".join(broker.address for broker in brokers) or self._wanted("kafka", settings.kafka_url),
            postgres[0].url if postgres else self._wanted("postgres", settings.postgres_url),
            redis[0].url if redis else self._wanted("redis", settings.redis_url),
        )

    def _starts(self, name: ServerName) -> bool:
        """Whether it is ours to start; says so where it is not."""
        url = getattr(self._settings, f"{name}_url")
        if name in self._only and url:
            self._announce(f"{name}: the one that GAVEL_{name.upper()}_URL names")
        return name in self._only and not url

    def _wanted(self, name: ServerName, url: str | None) -> str | None:
        return url if name in self._only else None

    async def _brokers(self, taken: set[int]) -> list[Broker]:
        record, count = self._folder.record, self._settings.brokers
        if count not in BROKER_COUNTS:
            raise CannotRun(f"{count} brokers are not possible: 1, or 3 of which one may fail (--brokers)")
        if record.brokers not in (None, count):
            raise CannotRun(
                f"the log in {self._folder.path} is spread over {record.brokers} brokers: "
                f"start it with --brokers {record.brokers}, or name another folder (--data)"
            )
        record.brokers = count
        record.cluster_id = record.cluster_id or new_cluster_id()
        nodes = [
            Node(n, self._port(f"kafka-{n}", taken), self._port(f"kafka-{n}-controller", taken))
            for n in range(1, count + 1)
        ]
        java, jars = choose_java(), await self._jars()
        return [Broker(node, nodes, self._folder, java, jars) for node in nodes]

    async def _jars(self) -> list[Path]:
        cache = JarCache(self._settings.cache, self._console)
        try:
            return await asyncio.to_thread(cache.ensure, read_lock())
        except asyncio.CancelledError:
            cache.stop()
            raise
        except Stopped:
            raise CannotRun("fetching Apache Kafka was stopped; what has arrived is kept for the next start") from None

    def _port(self, name: str, taken: set[int]) -> int:
        port = choose_port(self._folder.record.ports.get(name), taken)
        self._folder.record.ports[name] = port
        return port
