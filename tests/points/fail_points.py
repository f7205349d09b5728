"""Where a test copy of a process ends or freezes: the engine's functions, wrapped from outside.

The product knows nothing of this: a point names a function of it and the moment before, while or after it runs.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Any, Literal, NamedTuple

from asyncpg.transaction import Transaction
from redis.asyncio.connection import Connection

from projections import generations, parking, postgres_store, rebuild, redis_store, swap, verification
from projections.budgets import Budgets
from projections.catalogue_cache import CatalogueCache
from projections.delivery import Delivery
from projections.postgres_store import PostgresStore
from projections.redis_store import RedisStore

Act = Callable[[object], Awaitable[None]]
"""Given whose function it is: a store, say."""


class Point(NamedTuple):
    """A moment of one function."""

    owner: Any
    name: str
    moment: Literal["before", "while", "after", "either way"]
    """`while` is when it has sent what it sends first; `either way` is after it, also when it fails."""
    since: tuple[Any, str] | None = None
    """Only calls after this other function was called first."""


POINTS = {
    # A batch for Postgres.
    "the batch is ready": Point(PostgresStore, "apply", "before"),
    "before the offset moves": Point(PostgresStore, "_move", "before"),
    "the offset has moved": Point(PostgresStore, "_move", "after"),
    "the rows are written, before COMMIT": Point(Delivery, "write", "after"),
    "COMMIT is on its way": Point(Transaction, "__aexit__", "while", since=(PostgresStore, "_move")),
    "after COMMIT": Point(PostgresStore, "apply", "after"),
    "dead letters are written, before COMMIT": Point(PostgresStore, "_park", "after"),
    "about to say stop": Point(PostgresStore, "stop", "before"),
    # A batch for Redis.
    "before the script": Point(Budgets, "arguments", "after"),
    "the script is on its way": Point(Connection, "send_packed_command", "after", since=(Budgets, "arguments")),
    "after the script": Point(RedisStore, "apply", "after"),
    "a dead letter is written, before the script": Point(parking, "park", "after"),
    "a letter is ended, before COMMIT": Point(parking, "end_as_applied", "after"),
    "its key is free, its letters are open": Point(RedisStore, "_freed", "after"),
    # The life of a generation.
    "tables are made, before COMMIT": Point(generations, "_make", "after"),
    "a generation is begun": Point(rebuild, "begun", "after"),
    "held to be compared": Point(verification, "reached", "before"),
    "held to be swapped": Point(swap, "_swapped", "before"),
    "views are replaced, before COMMIT": Point(swap, "show", "after"),
    "swapped, the hold stands": Point(Transaction, "__aexit__", "after", since=(swap, "_swapped")),
    "ended, before its tables are dropped": Point(generations, "drop_schema", "before"),
    "some of its tables are dropped": Point(Transaction, "__aexit__", "after", since=(generations, "drop_schema")),
}
"""By what a person would say has happened then."""

STALE = (
    Point(PostgresStore, "_move", "before"),
    Point(CatalogueCache, "arguments", "after"),
    Point(Budgets, "arguments", "after"),
)
"""Everything is ready and nothing is fenced yet: where a process that freezes wakes as a zombie."""
TRIED = (Point(PostgresStore, "apply", "either way"), Point(RedisStore, "apply", "either way"))

FENCE_IN_POSTGRES = "AND at.next_offset = moved.expected"
FENCE_IN_REDIS = "if redis.call('HGET', KEYS[1], ARGV[at]) ~= ARGV[at + 1] then return 0 end"


def arm(point: Point, act: Act) -> None:
    """From now on `act` is awaited at the point, whenever it is met."""
    reached = asyncio.Event()
    if point.since is None:
        reached.set()
    else:
        owner, name = point.since
        _wrap(owner, name, lambda original: _noting(original, reached))
    _wrap(point.owner, point.name, lambda original: _acting(original, point.moment, reached, act))


def remove_the_fence() -> None:
    """A batch is written wherever the offset stands, in Postgres as in Redis; all else is as it was."""
    for module, name, fence in (
        (postgres_store, "MOVE", FENCE_IN_POSTGRES),
        (redis_store, "MOVE_OFFSETS", FENCE_IN_REDIS),
    ):
        fenced = getattr(module, name)
        assert fence in fenced, f"{name} has another fence than this removes"
        setattr(module, name, fenced.replace(fence, ""))


def death(hits: int) -> Act:
    """SIGKILL at the so many-th time."""
    left = hits

    async def die(_: object) -> None:
        nonlocal left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    return die


def frost() -> Act:
    """SIGSTOP, once; it goes on when it is woken."""
    is_over = False

    async def freeze(_: object) -> None:
        nonlocal is_over
        if not is_over:
            is_over = True
            os.kill(os.getpid(), signal.SIGSTOP)

    return freeze


def zombie(parties: int) -> tuple[Act, Act]:
    """What freezes it once so many have come there, and what kills it once as many have come there after that."""
    frozen: set[int] = set()
    tried: set[int] = set()
    woken = asyncio.Event()

    async def freeze(whose: object) -> None:
        frozen.add(id(whose))
        if len(frozen) == parties and not woken.is_set():
            os.kill(os.getpid(), signal.SIGSTOP)
            woken.set()
        await woken.wait()

    async def die(whose: object) -> None:
        if not woken.is_set():
            return
        tried.add(id(whose))
        if len(tried) == parties:
            os.kill(os.getpid(), signal.SIGKILL)
        await asyncio.Event().wait()

    return freeze, die


def _wrap(owner: Any, name: str, wrapped: Callable[[Any], Any]) -> None:
    original = getattr(owner, name)
    setattr(owner, name, wraps(original)(wrapped(original)))


def _noting(original: Any, reached: asyncio.Event) -> Any:
    async def noted(*arguments: Any, **options: Any) -> Any:
        reached.set()
        return await original(*arguments, **options)

    return noted


def _acting(original: Any, moment: str, reached: asyncio.Event, act: Act) -> Any:
    async def acting(*arguments: Any, **options: Any) -> Any:
        if not reached.is_set():
            return await original(*arguments, **options)
        if moment == "before":
            await act(arguments[0])
        running = asyncio.ensure_future(original(*arguments, **options))
        if moment == "while":
            await asyncio.sleep(0)
            await act(arguments[0])
        try:
            result = await running
        finally:
            if moment == "either way":
                await act(arguments[0])
        if moment == "after":
            await act(arguments[0])
        return result

    return acting
