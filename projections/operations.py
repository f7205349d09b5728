"""What an operator does with the generations of a projection on the command line, besides rebuilding it.

Unlike `orders.py` it does the work itself, also where no worker runs. All raise NotFound for a projection or a
generation that is not there, NotPossible as things stand, and Unavailable while a server is away.
"""

from __future__ import annotations

import asyncio
import time

from domain.errors import Conflict, Unavailable
from projections import decisions, generations
from projections import swap as swapping
from projections.decisions import SOMEBODY
from projections.generation import Generation
from projections.orders import Orders, comparable, in_generations, swappable
from projections.postgres_store import connected
from projections.rebuild import working
from projections.registry import registered
from projections.servers import Addresses, Servers
from projections.upkeep import remove
from projections.verification import Verification
from projections.verification import verify as compare

CLIENT_ID = "gavel-projections"
LEFT_S = 15.0
"""So long workers may need to leave the consumer group of a generation that has ended."""
LOOK_S = 0.2

SIZE = """
SELECT coalesce(sum(pg_total_relation_size(pg_class.oid)), 0)::bigint FROM pg_class
JOIN pg_namespace ON pg_namespace.oid = relnamespace WHERE nspname = $1 AND relkind = 'r'
"""


async def disk_needed(addresses: Addresses, name: str) -> int:
    """Bytes that another generation takes in Postgres, as the active one does; 0 of one that is built in place."""
    registration = registered(name)
    if not registration.tables:
        return 0
    async with Servers(addresses, client_id=CLIENT_ID) as servers, connected(servers.pool) as connection:
        await generations.establish(connection, [registration])
        active = await generations.active(connection, name)
        return int(await connection.fetchval(SIZE, active.schema))


async def verify(addresses: Addresses, name: str, number: int | None = None, *, by: str = SOMEBODY) -> Verification:
    """Compares a generation with the active one, by default the one that `swap` takes. Raises NotReady."""
    registration = in_generations(name)
    async with Servers(addresses, client_id=CLIENT_ID) as servers:
        async with connected(servers.pool) as connection, connection.transaction():
            generation = await comparable(connection, name, number)
            await decisions.record(connection, "verify", name, generation.number, by=by)
        async with working(registration, servers):
            return await compare(servers.pool, registration, generation.number)


async def swap(
    addresses: Addresses,
    name: str,
    number: int | None = None,
    *,
    accept_dead_letters: bool = False,
    by: str = SOMEBODY,
) -> Generation:
    """Makes a generation the active one. Raises NotReady.

    By default the one that was built and waits, or else the one that was active before: called again, it swaps back.
    """
    registration = in_generations(name)
    async with Servers(addresses, client_id=CLIENT_ID) as servers, connected(servers.pool) as connection:
        number = number or await swappable(connection, name)
        await generations.one(connection, name, number)
        async with working(registration, servers):
            return await swapping.swap(connection, registration, number, accept_dead_letters=accept_dead_letters, by=by)


async def retire(addresses: Addresses, name: str, number: int | None = None, *, by: str = SOMEBODY) -> Generation:
    """Removes a generation that was active, by default the newest such."""
    return await _removed(addresses, await Orders(addresses).retire(name, number, by=by))


async def cancel(addresses: Addresses, name: str, number: int | None = None, *, by: str = SOMEBODY) -> Generation:
    """Removes a generation that never was active, by default the newest such."""
    return await _removed(addresses, await Orders(addresses).cancel(name, number, by=by))


async def pause(addresses: Addresses, name: str, *, by: str = SOMEBODY) -> None:
    """From now on nothing is applied, over restarts, until it is resumed."""
    await Orders(addresses).pause(name, by=by)


async def resume(addresses: Addresses, name: str, *, by: str = SOMEBODY) -> None:
    """It goes on where it was paused, or where it had stopped."""
    await Orders(addresses).resume(name, by=by)


async def _removed(addresses: Addresses, ended: Generation) -> Generation:
    """With what it had on disk and in Kafka. What somebody holds on to for longer is the workers' affair."""
    registration = registered(ended.projection)
    deadline = time.monotonic() + LEFT_S
    async with Servers(addresses, client_id=CLIENT_ID) as servers:
        while True:
            try:
                async with connected(servers.pool) as connection:
                    await remove(connection, registration, ended.number, servers)
                    return ended
            except (Conflict, Unavailable):
                if time.monotonic() > deadline:
                    return ended
                await asyncio.sleep(LOOK_S)
