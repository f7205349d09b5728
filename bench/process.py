"""A process of the bench: started on a leash, waited for, its CPU time read, and always ended."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import sys
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path
from time import monotonic

import psutil

from gavel import child

ROOT = Path(__file__).parents[1]
START_SECONDS = 60.0
POLL_SECONDS = 0.02
LAST_LINES = 30


class ProcessFailed(RuntimeError):
    """A process of the bench ended, or did not get ready; the message ends with what it printed last."""


class Process:
    """A running process and everything below it."""

    def __init__(self, name: str, running: child.Child, lines: deque[str]) -> None:
        self.name = name
        self._child = running
        self._lines = lines
        self._root = psutil.Process(running.pid)

    def __repr__(self) -> str:
        return f"<Process {self.name} pid={self._child.pid}>"

    def cpu_seconds(self) -> float:
        """User and system time of the whole tree so far, with that of descendants that have ended."""
        total = 0.0
        for process in self.tree():
            with contextlib.suppress(psutil.NoSuchProcess):
                times = process.cpu_times()
                total += times.user + times.system + times.children_user + times.children_system
        return total

    def tree(self) -> list[psutil.Process]:
        """Itself and its descendants."""
        try:
            return [self._root, *self._root.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    async def success(self, timeout_seconds: float) -> None:
        """Returns once it has ended well; raises ProcessFailed if it fails or takes longer."""
        try:
            code = await asyncio.wait_for(self._child.wait(), timeout_seconds)
        except TimeoutError:
            raise self.failure(f"was not done after {timeout_seconds:.0f} s") from None
        if code != 0:
            raise self.failure(f"ended with {code}")

    async def result(self, timeout_seconds: float) -> str:
        """The last line it printed, once it has ended well; raises ProcessFailed like `success`."""
        await self.success(timeout_seconds)
        if not self._lines:
            raise self.failure("printed nothing")
        return self._lines[-1]

    async def first_line(self) -> str:
        """The first line it prints; raises ProcessFailed when none comes."""
        await self._until("printed nothing", lambda: bool(self._lines))
        return self._lines[0]

    async def listening(self, port: int) -> None:
        """Returns once it listens on that port of the loopback interface; raises ProcessFailed if it does not."""
        await self._until(f"did not listen on port {port}", lambda: _listens(port))

    async def _until(self, otherwise: str, condition: Callable[[], bool]) -> None:
        until = monotonic() + START_SECONDS
        while not condition():
            if self._child.exit_code is not None:
                raise self.failure(f"ended with {self._child.exit_code}")
            if monotonic() > until:
                raise self.failure(f"{otherwise} within {START_SECONDS:.0f} s")
            await asyncio.sleep(POLL_SECONDS)

    async def stop(self) -> None:
        """Ends it and whatever it has left behind."""
        below = self.tree()[1:]
        await self._child.stop()
        for each in below:
            with contextlib.suppress(psutil.NoSuchProcess):
                each.kill()

    def failure(self, what: str) -> ProcessFailed:
        return ProcessFailed("\n".join([f"{self.name} {what}", *self._lines]))


@contextlib.asynccontextmanager
async def running(
    name: str, command: Sequence[str], *, environment: Mapping[str, str] | None = None, folder: Path = ROOT
) -> AsyncIterator[Process]:
    """The command as a process; it and all below it are gone when the block ends, or when this process dies."""
    lines: deque[str] = deque(maxlen=LAST_LINES)
    program = child.Program(
        name=name, command=tuple(command), folder=folder, environment=os.environ | (environment or {})
    )
    process = Process(name, await child.start(program, lines.append), lines)
    try:
        yield process
    finally:
        await process.stop()


def python(*arguments: str) -> tuple[str, ...]:
    """A command line for this environment's interpreter."""
    return (sys.executable, *arguments)


def free_port() -> int:
    """A port that nothing listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(POLL_SECONDS)
        return probe.connect_ex(("127.0.0.1", port)) == 0
