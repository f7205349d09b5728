"""Servers that outlived an earlier run: recognised by process id and time of birth, and ended."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

import msgspec

from gavel.errors import CannotRun

GRACE_SECONDS = 10.0
POLL_SECONDS = 0.05
PROC = Path("/proc")


class Running(msgspec.Struct, frozen=True):
    """A process that cannot be mistaken for a later one with the same id."""

    pid: int
    born: str


def running(pid: int) -> Running | None:
    """The process with that id; None if there is none, or only its corpse."""
    born = _born_by_proc(pid) if PROC.is_dir() else _born_by_ps(pid)
    return Running(pid, born) if born else None


async def end_orphans(recorded: Mapping[str, Running]) -> list[str]:
    """Ends the recorded processes that still run; returns their names. Raises CannotRun if one will not end."""
    orphans = {name: process for name, process in recorded.items() if running(process.pid) == process}
    left = dict(orphans)
    for number in (signal.SIGINT, signal.SIGKILL):
        for process in left.values():
            os.kill(process.pid, number)
        deadline = time.monotonic() + GRACE_SECONDS
        while left and time.monotonic() < deadline:
            await asyncio.sleep(POLL_SECONDS)
            left = {name: process for name, process in left.items() if running(process.pid) == process}
    if left:
        name, process = next(iter(left.items()))
        raise CannotRun(f"{name} of an earlier run still runs and does not end: end process {process.pid} yourself")
    return sorted(orphans)


def _born_by_proc(pid: int) -> str | None:
    try:
        # The command in parentheses may hold blanks; state is the first field behind it, the start time the 20th.
        fields = (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else fields[19]


def _born_by_ps(pid: int) -> str | None:
    command = ["ps", "-o", "lstart=", "-p", str(pid)]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip() or None  # noqa: S603 - fixed words and a number
