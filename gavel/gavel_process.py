"""A process of Gavel itself (API, projectors, demo traffic) as a service that can be supervised."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from gavel import child
from gavel.child import Child, Program, how_it_ended
from gavel.errors import CannotRun
from gavel.settings import Settings, environment_of

READY_SECONDS = 120.0
POLL_SECONDS = 0.05
STOP_SECONDS = 15.0
LINES_PER_WINDOW = 200
WINDOW_SECONDS = 10.0


class LineLimit:
    """Passes on a bounded number of lines per window, and says how many it left out."""

    def __init__(self, name: str, write: Callable[[str], None]) -> None:
        self._name = name
        self._write = write
        self._window_ends = 0.0
        self._lines = 0

    def __call__(self, line: str) -> None:
        now = time.monotonic()
        if now > self._window_ends:
            self._end_window()
            self._window_ends = now + WINDOW_SECONDS
        self._lines += 1
        if self._lines <= LINES_PER_WINDOW:
            self._write(f"{self._name} | {line}")

    def _end_window(self) -> None:
        if self._lines > LINES_PER_WINDOW:
            self._write(f"{self._name} | … {self._lines - LINES_PER_WINDOW:,} lines were left out")
        self._lines = 0


class GavelProcess:
    """`python -m MODULE ARGUMENTS`, told the settings through its environment."""

    def __init__(
        self,
        name: str,
        arguments: Sequence[str],
        settings: Settings,
        *,
        ready: Callable[[], Awaitable[bool]] | None = None,
        write: Callable[[str], None],
    ) -> None:
        """`ready` says whether it can be used; without it, it is as soon as it runs."""
        self.name = name
        self._settings = settings
        self._arguments = arguments
        self._ready = ready
        self._lines = LineLimit(name, write)
        self._child: Child | None = None

    def __repr__(self) -> str:
        return f"<GavelProcess {self.name} {self._child}>"

    @property
    def pid(self) -> int | None:
        return self._child.pid if self._child else None

    async def start(self) -> None:
        program = Program(
            name=self.name,
            command=(sys.executable, "-m", *self._arguments),
            folder=Path.cwd(),  # where `.env` and, in a checkout, the packages are
            environment=environment_of(self._settings),
            stop_seconds=STOP_SECONDS,
        )
        self._child = await child.start(program, self._lines)
        try:
            await self._until_ready(self._child)
        except BaseException:
            self.kill()
            await self.stop()
            raise

    async def ended(self) -> str:
        assert self._child is not None
        return how_it_ended(await self._child.wait())

    def kill(self) -> None:
        if self._child is not None:
            self._child.kill()

    async def stop(self) -> None:
        if self._child is not None:
            await self._child.stop()
            self._child = None

    async def _until_ready(self, process: Child) -> None:
        if self._ready is None:
            return
        deadline = time.monotonic() + READY_SECONDS
        while process.exit_code is None:
            if await self._ready():
                return
            if time.monotonic() > deadline:
                raise CannotRun(f"{self.name} is not ready after {READY_SECONDS:.0f} s: see its lines above")
            await asyncio.sleep(POLL_SECONDS)
        raise CannotRun(f"{self.name} {how_it_ended(process.exit_code)} while starting: see its lines above")
