"""What workers do for generations beside projecting: they finish what was begun or asked for, whoever did that.

One that was built and is to become the active one by itself is compared and swapped; where that is not possible, it
says why. Comparisons that somebody asked for are made. What has ended loses its tables and its consumer group.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from itertools import groupby

import structlog

from domain.errors import Conflict, NotFound, Unavailable
from projections import generations, turns
from projections.consumer_groups import delete_group
from projections.generation import COLUMNS, Generation
from projections.postgres_store import Connection, connected
from projections.registry import Registration
from projections.servers import Servers
from projections.store import EventRefused
from projections.swap import swap
from projections.verification import verify

LOOK_S = 1.0
AGAIN_FIRST_S = 1.0
AGAIN_FACTOR = 2.0
AGAIN_MAX_S = 30.0
"""What was not possible is tried again, less and less often."""
TURN = 7_146_925
"""Advisory lock of the worker that sees to a projection; a number of our own choice."""

TO_DO = f"""
SELECT {COLUMNS} FROM projection_generations
WHERE projection = ANY($1) AND layout <> '' AND (
    status = 'ready' AND swaps_itself
    OR status IN ('ready', 'previous') AND verify_asked_at IS NOT NULL
    OR status IN ('retired', 'cancelled') AND removed_at IS NULL
) ORDER BY projection, verify_asked_at NULLS FIRST, generation
"""  # noqa: S608 - nothing but names of columns is put in
WAITS = """
UPDATE projection_generations SET waits_because = $3 WHERE projection = $1 AND generation = $2 AND status <> 'active'
"""
STAYS = """
UPDATE projection_generations SET swaps_itself = false, waits_because = $3 WHERE projection = $1 AND generation = $2
"""
REMOVED = "UPDATE projection_generations SET removed_at = now() WHERE projection = $1 AND generation = $2"

log = structlog.stdlib.get_logger(__name__)


class Upkeep:
    """Looks once a second what there is to do for some projections; of several processes one does it.

    One thing at a time for each projection: a comparison that takes an hour keeps no other one waiting.
    """

    def __init__(self, registrations: Sequence[Registration], servers: Servers) -> None:
        self._registrations = {each.name: each for each in registrations}
        self._servers = servers
        self._again: dict[tuple[str, int], tuple[float, float]] = {}
        """Of what was not possible: when it is tried again, and how long was waited for that."""
        self._at_work: dict[str, asyncio.Task[None]] = {}
        """By projection."""

    def __repr__(self) -> str:
        return f"Upkeep({sorted(self._registrations)})"

    async def run(self, stop: asyncio.Event) -> None:
        """Until `stop` is set; a comparison is broken off then, and made by whoever comes next."""
        async with asyncio.TaskGroup() as tasks:
            looking = tasks.create_task(self._look(tasks))
            await stop.wait()
            looking.cancel()
            for each in self._at_work.values():
                each.cancel()

    async def _look(self, tasks: asyncio.TaskGroup) -> None:
        while True:
            for name, to_do in groupby(await self._to_do(), lambda each: each.projection):
                if name not in self._at_work or self._at_work[name].done():
                    self._at_work[name] = tasks.create_task(self._work(name, [*to_do]))
            await asyncio.sleep(LOOK_S)

    async def _to_do(self) -> Sequence[Generation]:
        try:
            async with connected(self._servers.pool) as connection:
                to_do = [Generation(*row) for row in await connection.fetch(TO_DO, [*self._registrations])]
        except Unavailable as away:
            log.warning("waiting for a server", error=str(away))
            return []
        self._again = {key: at for key, at in self._again.items() if key in {_key(each) for each in to_do}}
        return [each for each in to_do if time.monotonic() >= self._again.get(_key(each), (0.0, 0.0))[0]]

    async def _work(self, name: str, to_do: Sequence[Generation]) -> None:
        """In its turn; nothing where somebody else has it."""
        try:
            async with connected(self._servers.pool) as turn:
                if not await turns.taken(turn, TURN, name):
                    return
                # It ends with the loan of the connection.
                async with turns.kept(turn):
                    for generation in to_do:
                        await self._see_to(generation)
        except Unavailable as away:
            log.warning("waiting for a server", error=str(away))

    async def _see_to(self, generation: Generation) -> None:
        try:
            await self._do(generation)
        except NotFound:
            return
        except (Conflict, Unavailable, EventRefused) as reason:
            await self._wait(generation, str(reason))

    async def _do(self, generation: Generation) -> None:
        """Raises Conflict and Unavailable where it is not possible now."""
        registration = self._registrations[generation.projection]
        if generation.status in {"retired", "cancelled"}:
            async with connected(self._servers.pool) as connection:
                await remove(connection, registration, generation.number, self._servers)
            return
        # What another version of the code has built is its to see to.
        if generation.layout != registration.layout:
            return
        is_compared = generation.accepts_differences or not generation.swaps_itself
        if generation.verify_asked_at is not None or not is_compared:
            found = await verify(self._servers.pool, registration, generation.number)
            if found.is_equal is False and not is_compared:
                log.error("not made the active one", reason=found.summary)
                async with connected(self._servers.pool) as connection:
                    await connection.execute(STAYS, *_key(generation), found.summary)
                return
        if generation.swaps_itself:
            async with connected(self._servers.pool) as connection:
                await swap(connection, registration, generation.number)
            log.warning("active now", projection=generation.projection, generation=generation.number)

    async def _wait(self, generation: Generation, reason: str) -> None:
        """Keeps the reason, and tries again later."""
        key = _key(generation)
        _, before_s = self._again.get(key, (0.0, 0.0))
        pause_s = min(max(AGAIN_FIRST_S, before_s * AGAIN_FACTOR), AGAIN_MAX_S)
        self._again[key] = (time.monotonic() + pause_s, pause_s)
        if reason != generation.waits_because:
            log.warning("waits", projection=generation.projection, generation=generation.number, reason=reason)
        # A comparison that was made meanwhile has taken back what was said before it.
        async with connected(self._servers.pool) as connection:
            await connection.execute(WAITS, *key, reason)


async def remove(connection: Connection, registration: Registration, number: int, servers: Servers) -> None:
    """Removes what a generation that has ended has on disk and in Kafka.

    Raises Unavailable while somebody reads its tables, and Conflict while somebody is in its consumer group.
    """
    generation = await generations.one(connection, registration.name, number)
    await generations.drop_schema(connection, generation.schema)
    await delete_group(servers.kafka, registration.group(servers.names, number))
    await connection.execute(REMOVED, registration.name, number)


def _key(generation: Generation) -> tuple[str, int]:
    return generation.projection, generation.number
