"""The consumer of bulk loads reads a topic from offset zero into an empty Redis, audits it, and stops.

Run as `python -m bench.feed_replay PLAN`; prints a `Filled` as JSON. What is measured begins when the first batch is
applied, because before that a consumer waits to be let into its group. It ends when the last record is applied, and the
audit of it is in Postgres.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable
from time import perf_counter, process_time
from typing import Any, cast

import msgspec
import uvloop
from redis.asyncio import Redis

from bench.cost import Cost
from domain.names import Names
from projections.collector import calm_the_collector
from projections.engine import Projector
from projections.feed_audit import FeedAudit
from projections.postgres_store import connected
from projections.registry import registered
from projections.servers import Addresses, Servers

POLL_SECONDS = 0.02
PROJECTION = "audiences_bulk"


class FeedPlan(msgspec.Struct, frozen=True, kw_only=True):
    """Where the log, the database and a Redis to fill are."""

    kafka_url: str
    postgres_url: str
    redis_url: str
    """Of a database of its own there, which is emptied."""
    namespace: str
    client: str
    """Id of the feed client that the topic's records are of."""

    @classmethod
    def from_command_line(cls) -> FeedPlan:
        """The plan as JSON in the first argument."""
        return msgspec.json.decode(sys.argv[1], type=cls)

    @property
    def names(self) -> Names:
        return Names(self.namespace)


class Filled(msgspec.Struct, frozen=True, kw_only=True):
    """A Redis that was filled."""

    cost: Cost
    record_bytes: float
    """Of Redis' memory, for each record."""
    redis_cpu_us: float
    """Of Redis' own, for each record."""


class Meter:
    """What Redis says of itself, and this process, from the moment on that it was begun."""

    def __init__(self, redis: Redis, memory: int) -> None:
        self._redis = redis
        self._memory = memory
        self._redis_cpu = self._wall = self._cpu = 0.0

    @classmethod
    async def of_emptied(cls, redis: Redis) -> Meter:
        """A database that has nothing left."""
        # At once: what is freed later would be missing from what is measured.
        await cast("Awaitable[None]", redis.execute_command("FLUSHDB", "SYNC"))  # type: ignore[no-untyped-call]
        return cls(redis, await _memory(redis))

    async def start(self) -> None:
        self._redis_cpu = await _cpu(self._redis)
        self._wall, self._cpu = perf_counter(), process_time()

    async def filled(self, measured: int, records: int) -> Filled:
        """`measured` of the records were applied since the start."""
        cost = Cost(measured, process_time() - self._cpu, perf_counter() - self._wall)
        memory, redis_cpu = await _memory(self._redis) - self._memory, await _cpu(self._redis) - self._redis_cpu
        return Filled(cost=cost, record_bytes=memory / records, redis_cpu_us=redis_cpu / measured * 1e6)


async def _memory(redis: Redis) -> int:
    """Without what it has for the time being: answers and commands on their way, and what is to be on disk soon."""
    said = await redis.info("memory")
    return int(said["used_memory"] - said["mem_clients_normal"] - said["mem_aof_buffer"])


async def _cpu(redis: Redis) -> float:
    said = await redis.info("cpu")
    return float(said["used_cpu_user"] + said["used_cpu_sys"])


def print_filled(filled: Filled) -> None:
    """For the process that asked."""
    sys.stdout.buffer.write(msgspec.json.encode(filled) + b"\n")


async def replay(plan: FeedPlan) -> Filled:
    """By the product's own engine, with the companion that brings the audit to Postgres."""
    registration = registered(PROJECTION)
    topics = registration.topics_of(plan.names)
    addresses = Addresses(
        kafka_url=plan.kafka_url, postgres_url=plan.postgres_url, redis_url=plan.redis_url, names=plan.names
    )
    async with Servers(addresses, client_id="bench-feeds") as servers:
        records = sum((await servers.watermarks.high(topics)).values())
        async with connected(servers.pool) as connection:
            await connection.execute("TRUNCATE feed_audit")
        projection, store = await registration.opened(servers, 1)
        group = registration.group(servers.names, 1)
        projector: Projector[Any] = Projector(projection, store, topics=topics, group=group, kafka=servers.kafka)
        audit = FeedAudit(servers.redis, servers.pool, servers.names)
        stop = asyncio.Event()
        meter = await Meter.of_emptied(servers.redis)
        running = asyncio.gather(projector.run(stop), audit.run(stop))
        try:
            await _applied(projector, running, 1)
            first = projector.applied
            await meter.start()
            await _applied(projector, running, records)
            await audit.bring()
            return await meter.filled(records - first, records)
        finally:
            stop.set()
            await running


async def _applied(projector: Projector[Any], running: asyncio.Future[Any], records: int) -> None:
    """Returns once so many are."""
    while projector.applied < records:  # asking Redis would cost as much as what is measured
        if running.done():
            await running
        await asyncio.sleep(POLL_SECONDS)


if __name__ == "__main__":
    calm_the_collector()
    print_filled(uvloop.run(replay(FeedPlan.from_command_line())))
