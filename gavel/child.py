"""A child process: started on a leash, logged, stopped within a bound."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO

import msgspec

from gavel import leash

LINE_MAX_BYTES = 1024 * 1024
KILL_WAIT_SECONDS = 5.0


class Account(msgspec.Struct, frozen=True):
    """The user that a program runs as."""

    name: str
    uid: int
    gid: int


class Program(msgspec.Struct, frozen=True, kw_only=True):
    """What to run, and how it wants to be ended."""

    name: str
    command: tuple[str, ...]
    folder: Path
    """Its working directory."""
    log: Path | None = None
    """File that its output is appended to; without one, its lines go to the `on_line` of `start`."""
    account: Account | None = None
    """None: the present user."""
    environment: Mapping[str, str] | None = None
    """None: that of this process."""
    stop_signal: int = signal.SIGTERM
    stop_seconds: float = 10.0
    """After that long it is killed."""
    death_signal: int = signal.SIGKILL
    """What it gets when this process dies without having stopped it."""


class Child:
    """A running program."""

    def __init__(
        self, program: Program, process: asyncio.subprocess.Process, reader: asyncio.Task[None] | None
    ) -> None:
        self.program = program
        self._process = process
        self._reader = reader

    def __repr__(self) -> str:
        return f"<Child {self.program.name} pid={self.pid} exit={self.exit_code}>"

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """None while it runs; negative: the signal that ended it."""
        return self._process.returncode

    async def wait(self) -> int:
        """The exit code, once it has ended and its last line was read."""
        code = await self._process.wait()
        if self._reader is not None:
            await self._reader
        return code

    def signal(self, number: int) -> None:
        """Does nothing if it has ended."""
        if self.exit_code is None:
            # Not `send_signal`: that one looks first whether it has ended, and takes the exit code away from `wait`.
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    async def stop(self) -> None:
        """Asks it to end, and kills it if it does not within its time."""
        self.signal(self.program.stop_signal)
        self.signal(signal.SIGCONT)  # one that somebody has suspended could not end
        try:
            await asyncio.wait_for(self.wait(), self.program.stop_seconds)
        except TimeoutError:
            self.signal(signal.SIGKILL)
            await asyncio.wait_for(self.wait(), KILL_WAIT_SECONDS)

    def kill(self) -> None:
        """Ends it the hard way, with the signal that takes its own children along."""
        self.signal(self.program.death_signal)
        self.signal(signal.SIGCONT)


async def start(program: Program, on_line: Callable[[str], None] | None = None) -> Child:
    """Starts a program in a session of its own, so that the terminal's Ctrl-C reaches this process alone."""
    if program.log is None:
        process = await _spawn(program, asyncio.subprocess.PIPE)
        return Child(program, process, asyncio.create_task(_forward(process, on_line or _ignore)))
    with program.log.open("ab") as log:
        return Child(program, await _spawn(program, log), None)


def how_it_ended(exit_code: int) -> str:
    """For people: "ended with exit code 1"."""
    if exit_code < 0:
        return f"was ended by {signal.Signals(-exit_code).name}"
    return f"ended with exit code {exit_code}"


async def _spawn(program: Program, output: int | IO[bytes]) -> asyncio.subprocess.Process:
    account = program.account
    uid, gid = (account.uid, account.gid) if account else (-1, -1)
    fixed = [sys.executable, "-I", "-S", leash.__file__, os.getpid(), int(program.death_signal), uid, gid]
    return await asyncio.create_subprocess_exec(
        *(str(word) for word in fixed),
        *program.command,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=output,
        stderr=asyncio.subprocess.STDOUT,
        cwd=program.folder,
        env=program.environment,
        start_new_session=True,
        limit=LINE_MAX_BYTES,
    )


async def _forward(process: asyncio.subprocess.Process, on_line: Callable[[str], None]) -> None:
    assert process.stdout is not None
    while True:
        try:
            line = await process.stdout.readline()
        except ValueError:  # longer than the limit; the reader has thrown it away
            continue
        if not line:
            return
        on_line(line.decode(errors="replace").rstrip())


def _ignore(_line: str) -> None:
    """For a program whose output nobody asked for."""
