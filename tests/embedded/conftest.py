"""Data folders of installations that a test starts for itself, and `gavel up` as users start it."""

from __future__ import annotations

import asyncio
import shutil
import signal
import sys
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import msgspec
import psutil
import pytest

from gavel.embedded import folder as data_folders
from gavel.embedded.folder import Record

END_SECONDS = 30.0
READY_SECONDS = 120.0


@pytest.fixture
def data(data_folder: Path) -> Iterator[Path]:
    """A fresh data folder, reachable for root's Postgres."""
    data = data_folder / uuid.uuid4().hex[:8]
    yield data
    shutil.rmtree(data, ignore_errors=True)


def read_record(data: Path) -> Record:
    """What the installation has noted about its servers."""
    return msgspec.json.decode((data / data_folders.RECORD_FILE).read_bytes(), type=Record)


class GavelUp:
    """A running `gavel up` and what it has said."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.said: list[str] = []

    async def line(self, ending: str) -> str:
        """Waits for a line that starts with `ending`; fails if it ends before."""
        assert self.process.stdout is not None
        while line := (await asyncio.wait_for(self.process.stdout.readline(), READY_SECONDS)).decode().rstrip():
            self.said.append(line)
            if line.startswith(ending):
                return line
        raise AssertionError("it ended after saying:\n" + "\n".join(self.said))

    def family(self) -> list[psutil.Process]:
        """The process and everything below it."""
        leader = psutil.Process(self.process.pid)
        return [leader, *leader.children(recursive=True)]

    async def end(self, number: int) -> int:
        """Sends a signal and waits for the end."""
        self.process.send_signal(number)
        return await self.exit_code()

    async def exit_code(self) -> int:
        async def read_rest() -> None:
            assert self.process.stdout is not None
            self.said += [line.decode().rstrip() async for line in self.process.stdout]

        _, code = await asyncio.wait_for(asyncio.gather(read_rest(), self.process.wait()), END_SECONDS)
        return code


StartGavelUp = Callable[..., Awaitable[GavelUp]]


@pytest.fixture
async def gavel_up() -> AsyncIterator[StartGavelUp]:
    """Starts `gavel up ARGUMENTS`; whatever still runs in the end is ended."""
    async with AsyncExitStack() as stack:

        async def start(*arguments: object) -> GavelUp:
            return await stack.enter_async_context(_running(*map(str, arguments)))

        yield start


@asynccontextmanager
async def _running(*arguments: str) -> AsyncIterator[GavelUp]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gavel", "up", *arguments),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    up = GavelUp(process)
    try:
        yield up
    finally:
        if process.returncode is None:
            await up.end(signal.SIGTERM)


def all_gone(processes: list[psutil.Process]) -> list[psutil.Process]:
    """Those that still run after a bounded wait."""
    _, alive = psutil.wait_procs(processes, timeout=END_SECONDS)
    return [process for process in alive if process.status() != psutil.STATUS_ZOMBIE]
