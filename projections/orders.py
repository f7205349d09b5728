"""What an operator asks for and workers do: what is possible is decided here and now, and kept with who and when.

A rebuild is begun, and the workers of the projection build, compare and swap it; a comparison is asked for, and they
make it; a generation ends, and they remove what it has on disk and in Kafka (see `upkeep.py`). A swap, a pause and
their opposites are done at once.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager

import msgspec

from domain.errors import NotPossible
from projections import decisions, generations
from projections.generation import COMPARABLE, RUN, Generation, Status
from projections.postgres_store import Connection, connected
from projections.rebuild import RebuildOptions, begin_in_place, rebuildable, store_in_redis
from projections.registry import Registration, registered
from projections.servers import Addresses, Servers
from projections.swap import NotReady, swap

ENDED_BY_RETIRE: tuple[Status, ...] = ("previous", "retired")
ENDED_BY_CANCEL: tuple[Status, ...] = ("building", "ready", "cancelled")

ASK_FOR_COMPARISON = """
UPDATE projection_generations SET verify_asked_at = coalesce(verify_asked_at, now()), waits_because = NULL
WHERE projection = $1 AND generation = $2
"""


class Orders:
    """Opens its servers for each of them: there are few.

    All raise NotFound for a projection or a generation that is not there, NotPossible as things stand, and Unavailable
    while a server is away.
    """

    def __init__(self, addresses: Addresses) -> None:
        self._addresses = addresses

    def __repr__(self) -> str:
        return f"Orders({self._addresses.names.namespace!r})"

    async def rebuild(self, name: str, options: RebuildOptions, *, by: str) -> Generation:
        """Begins a generation that workers build; or lets one go on that had stopped.

        One that is built in place, in Redis, is emptied and filled again: its readers keep the last state they know.
        """
        registration = rebuildable(name)
        if registration.place == "redis":
            return await self._rebuilt_in_place(registration, options, by=by)
        async with self._opened() as servers:
            ends = await servers.watermarks.ends(registration.topics_of(servers.names))
            async with connected(servers.pool) as connection, connection.transaction():
                await generations.establish(connection, [registration])
                _refuse_a_second_one(registration, await generations.of(connection, [name]))
                begun = await generations.begin(
                    connection,
                    registration,
                    ends,
                    swaps_itself=options.swap,
                    accepts_dead_letters=options.accept_dead_letters,
                    accepts_differences=options.accept_differences,
                )
                if not options.swap:
                    await connection.execute(ASK_FOR_COMPARISON, name, begun.number)
                stated = msgspec.structs.asdict(options)
                await decisions.record(connection, "rebuild", name, begun.number, by=by, options=stated)
                return begun

    async def verify(self, name: str, number: int | None = None, *, by: str) -> Generation:
        """Asks for a comparison with the active generation, by default of the one that a swap takes."""
        in_generations(name)
        async with self._connection() as connection, connection.transaction():
            found = await comparable(connection, name, number)
            await connection.execute(ASK_FOR_COMPARISON, name, found.number)
            await decisions.record(connection, "verify", name, found.number, by=by)
            return await generations.one(connection, name, found.number)

    async def swap(
        self, name: str, number: int | None = None, *, accept_dead_letters: bool = False, by: str
    ) -> Generation:
        """Makes a generation the active one. Raises NotReady.

        By default the one that was built and waits, or else the one that was active before: asked again, it swaps back.
        """
        registration = in_generations(name)
        async with self._connection() as connection:
            number = number or await swappable(connection, name)
            return await swap(connection, registration, number, accept_dead_letters=accept_dead_letters, by=by)

    async def retire(self, name: str, number: int | None = None, *, by: str) -> Generation:
        """Ends a generation that was active, by default the newest such."""
        in_generations(name)
        async with self._connection() as connection, connection.transaction():
            ended = await _ended(connection, name, number, ENDED_BY_RETIRE)
            await decisions.record(connection, "retire", name, ended.number, by=by)
            return ended

    async def cancel(self, name: str, number: int | None = None, *, by: str) -> Generation:
        """Ends a generation that never was active, by default the newest such."""
        in_generations(name)
        async with self._connection() as connection, connection.transaction():
            ended = await _ended(connection, name, number, ENDED_BY_CANCEL)
            await decisions.record(connection, "cancel", name, ended.number, by=by)
            return ended

    async def pause(self, name: str, *, by: str) -> None:
        """From now on nothing is applied, over restarts, until it is resumed."""
        registration = registered(name)
        async with self._opened() as servers:
            async with connected(servers.pool) as connection, connection.transaction():
                await generations.pause(connection, name)
                await decisions.record(connection, "pause", name, None, by=by)
            if registration.place == "redis":
                await (await store_in_redis(registration, servers)).pause()

    async def resume(self, name: str, *, by: str) -> None:
        """It goes on where it was paused, or where it had stopped."""
        registration = registered(name)
        async with self._opened() as servers:
            async with connected(servers.pool) as connection, connection.transaction():
                await generations.resume(connection, name)
                await decisions.record(connection, "resume", name, None, by=by)
            if registration.place == "redis":
                await (await store_in_redis(registration, servers)).resume()

    async def _rebuilt_in_place(self, registration: Registration, options: RebuildOptions, *, by: str) -> Generation:
        name = registration.name
        if not options.swap:
            raise NotPossible(f"{name} is built in place: what is built is what is read")
        async with self._opened() as servers:
            number = await begin_in_place(registration, servers, options, by=by)
            async with connected(servers.pool) as connection:
                # Postgres knows of one that is built in place only that it is there: the number stands in Redis.
                active = await generations.active(connection, name)
                now = await connection.fetchval("SELECT now()")
                return msgspec.structs.replace(
                    active, number=number, status="building", begun_at=now, built_at=None, activated_at=None
                )

    def _opened(self) -> Servers:
        return Servers(self._addresses, client_id="gavel-orders")

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[Connection]:
        async with self._opened() as servers, connected(servers.pool) as connection:
            yield connection


def in_generations(name: str) -> Registration:
    """A projection that has several generations side by side. Raises NotFound, and NotPossible for one in place."""
    registration = registered(name)
    if not registration.tables:
        raise NotPossible(f"{name} is built in place and has no generations")
    return registration


async def swappable(connection: Connection, name: str) -> int:
    """The newest generation that is ready, or else the one that was active last. Raises NotPossible."""
    found = [each for each in await generations.of(connection, [name]) if each.status in COMPARABLE]
    if not found:
        raise NotPossible(f"{name} has no such generation: none is {' or '.join(COMPARABLE)}")
    return max(found, key=_chosen_first).number


async def comparable(connection: Connection, name: str, number: int | None) -> Generation:
    """That generation, or by default the one that a swap takes. Raises NotReady where it cannot be compared."""
    found = await generations.one(connection, name, number or await swappable(connection, name))
    if found.status not in COMPARABLE:
        raise NotReady(f"generation {found.number} of {name} is {found.status}")
    return found


async def newest(connection: Connection, name: str, statuses: Collection[Status]) -> int:
    """The newest generation of these statuses. Raises NotPossible where there is none."""
    numbers = [each.number for each in await generations.of(connection, [name]) if each.status in statuses]
    if not numbers:
        raise NotPossible(f"{name} has no such generation: none is {' or '.join(statuses)}")
    return numbers[-1]


def _chosen_first(generation: Generation) -> tuple[bool, float, int]:
    # The very first generation was active from its start, and has no time of it.
    since = 0.0 if generation.activated_at is None else generation.activated_at.timestamp()
    return generation.status == "ready", since, generation.number


async def _ended(connection: Connection, name: str, number: int | None, statuses: Sequence[Status]) -> Generation:
    # One whose end was broken off has to be named.
    number = number or await newest(connection, name, [each for each in statuses if each in RUN])
    found = await generations.one(connection, name, number)
    if found.status not in statuses:
        raise NotPossible(f"generation {number} of {name} is {found.status}, not {' or '.join(statuses)}")
    return await generations.end(connection, name, number)


def _refuse_a_second_one(registration: Registration, found: Sequence[Generation]) -> None:
    """Raises NotPossible where one is being built, or was built and waits for a decision."""
    for each in found:
        if each.layout != registration.layout or each.stopped_reason is not None:
            continue
        if each.status == "building":
            raise NotPossible(f"generation {each.number} of {each.projection} is being built already")
        if each.status == "ready":
            raise NotPossible(f"generation {each.number} of {each.projection} is built: swap it, or cancel it")
