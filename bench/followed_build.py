"""Builds of read models by worker processes, followed from outside: what was applied, what it cost, what it took.

Workers are `gavel project NAME`, as an operator starts them; how far they are is read where they write it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from time import monotonic
from typing import NamedTuple

import asyncpg
from aiokafka.admin import AIOKafkaAdminClient

from bench.cost import Cost
from bench.installation import PARTITIONS, Installation
from bench.process import START_SECONDS, Process, free_port, python, running
from domain.names import Names
from gavel.settings import Settings, environment_of
from gavel.topics import ensure_topics
from projections import generations
from projections.migrate import migrate
from projections.postgres_store import Connection, Pool, connected
from projections.registry import registered
from projections.servers import Addresses
from projections.watermarks import Watermarks

LOOK_SECONDS = 0.25
STUCK_SECONDS = 300.0
"""Without a single event applied, on however busy a machine."""

PROGRESS = """
SELECT status, stopped_reason, coalesce((
    SELECT sum(next_offset - first_offset) FROM projection_offsets AS at
    WHERE (at.projection, at.generation) = (built.projection, built.generation)
), 0)::bigint
FROM projection_generations AS built WHERE projection = $1 AND generation = $2
"""

STAND_STILL = """
UPDATE projection_generations SET stopped_reason = 'waits for all workers' WHERE projection = $1 AND generation = $2
"""


class BuildFailed(RuntimeError):
    """A build has stopped, or does not go on."""


class Sample(NamedTuple):
    """One look at the workers."""

    applied: int
    """Events of the build so far."""
    resident_bytes: int
    """Of all of them together."""


class Build(NamedTuple):
    """What a build came to."""

    cost: Cost
    """Per event; CPU is that of the workers."""
    samples: Sequence[Sample]


class ReadSide:
    """Topics and a database of an installation, and the workers on them."""

    def __init__(self, installation: Installation, settings: Settings, pool: Pool) -> None:
        self.settings = settings
        self.names = Names(settings.namespace)
        self.environment = environment_of(settings)
        self.addresses = Addresses(
            kafka_url=installation.urls.kafka_url,
            postgres_url=installation.urls.postgres_url,
            redis_url=installation.urls.redis_url,
            names=self.names,
        )
        self._pool = pool

    def __repr__(self) -> str:
        return f"ReadSide({self.names.namespace!r})"

    @asynccontextmanager
    async def workers(self, count: int, *projections: str) -> AsyncIterator[list[Process]]:
        """So many processes that run these projections, once every one of them has its share of each."""
        async with AsyncExitStack() as stack:
            command = python("-m", "gavel", "project", *projections)
            started = [
                await stack.enter_async_context(
                    running(f"worker {number} of {', '.join(projections)}", command, environment=self.environment)
                )
                for number in range(1, count + 1)
            ]
            for name in projections:
                await self._shared(name, started)
            yield started

    async def _shared(self, name: str, workers: Sequence[Process], number: int | None = None) -> None:
        """Returns once all of them have their share of a generation, by default of the active one."""
        admin = AIOKafkaAdminClient(bootstrap_servers=self.addresses.kafka_url.removeprefix("kafka://"))
        await admin.start()
        try:
            until = monotonic() + START_SECONDS
            while await self._members(admin, name, number) < len(workers):
                if monotonic() > until:
                    raise workers[-1].failure(f"did not join within {START_SECONDS:.0f} s")
                await asyncio.sleep(LOOK_SECONDS)
        finally:
            await admin.close()

    async def rebuild_command(self, name: str, timeout_seconds: float) -> None:
        """`gavel projections rebuild`, as an operator runs it: built, compared, swapped. Raises ProcessFailed."""
        command = python("-m", "gavel", "projections", "rebuild", name)
        async with running(f"rebuild {name}", command, environment=self.environment) as process:
            await process.success(timeout_seconds)

    async def begin(self, name: str) -> int:
        """The number of a new generation, which workers find by themselves; one that had stopped goes on."""
        async with connected(self._pool) as connection:
            return await self._begun(connection, name)

    async def begin_together(self, name: str, workers: Sequence[Process]) -> int:
        """The same, but it stands still until all of them have their share of it."""
        async with connected(self._pool) as connection, connection.transaction():
            number = await self._begun(connection, name)
            await connection.execute(STAND_STILL, name, number)
        await self._shared(name, workers, number)
        return await self.begin(name)

    async def _begun(self, connection: Connection, name: str) -> int:
        registration = registered(name)
        async with Watermarks(self.addresses.kafka_url, client_id="bench") as watermarks:
            ends = await watermarks.ends(registration.topics_of(self.names))
        return (await generations.begin(connection, registration, ends)).number

    async def active(self, name: str) -> int:
        """The number of the generation that queries read."""
        async with connected(self._pool) as connection:
            return (await generations.active(connection, name)).number

    async def logged(self, name: str) -> int:
        """Events in the topics of a projection."""
        async with Watermarks(self.addresses.kafka_url, client_id="bench") as watermarks:
            return sum((await watermarks.high(registered(name).topics_of(self.names))).values())

    async def followed(
        self, name: str, number: int, workers: Sequence[Process], until: int, on_progress: Callable[[int], None]
    ) -> Build:
        """Returns once so many events of a generation are applied. Raises BuildFailed if it stops before."""
        samples: list[Sample] = []
        started, moved = monotonic(), monotonic()
        cpu_before, applied_before = _cpu_seconds(workers), (await self._progress(name, number))[2]
        while True:
            status, reason, applied = await self._progress(name, number)
            cost = Cost(max(1, applied - applied_before), _cpu_seconds(workers) - cpu_before, monotonic() - started)
            if not samples or applied != samples[-1].applied:
                moved = monotonic()
            samples.append(Sample(applied, sum(_resident_bytes(each) for each in workers)))
            on_progress(applied)
            if applied >= until:
                return Build(cost, samples)
            if reason is not None or monotonic() - moved > STUCK_SECONDS:
                raise BuildFailed(f"generation {number} of {name} is {status} at {applied:,} of {until:,}: {reason}")
            await asyncio.sleep(LOOK_SECONDS)

    async def ready(self, name: str, number: int) -> None:
        """Returns once a generation that has applied its events is known to be built. Raises BuildFailed."""
        until = monotonic() + STUCK_SECONDS
        while (found := await self._progress(name, number))[0] == "building":
            if monotonic() > until:
                raise BuildFailed(f"generation {number} of {name} does not become ready: {found}")
            await asyncio.sleep(LOOK_SECONDS)

    async def _progress(self, name: str, number: int) -> tuple[str, str | None, int]:
        async with connected(self._pool) as connection:
            status, reason, applied = await connection.fetchrow(PROGRESS, name, number) or ("missing", None, 0)
        return status, reason, applied

    async def _members(self, admin: AIOKafkaAdminClient, name: str, number: int | None) -> int:
        """Of the group, if it is stable; the first generation is made by its first worker."""
        async with connected(self._pool) as connection:
            found = await generations.of(connection, [name])
        number = number or max((each.number for each in found if each.status == "active"), default=0)
        (answer,) = await admin.describe_consumer_groups([registered(name).group(self.names, number)])
        (_, _, state, _, _, members, *_) = answer.groups[0]
        return len(members) if state == "Stable" else 0


@asynccontextmanager
async def read_side(installation: Installation, namespace: str) -> AsyncIterator[ReadSide]:
    """Fresh topics in the installation, and its database migrated."""
    settings = installation.settings(port=free_port(), namespace=namespace)
    await ensure_topics(installation.urls.kafka_url, Names(namespace), PARTITIONS)
    await migrate(installation.urls.postgres_url)
    async with asyncpg.create_pool(installation.urls.postgres_url, min_size=0, max_size=2) as pool:
        yield ReadSide(installation, settings, pool)


def _cpu_seconds(workers: Sequence[Process]) -> float:
    return sum(each.cpu_seconds() for each in workers)


def _resident_bytes(worker: Process) -> int:
    return sum(each.memory_info().rss for each in worker.tree())
