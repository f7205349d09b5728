"""The strikes, carried out; which kinds there are says `schedule.py`."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import asyncpg
from redis.exceptions import RedisError

from domain.errors import GavelError
from projections import operations
from projections.dead_letters import DeadLetters
from projections.rebuild import rebuild
from projections.redis_client import redis_client
from projections.servers import Addresses
from tests.chaos.fleet import Fleet
from tests.chaos.schedule import IN_PLACE, Strike
from tests.chaos.stream import Stream

AWAY = (asyncpg.PostgresError, asyncpg.InterfaceError, RedisError, OSError, TimeoutError)
"""A strike may hit a server that is away already."""
GENERATIONS_MAX = 3
"""Of one projection that are kept up to date: each costs every worker a consumer."""
RUN = """
SELECT count(*) FILTER (WHERE status IN ('building', 'ready', 'active', 'previous')) AS run,
    count(*) FILTER (WHERE status = 'previous') AS previous
FROM projection_generations WHERE projection = $1
"""
ACCEPTED = "--accept-dead-letters"
"""Said of every build in place: one that has stopped could only be begun anew, and what it held would not be seen."""
OPEN = "SELECT id, projection, key FROM dead_letters WHERE outcome IS NULL ORDER BY id"


async def carry_out(strike: Strike, fleet: Fleet, stream: Stream) -> None:
    """Returns when it is over, and what it took away is back."""
    await STRIKES[strike.kind](strike, fleet, stream)


async def _kill_worker(strike: Strike, fleet: Fleet, _: Stream) -> None:
    await fleet.kill_worker(int(strike.target))


async def _suspend_worker(strike: Strike, fleet: Fleet, _: Stream) -> None:
    await fleet.suspend_worker(int(strike.target), strike.lasts_s)


async def _break_handler(strike: Strike, fleet: Fleet, _: Stream) -> None:
    fleet.break_handler(strike.target)
    await asyncio.sleep(strike.lasts_s)
    fleet.mend_handlers(strike.target)


async def _poison(strike: Strike, _: Fleet, stream: Stream) -> None:
    await stream.poison(strike.target)


def _restart(server: str) -> Callable[[Strike, Fleet, Stream], Awaitable[None]]:
    async def restart(strike: Strike, fleet: Fleet, _: Stream) -> None:
        await fleet.restart(server, is_hard=strike.is_hard)

    return restart


async def _forget_redis(_: Strike, fleet: Fleet, __: Stream) -> None:
    redis = redis_client(fleet.addresses.redis_url)
    try:
        await redis.flushall()
    except AWAY:
        return
    finally:
        await redis.aclose()


async def _cut_connections(_: Strike, fleet: Fleet, __: Stream) -> None:
    try:
        await _asked(
            fleet,
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()",
        )
    except AWAY:
        return


def _rebuild(
    *, swaps: bool = True, accept_dead_letters: bool = False
) -> Callable[[Strike, Fleet, Stream], Awaitable[None]]:
    async def given(strike: Strike, fleet: Fleet, _: Stream) -> None:
        async with fleet.desk.turn(strike.kind) as is_wanted:
            if is_wanted:
                await _make_room(strike.target, fleet)
                await fleet.desk.order(
                    strike.kind,
                    lambda: rebuild(
                        fleet.addresses, strike.target, swaps=swaps, accept_dead_letters=accept_dead_letters
                    ),
                )

    return given


async def _rebuild_and_die(strike: Strike, fleet: Fleet, _: Stream) -> None:
    await _make_room(strike.target, fleet)
    words = ["projections", "rebuild", strike.target, *([ACCEPTED] if strike.target in IN_PLACE else [])]
    await fleet.command(*words, killed_after_s=strike.lasts_s)


async def _make_room(projection: str, fleet: Fleet) -> None:
    """Removes a generation where there are many."""
    try:
        [(run, previous)] = await _asked(fleet, RUN, projection)
    except AWAY:
        return
    if run >= GENERATIONS_MAX:
        remove = operations.retire if previous else operations.cancel
        await fleet.desk.order(remove.__name__, lambda: remove(fleet.addresses, projection))


def _order(order: Callable[[Addresses, str], Awaitable[object]]) -> Callable[[Strike, Fleet, Stream], Awaitable[None]]:
    async def give(strike: Strike, fleet: Fleet, _: Stream) -> None:
        async with fleet.desk.turn(strike.kind) as is_wanted:
            if is_wanted:
                await fleet.desk.order(strike.kind, lambda: order(fleet.addresses, strike.target))

    return give


async def _pause(strike: Strike, fleet: Fleet, _: Stream) -> None:
    await fleet.desk.order("pause", lambda: operations.pause(fleet.addresses, strike.target))
    await asyncio.sleep(strike.lasts_s)
    await fleet.desk.order("resume", lambda: operations.resume(fleet.addresses, strike.target))


async def _mend(_: Strike, fleet: Fleet, __: Stream) -> None:
    await mended(fleet)


async def mended(fleet: Fleet) -> bool:
    """Tries every dead letter again, and skips the poison; whether there was none. Servers may be away."""
    desk = DeadLetters(fleet.addresses)
    try:
        letters = await _asked(fleet, OPEN)
        for projection in sorted({letter["projection"] for letter in letters}):
            await desk.retry_all(projection, by="chaos")
        for letter in await _asked(fleet, OPEN):
            if letter["key"].startswith(b"poison"):
                await desk.skip(letter["id"], reason="Nobody can read it.", by="chaos")
    except (*AWAY, GavelError):
        return False
    return not letters


async def _asked(fleet: Fleet, query: str, *arguments: object) -> list[asyncpg.Record]:
    connection = await asyncpg.connect(fleet.addresses.postgres_url)
    try:
        return await connection.fetch(query, *arguments)
    finally:
        await connection.close()


async def _close_day(_: Strike, __: Fleet, stream: Stream) -> None:
    await stream.close_day()


STRIKES: dict[str, Callable[[Strike, Fleet, Stream], Awaitable[None]]] = {
    "kill_worker": _kill_worker,
    "suspend_worker": _suspend_worker,
    "break_handler": _break_handler,
    "poison": _poison,
    "restart_kafka": _restart("kafka-1"),
    "restart_postgres": _restart("postgres"),
    "restart_redis": _restart("redis"),
    "forget_redis": _forget_redis,
    "cut_connections": _cut_connections,
    "rebuild_and_keep": _rebuild(swaps=False),
    "verify": _order(operations.verify),
    "swap": _order(operations.swap),
    "swap_back": _order(operations.swap),
    "rebuild": _rebuild(),
    "retire": _order(operations.retire),
    "cancel": _order(operations.cancel),
    "rebuild_in_place": _rebuild(accept_dead_letters=True),
    "rebuild_and_die": _rebuild_and_die,
    "pause": _pause,
    "mend": _mend,
    "close_day": _close_day,
}
