"""An installation of its own that everything may be done to: servers, workers as processes, an operator's commands."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from domain.names import Names
from gavel.child import Child, Program, start
from gavel.embedded import EmbeddedServers, Urls
from gavel.errors import CannotRun
from gavel.settings import Settings
from gavel.topics import ensure_topics
from projections.migrate import migrate
from projections.servers import Addresses
from tests.chaos.desk import Desk
from tests.chaos.schedule import REBUILT

ROOT = Path(__file__).parents[2]
PARTITIONS = 3
TRIES = 5
TRACEBACK = "Traceback (most recent call last)"
FAILED = "the projection failed and is started again"
"""What a worker says of a programmer's error."""


class Fleet:
    """Made by `fleet`."""

    def __init__(self, servers: EmbeddedServers, urls: Urls, data: Path, workers: int) -> None:
        kafka_url, postgres_url, redis_url = urls
        assert kafka_url is not None
        assert postgres_url is not None
        assert redis_url is not None
        self.addresses = Addresses(
            kafka_url=kafka_url, postgres_url=postgres_url, redis_url=redis_url, names=Names("chaos")
        )
        self.desk = Desk(postgres_url)
        self.findings = self.desk.findings
        """What no strike explains."""
        self._servers = servers
        self._data = data
        self._broken = data / "broken"
        self._broken.mkdir()
        self._restarting = {name: asyncio.Lock() for name in servers.pids}
        self._workers: list[Child | None] = [None] * workers
        self._logs: list[Path] = []
        self._commands = 0

    # -- servers ----------------------------------------------------------------------------------

    async def restart(self, server: str, *, is_hard: bool) -> None:
        """Stops a server, or kills it, and starts it again on its data."""
        async with self._restarting[server]:
            if is_hard:
                with suppress(ProcessLookupError, KeyError):
                    os.kill(self._servers.pids[server], signal.SIGKILL)
            await self._servers.take_down(server)
            for attempt in range(TRIES):
                try:
                    await self._servers.bring_back(server)
                    break
                except CannotRun:  # children of a Postgres that was killed end a moment later
                    if attempt == TRIES - 1:
                        raise
                    await asyncio.sleep(1)

    # -- workers ----------------------------------------------------------------------------------

    async def start_workers(self) -> None:
        for number in range(len(self._workers)):
            await self._start_worker(number)

    async def _start_worker(self, number: int) -> None:
        self._logs.append(self._data / f"worker-{number}-{len(self._logs)}.log")
        command = (sys.executable, "-m", "tests.chaos.faulty_worker", str(self._broken))
        self._workers[number] = await start(self._program(f"worker {number}", command, self._logs[-1]))

    async def kill_worker(self, number: int) -> None:
        """And starts another one in its place, as a supervisor would."""
        worker = self._workers[number]
        assert worker is not None
        self._look_at(worker)
        worker.signal(signal.SIGKILL)
        await worker.wait()
        await self._start_worker(number)

    async def suspend_worker(self, number: int, seconds: float) -> None:
        """Whatever it was doing, it goes on with that afterwards."""
        worker = self._workers[number]
        assert worker is not None
        worker.signal(signal.SIGSTOP)
        await asyncio.sleep(seconds)
        worker.signal(signal.SIGCONT)

    async def stop_workers(self) -> None:
        """And reads what they have said; called again, it does nothing."""
        workers, self._workers = self._workers, []
        for worker in filter(None, workers):
            self._look_at(worker)
            await worker.stop()
        logs, self._logs = self._logs, []
        for path in logs:
            lines = path.read_text(errors="replace").splitlines()
            self.findings += [f"{path.name}: {line}" for line in lines if FAILED in line or TRACEBACK in line[:60]]

    def _look_at(self, worker: Child) -> None:
        if worker.exit_code is not None:
            self.findings.append(f"{worker!r} has ended by itself")

    def break_handler(self, projection: str) -> None:
        (self._broken / projection).touch()

    def mend_handlers(self, *projections: str) -> None:
        for name in projections or REBUILT:
            (self._broken / name).unlink(missing_ok=True)

    # -- the operator -----------------------------------------------------------------------------

    async def command(self, *words: str, killed_after_s: float) -> None:
        """Runs `gavel …` and kills it; whatever it was doing, it may be refused, but must not crash."""
        self._commands += 1
        log = self._data / f"command-{self._commands}-{'-'.join(words)}.log"
        child = await start(self._program(" ".join(words), (sys.executable, "-m", "gavel", *words), log))
        try:
            code = await asyncio.wait_for(child.wait(), killed_after_s)
        except TimeoutError:
            child.signal(signal.SIGKILL)
            code = await child.wait()
        said = log.read_text(errors="replace")
        if TRACEBACK in said:
            self.findings.append(f"gavel {' '.join(words)} crashed: {' | '.join(said.splitlines()[-12:])}")
        self.desk.outcomes[f"{words[1]} killed" if code < 0 else f"{words[1]} ended with {code}"] += 1

    def _program(self, name: str, command: tuple[str, ...], log: Path) -> Program:
        addresses = self.addresses
        variables = {
            "GAVEL_KAFKA_URL": addresses.kafka_url,
            "GAVEL_POSTGRES_URL": addresses.postgres_url,
            "GAVEL_REDIS_URL": addresses.redis_url,
            "GAVEL_NAMESPACE": addresses.names.namespace,
            "GAVEL_DATA": str(self._data),
        }
        return Program(name=name, command=command, folder=ROOT, log=log, environment={**os.environ, **variables})


@asynccontextmanager
async def fleet(data: Path, *, workers: int) -> AsyncIterator[Fleet]:
    """Servers with a fresh log and database; the workers are not started yet, and stopped in the end."""
    servers = EmbeddedServers(Settings(data=data))
    async with servers as urls:
        made = Fleet(servers, urls, data, workers)
        await ensure_topics(made.addresses.kafka_url, made.addresses.names, PARTITIONS)
        await migrate(made.addresses.postgres_url)
        try:
            yield made
        finally:
            await made.stop_workers()
