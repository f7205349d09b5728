"""Processes that die or freeze where a test says, made by forking one that has imported everything.

python -m tests.points.worker

Reads an order a line, runs it in a child, and answers a line for each change of the child: that it was made, that it
froze, how it ended.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import traceback
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

import msgspec
from aiokafka import TopicPartition

from gavel.leash import die_with_parent
from projections import engine, generations, hold, operations, rebuild, run, servers
from projections.budgets import Budgets
from projections.dead_letters import DeadLetters
from projections.engine import Projector
from projections.lean_fetch import FetchedRecord, LeanConsumer
from projections.postgres_store import PostgresStore
from projections.redis_store import RedisStore
from projections.servers import Addresses
from tests.points.fail_points import POINTS, STALE, TRIED, Act, Point, arm, death, frost, remove_the_fence, zombie

BATCH_RECORDS = 50
"""So that a log of a test is many batches."""
HOLD_S = 3.0
IDLE_IN_TRANSACTION_S = 2.0
ZOMBIE_IDLE_S = 3_600.0
"""A zombie sleeps in a transaction: the fence must stop it, not a database that has lost patience meanwhile."""
LONG_LOOP = "for _ = 1, 100000000 do end\n"


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """What a process is to do, and where it ends."""

    addresses: Addresses
    action: str
    names: tuple[str, ...]
    """Arguments of the action: projections."""
    dies_at: str | None = None
    """One of POINTS."""
    hits: int = 1
    """The so many-th time that it comes there."""
    freezes_at: str | None = None
    """One of POINTS; it goes on after SIGCONT."""
    is_zombie: bool = False
    """It freezes where each of its projections has all of the log ready as one batch, and dies when each has tried to
    write its own."""
    is_fenced: bool = True
    is_slow_in_scripts: bool = False
    """Between the offsets and the data it stays for a second or longer."""


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """What became of the child."""

    pid: int
    signal: int | None = None
    """That ended it."""
    code: int | None = None
    """That it ended with by itself."""

    @property
    def is_frozen(self) -> bool:
        return self.signal is None and self.code is None


async def _project(addresses: Addresses, *names: str) -> None:
    await run.run_projectors(addresses, names, asyncio.Event())


async def _skip(addresses: Addresses, projection: str) -> None:
    """The first letter that is open."""
    first = "SELECT min(id) FROM dead_letters WHERE projection = $1 AND outcome IS NULL"
    async with servers.Servers(addresses, client_id="test") as opened:
        letter = await opened.pool.fetchval(first, projection)
    await DeadLetters(addresses).skip(letter, reason="Nobody has ever heard of it.", by="a test")


ACTIONS: dict[str, Callable[..., Coroutine[Any, Any, Any]]] = {
    "project": _project,
    "build": partial(rebuild.rebuild, swaps=False),
    "rebuild": rebuild.rebuild,
    "skip": _skip,
    "verify": operations.verify,
    "swap": operations.swap,
    "retire": operations.retire,
    "cancel": operations.cancel,
}


class Loner(Projector[Any]):
    """Alone in its group: whoever comes after its death need not wait until the broker believes it."""

    def __init__(self, *arguments: Any, group: str, **options: Any) -> None:
        super().__init__(*arguments, group=f"{group}.{os.getpid()}", **options)


class WholeLog(LeanConsumer):
    """Gives what the log holds at once and in one piece, so that it is no chance what a zombie has in hand."""

    async def getmany(
        self, *partitions: TopicPartition, timeout_ms: int = 0, max_records: int | None = None
    ) -> dict[TopicPartition, list[FetchedRecord]]:
        fetched: dict[TopicPartition, list[FetchedRecord]] = {}
        ends = await self.end_offsets(self.assignment())
        while any([await self.position(tp) < end for tp, end in ends.items()]):
            for tp, records in (await super().getmany(*partitions, timeout_ms=timeout_ms)).items():
                fetched.setdefault(tp, []).extend(records)
        return fetched


async def _obey(order: Order) -> None:
    PostgresStore.batch_max_records = RedisStore.batch_max_records = BATCH_RECORDS
    generations.PARTITIONS_PER_DROP = 1
    hold.EXPIRES_S = HOLD_S
    if not order.is_fenced:
        remove_the_fence()
    if order.dies_at is not None:
        run.Projector = Loner
        arm(POINTS[order.dies_at], death(order.hits))
    if order.freezes_at is not None:
        servers.IDLE_IN_TRANSACTION_S = IDLE_IN_TRANSACTION_S
        arm(POINTS[order.freezes_at], frost())
    if order.is_slow_in_scripts:
        Budgets.script = LONG_LOOP + Budgets.script
    if order.is_zombie:
        engine.LeanConsumer = WholeLog
        servers.IDLE_IN_TRANSACTION_S = ZOMBIE_IDLE_S
        freeze, die = zombie(len(order.names))
        _arm_all(STALE, freeze)
        _arm_all(TRIED, die)
    await ACTIONS[order.action](order.addresses, *order.names)


def _arm_all(points: tuple[Point, ...], act: Act) -> None:
    for point in points:
        arm(point, act)


def _child(order: Order, parent: int) -> None:
    die_with_parent(signal.SIGKILL)
    if os.getppid() != parent:  # it died before the request was made
        os._exit(1)
    os.dup2(2, 1)  # what it logs must not come between the answers
    code = 1
    try:
        asyncio.run(_obey(order))
        code = 0
    except Exception:  # noqa: BLE001 - told, and the test sees the code
        traceback.print_exc()
    finally:
        os._exit(code)


def main() -> None:
    die_with_parent(signal.SIGKILL)  # a test run that is interrupted tidies nothing up
    this = os.getpid()
    for line in sys.stdin.buffer:
        order = msgspec.json.decode(line, type=Order)
        pid = os.fork()
        if pid == 0:
            _child(order, this)
        _tell(Change(pid=pid))
        has_ended = False
        while not has_ended:
            _, status = os.waitpid(pid, os.WUNTRACED)
            change = Change(pid=pid)
            has_ended = not os.WIFSTOPPED(status)
            if os.WIFSIGNALED(status):
                change = Change(pid=pid, signal=os.WTERMSIG(status))
            elif has_ended:
                change = Change(pid=pid, code=os.WEXITSTATUS(status))
            _tell(change)


def _tell(change: Change) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(change) + b"\n")
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
