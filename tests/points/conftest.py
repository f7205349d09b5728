"""Processes that die or freeze where a test says; and the read side, as tests of projections have it."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from typing import Any

import msgspec
import pytest

from projections.servers import Addresses
from tests.points.worker import Change, Order
from tests.projections.conftest import read_side

__all__ = ["read_side"]

CHANGE_S = 120.0


class Workers:
    """One process after the other, each as an order says."""

    def __init__(self, process: Process) -> None:
        self._process = process

    async def killed(self, addresses: Addresses, action: str, names: Sequence[str], *, at: str, hits: int = 1) -> None:
        """Lets a process do something, and it dies at that point."""
        order = Order(addresses=addresses, action=action, names=tuple(names), dies_at=at, hits=hits)
        change = await self._obeyed(order)
        assert change.signal == signal.SIGKILL, f"{action} has not come to where it dies ({at}): {change}"

    async def frozen(self, addresses: Addresses, names: Sequence[str], **more: Any) -> int:
        """A process that runs these projections has stopped itself; its id. Wake it with SIGCONT."""
        change = await self._obeyed(Order(addresses=addresses, action="project", names=tuple(names), **more))
        assert change.is_frozen, f"it has not come to where it freezes: {change}"
        return change.pid

    async def started(self, addresses: Addresses, names: Sequence[str], **more: Any) -> int:
        """A process that runs these projections; its id."""
        return await self._begun(Order(addresses=addresses, action="project", names=tuple(names), **more))

    async def ended(self) -> None:
        """Waits for the death of one that was started or frozen."""
        change = await self._change()
        assert change.signal == signal.SIGKILL, change

    async def _obeyed(self, order: Order) -> Change:
        await self._begun(order)
        return await self._change()

    async def _begun(self, order: Order) -> int:
        assert self._process.stdin is not None
        self._process.stdin.write(msgspec.json.encode(order) + b"\n")
        return (await self._change()).pid

    async def _change(self) -> Change:
        assert self._process.stdout is not None
        async with asyncio.timeout(CHANGE_S):
            line = await self._process.stdout.readline()
        return msgspec.json.decode(line, type=Change)


@pytest.fixture
async def workers() -> AsyncIterator[Workers]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.points.worker", stdin=PIPE, stdout=PIPE, start_new_session=True
    )
    yield Workers(process)
    # With all that it has made: what still runs or is frozen was left by a test that failed.
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    await process.wait()
