"""One projection replays the whole log: the product's own engine, from offset zero to the end, then it stops.

Run as `python -m bench.replay PLAN`; prints a `Cost` as JSON. What is measured begins once the group has given it its
partitions, with its first look at where they stand, and ends with the commit of the last batch.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping
from time import perf_counter, process_time
from typing import Any

import msgspec
import uvloop
from aiokafka import TopicPartition

from bench.cost import Cost
from domain.names import Names
from projections import generations
from projections.collector import calm_the_collector
from projections.engine import Projector
from projections.postgres_store import connected
from projections.registry import Registration, registered
from projections.servers import Addresses, Servers
from projections.store import Store
from projections.watermarks import Ends

POLL_SECONDS = 0.02
JOINED_POLL_SECONDS = 0.001


class ReplayPlan(msgspec.Struct, frozen=True, kw_only=True):
    """Which projection, and where its topics and tables are."""

    projection: str
    kafka_url: str
    postgres_url: str
    redis_url: str
    namespace: str
    auctions: int
    """How many of `generated_events.histories` the topics hold."""
    is_lean: bool = False
    """Of a limit: it reads as the engine does, and not as an ordinary consumer."""

    @classmethod
    def from_command_line(cls) -> ReplayPlan:
        """The plan as JSON in the first argument."""
        return msgspec.json.decode(sys.argv[1], type=cls)

    @property
    def names(self) -> Names:
        return Names(self.namespace)

    @property
    def registration(self) -> Registration:
        return registered(self.projection)

    @property
    def addresses(self) -> Addresses:
        return Addresses(
            kafka_url=self.kafka_url, postgres_url=self.postgres_url, redis_url=self.redis_url, names=self.names
        )


def print_cost(cost: Cost) -> None:
    """For the process that asked."""
    sys.stdout.buffer.write(msgspec.json.encode(cost) + b"\n")


async def replay(plan: ReplayPlan) -> Cost:
    """Builds a generation, as a rebuild does, until it has applied everything, and drops it."""
    registration = plan.registration
    topics = registration.topics_of(plan.names)
    async with Servers(plan.addresses, client_id="bench-replay") as servers:
        ends = await servers.watermarks.high(topics)
        begun = await _begun(registration, servers, ends)
        projection, store = await registration.opened(servers, begun)
        projector: Projector[Any] = Projector(
            projection,
            store,
            topics=topics,
            group=registration.group(servers.names, begun),
            kafka=servers.kafka,
        )
        stop = asyncio.Event()
        running = asyncio.create_task(projector.run(stop))
        try:
            while projector.partitions is None:
                if running.done():
                    await running
                await asyncio.sleep(JOINED_POLL_SECONDS)
            wall, cpu = perf_counter(), process_time()
            while projector.applied < sum(ends.values()):  # asking the database would cost as much as the replay
                if running.done():
                    await running
                await asyncio.sleep(POLL_SECONDS)
            cost = Cost(sum(ends.values()), process_time() - cpu, perf_counter() - wall)
        finally:
            stop.set()
            await running
        assert await _has_reached(store, ends), "it was stopped before the end"
        async with connected(servers.pool) as connection:
            ended = await generations.end(connection, registration.name, begun)
            await generations.drop_schema(connection, ended.schema)
    return cost


async def _begun(registration: Registration, servers: Servers, ends: Mapping[TopicPartition, int]) -> int:
    """The number of a new generation."""
    async with connected(servers.pool) as connection:
        await generations.establish(connection, [registration])
        return (
            await generations.begin(connection, registration, {tp: Ends(0, end) for tp, end in ends.items()})
        ).number


async def _has_reached(store: Store[Any], ends: Mapping[TopicPartition, int]) -> bool:
    checkpoints = await store.checkpoints()
    return all(tp in checkpoints and checkpoints[tp].next_offset >= end for tp, end in ends.items())


if __name__ == "__main__":
    calm_the_collector()
    print_cost(uvloop.run(replay(ReplayPlan.from_command_line())))
