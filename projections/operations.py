"""What an operator does with the generations of a projection, besides rebuilding it.

All raise NotFound for a projection or a generation that is not there, and Unavailable while a server is away.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager

from domain.errors import Conflict, Refusal
from projections import generations
from projections import swap as swapping
from projections.generation import RUN, Generation, Status
from projections.postgres_store import Connection, connected
from projections.rebuild import working
from projections.registry import Registration, registered
from projections.servers import Addresses, Servers
from projections.verification import Verification
from projections.verification import verify as compare

CLIENT_ID = "gavel-projections"


SIZE = """
SELECT coalesce(sum(pg_total_relation_size(pg_class.oid)), 0)::bigint FROM pg_class
JOIN pg_namespace ON pg_namespace.oid = relnamespace WHERE nspname = $1 AND relkind = 'r'
"""


async def disk_needed(addresses: Addresses, name: str) -> int:
    """Bytes that another generation takes in Postgres, as the active one does; 0 of one that is built in place."""
    registration = registered(name)
    if not registration.tables:
        return 0
    async with _connection(addresses) as connection:
        await generations.establish(connection, [registration])
        active = await generations.active(connection, name)
        return int(await connection.fetchval(SIZE, active.schema))


async def verify(addresses: Addresses, name: str, number: int | None = None) -> Verification:
    """Compares a generation, by default the newest that is not active, with the active one. Raises NotReady."""
    registration = _in_generations(name)
    async with Servers(addresses, client_id=CLIENT_ID) as servers:
        async with connected(servers.pool) as connection:
            number = number or await _other(connection, name)
        async with working(registration, servers):
            return await compare(servers.pool, registration, number)


async def swap(
    addresses: Addresses, name: str, number: int | None = None, *, accept_dead_letters: bool = False
) -> Generation:
    """Makes a generation the active one, by default the newest that is not; called again, it swaps back.

    Raises NotReady.
    """
    registration = _in_generations(name)
    async with Servers(addresses, client_id=CLIENT_ID) as servers, connected(servers.pool) as connection:
        number = number or await _other(connection, name)
        async with working(registration, servers):
            return await swapping.swap(connection, registration, number, accept_dead_letters=accept_dead_letters)


async def retire(addresses: Addresses, name: str, number: int | None = None) -> Generation:
    """Removes a generation that was active, by default the newest such. Raises Conflict."""
    return await _dropped(addresses, name, number, ("previous", "retired"))


async def cancel(addresses: Addresses, name: str, number: int | None = None) -> Generation:
    """Removes a generation that never was active, by default the newest such. Raises Conflict."""
    return await _dropped(addresses, name, number, ("building", "ready", "cancelled"))


async def pause(addresses: Addresses, name: str) -> None:
    """From now on nothing is applied, over restarts, until it is resumed."""
    registered(name)
    async with _connection(addresses) as connection:
        await generations.pause(connection, name)


async def resume(addresses: Addresses, name: str) -> None:
    """It goes on where it was paused, or where it had stopped."""
    registered(name)
    async with _connection(addresses) as connection:
        await generations.resume(connection, name)


@asynccontextmanager
async def _connection(addresses: Addresses) -> AsyncIterator[Connection]:
    async with Servers(addresses, client_id=CLIENT_ID) as servers, connected(servers.pool) as connection:
        yield connection


async def _dropped(addresses: Addresses, name: str, number: int | None, statuses: Collection[Status]) -> Generation:
    registration = _in_generations(name)
    async with _connection(addresses) as connection:
        # One whose end was broken off has to be named.
        number = number or await _other(connection, name, [each for each in statuses if each in RUN])
        found = await generations.one(connection, name, number)
        if found.status not in statuses:
            raise Conflict(f"generation {number} of {name} is {found.status}, not {' or '.join(statuses)}")
        return await generations.drop(connection, registration.name, number)


async def _other(connection: Connection, name: str, statuses: Collection[Status] = RUN) -> int:
    """The newest generation of these statuses that is not the active one."""
    found = await generations.of(connection, [name])
    others = [each.number for each in found if each.status in statuses and each.status != "active"]
    if not others:
        raise Refusal(f"{name} has no such generation: `gavel projections list` shows those there are")
    return others[-1]


def _in_generations(name: str) -> Registration:
    registration = registered(name)
    if not registration.tables:
        raise Refusal(f"{name} is built in place and has no generations")
    return registration
