"""The swap: queries read another generation from one transaction on, and nobody sees a step back.

The generation that was active becomes the previous one and is kept up to date, so that it can be swapped back.
"""

from __future__ import annotations

import asyncio
import time

import asyncpg

from domain.errors import NotPossible, Unavailable
from projections import decisions, generations
from projections.generation import COMPARABLE, Generation
from projections.hold import held, reached
from projections.postgres_store import Connection
from projections.registry import Registration
from projections.views import show

LOCK_MS = 300
"""A view is replaced between two queries; those that come meanwhile wait no longer than this."""
TRIES_S = 30.0
PAUSE_S = 0.2

LOCK = """
SELECT generation FROM projection_offsets WHERE projection = $1 AND generation = ANY($2)
ORDER BY generation, topic, partition FOR UPDATE
"""
BEHIND = """
SELECT old.topic || '/' || old.partition || ' at ' || coalesce(new.next_offset::text, 'nothing')
    || ' instead of ' || old.next_offset
FROM projection_offsets AS old LEFT JOIN projection_offsets AS new
    ON (new.projection, new.generation, new.topic, new.partition) = (old.projection, $3, old.topic, old.partition)
WHERE old.projection = $1 AND old.generation = $2 AND old.next_offset > coalesce(new.next_offset, old.first_offset)
ORDER BY old.topic, old.partition
"""
STANDS = """
SELECT topic, partition, next_offset FROM projection_offsets
WHERE projection = $1 AND generation = $2 AND next_offset > first_offset
"""
BEHIND_THAT = """
SELECT sum(stood - coalesce(next_offset, 0))::bigint
FROM unnest($3::text[], $4::int[], $5::bigint[]) AS place (topic, partition, stood) LEFT JOIN projection_offsets AS at
    ON (at.projection, at.generation, at.topic, at.partition) = ($1, $2, place.topic, place.partition)
WHERE stood > coalesce(next_offset, 0) HAVING count(*) > 0
"""
LETTERS = "SELECT count(*) FROM dead_letters WHERE projection = $1 AND generation = $2 AND outcome IS NULL"
POINT = "UPDATE projections SET active_generation = $2 WHERE projection = $1"
STATUS = """
UPDATE projection_generations
SET status = $3, activated_at = CASE WHEN $3 = 'active' THEN now() ELSE activated_at END, waits_because = NULL,
    swaps_itself = false
WHERE projection = $1 AND generation = $2
"""


class NotReady(NotPossible):
    """The generation may not become the active one now."""


class StillBehind(NotReady):
    """It has much to read still of what the active one has applied: that passes."""

    def __init__(self, generation: Generation, active: int, events: int) -> None:
        self.events = events
        what = f"generation {generation.number} of {generation.projection}"
        super().__init__(f"{what} is {events:,} events behind generation {active} still")


async def swap(
    connection: Connection,
    registration: Registration,
    number: int,
    *,
    accept_dead_letters: bool = False,
    by: str | None = None,
) -> Generation:
    """Makes a generation that is ready, or was active before, the active one.

    `by` is who has decided it, where that is not who began the generation.
    Raises NotFound, NotReady with the reason, and Unavailable when queries hold on to the views for too long.
    """
    deadline = time.monotonic() + TRIES_S
    while True:
        active = await generations.active(connection, registration.name)
        if active.number == number:
            return active
        generation = await generations.one(connection, registration.name, number)
        _check_itself(registration, generation)
        await catch_up(connection, active.number, generation)
        try:
            # Two that follow the same log pass each other all the time: one is held until the other has passed it.
            async with held(connection, registration.name, active.number):
                await reached(connection, BEHIND, registration.name, active.number, number)
                async with connection.transaction():
                    is_swapped = await _swapped(connection, registration, active.number, number, accept_dead_letters)
                    if is_swapped and by is not None:
                        stated = {"accept_dead_letters": True} if accept_dead_letters else None
                        await decisions.record(connection, "swap", registration.name, number, by=by, options=stated)
            return await generations.one(connection, registration.name, number)
        except (asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError) as busy:
            if time.monotonic() > deadline:
                raise Unavailable(f"queries hold on to {registration.name}: try again") from busy
            await asyncio.sleep(PAUSE_S)


async def catch_up(connection: Connection, active: int, generation: Generation) -> None:
    """Raises StillBehind where a hold of the active one would last too long.

    That is where the generation takes longer than a hold to come to where the active one stands now. Nobody is held.
    """
    name, number = generation.projection, generation.number
    stands = await connection.fetch(STANDS, name, active)
    place = [[row[at] for row in stands] for at in range(3)]
    if not await reached(connection, BEHIND_THAT, name, number, *place):
        events = await connection.fetchval(BEHIND_THAT, name, number, *place)
        raise StillBehind(generation, active, events or 0)


async def _swapped(
    connection: Connection, registration: Registration, old: int, new: int, accept_dead_letters: bool
) -> bool:
    """False where somebody else has done it meanwhile."""
    name = registration.name
    await connection.execute(f"SET LOCAL lock_timeout = {LOCK_MS}")
    await connection.execute("SELECT FROM projections WHERE projection = $1 FOR UPDATE", name)
    active = (await generations.active(connection, name)).number
    if active == new:
        return False
    if active != old:
        raise NotReady(f"another generation of {name} has become active meanwhile")
    await connection.fetch(LOCK, name, [old, new])
    generation = await generations.one(connection, name, new)
    await _check(connection, registration, old, generation, accept_dead_letters)
    try:
        await show(connection, registration.tables, generation.schema)
    except asyncpg.DependentObjectsStillExistError as error:
        raise NotReady(
            f"other tables than before are to be read as {name}, and views of your own are built on those: "
            f"{error.detail}; drop them, and make them again when generation {new} is active"
        ) from error
    await connection.execute(POINT, name, new)
    await connection.execute(STATUS, name, old, "previous")
    await connection.execute(STATUS, name, new, "active")
    return True


async def _check(
    connection: Connection, registration: Registration, old: int, new: Generation, accept_dead_letters: bool
) -> None:
    """Raises NotReady."""
    _check_itself(registration, new)
    what = f"generation {new.number} of {new.projection}"
    behind = [row[0] for row in await connection.fetch(BEHIND, new.projection, old, new.number)]
    if behind:
        raise NotReady(f"{what} is behind: {', '.join(behind)}")
    letters = await connection.fetchval(LETTERS, new.projection, new.number)
    if letters and not (accept_dead_letters or new.accepts_dead_letters):
        raise NotReady(f"{what} has {letters} dead letters, which nobody has accepted")


def _check_itself(registration: Registration, new: Generation) -> None:
    """Raises NotReady."""
    what = f"generation {new.number} of {new.projection}"
    if new.status not in COMPARABLE:
        raise NotReady(f"{what} is {new.status}")
    if new.layout != registration.layout:
        raise NotReady(f"{what} was built by another version, whose tables are not those that queries expect now")
    if new.stopped_reason is not None:
        raise NotReady(f"{what} has stopped: {new.stopped_reason}")
