"""What the embedded servers have in common: prepared, started, waited for, and their last words when they die."""

from __future__ import annotations

import asyncio
import time
from abc import ABC, abstractmethod
from contextlib import suppress
from pathlib import Path

from gavel import child
from gavel.child import Child, Program, how_it_ended
from gavel.embedded.folder import DataFolder
from gavel.embedded.orphans import running
from gavel.errors import CannotRun, explained

READY_SECONDS = 90.0
PROBE_SECONDS = 10.0
"""A server that accepts a connection and says nothing is asked again."""
POLL_SECONDS = 0.05
LAST_WORDS_BYTES = 16 * 1024
LOG_MAX_BYTES = 10 * 1024 * 1024
COMPLAINTS = (
    ("No space left on device", "the disk is full: free some space, or name a folder on another disk (--data)"),
    ("Address already in use", "its port was taken in the meantime: start again"),
    ("Permission denied", "it may not read or write its files: check their owner"),
    ("Cannot allocate memory", "there is not enough memory: end something else first"),
)
"""What servers say when something on the machine is in the way, and what to do."""


class NotReady(Exception):
    """The server does not answer yet."""


class Server(ABC):
    """One server process of an installation; a `supervisor.Service`."""

    def __init__(self, name: str, folder: DataFolder) -> None:
        self.name = name
        self.folder = folder
        self.home = folder.path / name
        """Its own folder."""
        self._child: Child | None = None

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name} {self._child}>"

    @property
    @abstractmethod
    def label(self) -> str:
        """What runs, and where it comes from, for people."""

    @abstractmethod
    async def prepare(self) -> None:
        """Makes its files. Takes up what an earlier start has left half-done."""

    @abstractmethod
    def program(self) -> Program:
        """How it is started."""

    @abstractmethod
    async def probe(self) -> None:
        """Returns if it can be used; raises NotReady or an OSError if not yet."""

    @property
    def log(self) -> Path:
        return self.folder.path / f"{self.name}.log"

    @property
    def pid(self) -> int | None:
        return self._child.pid if self._child else None

    async def start(self) -> None:
        with explained(self.home, f"keep the data of {self.name} in"):
            self.home.mkdir(exist_ok=True)
            self._turn_log()
            await self.prepare()
            self._child = await child.start(self.program())
        try:
            if process := running(self._child.pid):
                self.folder.record.running[self.name] = process
                self.folder.save()
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
        if self._child is None:
            return
        await self._child.stop()
        self._child = None
        self.folder.record.running.pop(self.name, None)
        with suppress(CannotRun):  # a full disk must not keep the others from being stopped; a stale entry does no harm
            self.folder.save()

    async def run_to_end(self, program: Program) -> None:
        """Runs a preparing program. Raises CannotRun if it fails."""
        preparing = await child.start(program)
        try:
            code = await preparing.wait()
        finally:
            preparing.kill()
            await preparing.stop()
        if code != 0:
            raise CannotRun(self._last_words(f"could not prepare its data: it {how_it_ended(code)}"))

    def _turn_log(self) -> None:
        """Keeps one log of a bounded size beside the present one."""
        if self.log.exists() and self.log.stat().st_size > LOG_MAX_BYTES:
            self.log.replace(self.log.with_suffix(".log.1"))

    async def _until_ready(self, process: Child) -> None:
        deadline = time.monotonic() + READY_SECONDS
        while process.exit_code is None:
            try:
                async with asyncio.timeout(PROBE_SECONDS):
                    return await self.probe()
            except (NotReady, OSError):  # a TimeoutError is an OSError
                if time.monotonic() > deadline:
                    raise CannotRun(self._last_words(f"does not answer after {READY_SECONDS:.0f} s")) from None
            await asyncio.sleep(POLL_SECONDS)
        raise CannotRun(self._last_words(f"{how_it_ended(process.exit_code)} while starting"))

    def _last_words(self, happened: str) -> str:
        text = self.log.read_bytes()[-LAST_WORDS_BYTES:].decode(errors="replace") if self.log.exists() else ""
        for complaint, advice in COMPLAINTS:
            if complaint in text:
                return f"{self.name} {happened}: {advice} (its log: {self.log})"
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        return f"{self.name} {happened}: {lines[-1] if lines else 'it said nothing'} (its log: {self.log})"
