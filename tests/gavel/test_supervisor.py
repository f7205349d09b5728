"""Children of Gavel: on a leash, forwarded, restarted and ended within bounds."""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path

import psutil
import pytest

from gavel import child
from gavel.child import Child, Program
from gavel.errors import CannotRun
from gavel.gavel_process import LINES_PER_WINDOW, GavelProcess, LineLimit
from gavel.settings import Settings
from gavel.supervisor import Supervisor

SLEEPER = "import signal, time; print('awake', flush=True); time.sleep(600)"
STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); " + SLEEPER


class Lines(asyncio.Queue[str]):
    """What a child or a supervisor says, to be waited for."""

    async def until(self, text: str) -> str:
        async with asyncio.timeout(30):
            while text not in (line := await self.get()):
                pass
            return line


@pytest.fixture
def lines() -> Lines:
    return Lines()


def python(code: str, *, stop_seconds: float = 10.0) -> Program:
    return Program(name="child", command=(sys.executable, "-c", code), folder=Path.cwd(), stop_seconds=stop_seconds)


async def started(program: Program, lines: Lines) -> Child:
    running = await child.start(program, lines.put_nowait)
    await lines.until("awake")
    return running


async def test_a_child_is_stopped_in_order(lines: Lines) -> None:
    """It gets the signal that it wants, and its end is waited for."""
    running = await started(python(SLEEPER), lines)
    await running.stop()
    assert running.exit_code == -signal.SIGTERM
    assert not psutil.pid_exists(running.pid)


async def test_a_stubborn_child_is_killed(lines: Lines) -> None:
    """One that does not end within its time is killed."""
    running = await started(python(STUBBORN, stop_seconds=0.2), lines)
    await running.stop()
    assert running.exit_code == -signal.SIGKILL


async def test_a_suspended_child_is_stopped(lines: Lines) -> None:
    """One that somebody has suspended is woken to be ended."""
    running = await started(python(SLEEPER), lines)
    running.signal(signal.SIGSTOP)
    await running.stop()
    assert running.exit_code == -signal.SIGTERM


async def test_a_long_line_does_not_block_a_child(lines: Lines) -> None:
    """A line beyond the bound is dropped, those after it arrive."""
    running = await child.start(python(f"print('x' * {4 * child.LINE_MAX_BYTES}); print('after')"), lines.put_nowait)
    await lines.until("after")
    assert await running.wait() == 0


ELSEWHERE = "import sys; sys.platform = 'elsewhere'; from gavel import leash; leash.main(sys.argv[1:])"
FAMILY = f"""
import os, subprocess, sys
sleeper = [sys.executable, "-c", "import os, time; print('pid', os.getpid(), flush=True); time.sleep(600)"]
subprocess.run([sys.executable, "-c", {ELSEWHERE!r}, str(os.getpid()), "9", "-1", "-1", *sleeper])
"""


async def test_a_leash_holds_where_the_kernel_does_not_help(lines: Lines) -> None:
    """Elsewhere than on Linux, a watcher beside the child ends it when the parent is gone."""
    parent = await child.start(python(FAMILY), lines.put_nowait)
    sleeper = psutil.Process(int((await lines.until("pid")).split()[1]))
    parent.signal(signal.SIGKILL)
    _, alive = await asyncio.to_thread(psutil.wait_procs, [sleeper], 10)
    assert not alive
    await parent.wait()


class Flaky:
    """A service that starts and runs as told, to see how it is kept."""

    name = "flaky"

    def __init__(self, lines: Lines, code: str = SLEEPER) -> None:
        self.lines = lines
        self.code = code
        self.failures = 0
        self.running: Child | None = None

    async def start(self) -> None:
        if self.failures:
            self.failures -= 1
            raise CannotRun("not yet")
        self.running = await started(python(self.code, stop_seconds=600), self.lines)

    async def ended(self) -> str:
        assert self.running is not None
        return child.how_it_ended(await self.running.wait())

    async def stop(self) -> None:
        if self.running is not None:
            await self.running.stop()

    def kill(self) -> None:
        if self.running is not None:
            self.running.kill()


async def test_a_dead_service_is_started_again(lines: Lines) -> None:
    """Killed, it is back, however often its first attempts fail; the reports say what happened."""
    reports = Lines()
    supervisor = Supervisor(reports.put_nowait)
    service = Flaky(lines)
    await supervisor.start(service)
    assert service.running is not None
    first = service.running.pid
    service.failures = 2
    service.kill()
    assert "was ended by SIGKILL" in await reports.until("flaky was ended")
    assert "not yet; next attempt in 0.4 s" in await reports.until("did not start")
    assert "next attempt in 0.8 s" in await reports.until("did not start")
    await reports.until("flaky is back")
    assert service.running.pid != first
    await supervisor.stop()
    assert service.running.exit_code is not None


async def test_a_service_that_was_taken_down_stays_so(lines: Lines) -> None:
    """What an operator stops is not restarted until it is brought back."""
    reports = Lines()
    supervisor = Supervisor(reports.put_nowait)
    service = Flaky(lines)
    await supervisor.start(service)
    await supervisor.take_down(service)
    assert service.running is not None
    assert service.running.exit_code is not None
    await supervisor.bring_back(service)
    assert service.running.exit_code is None
    await supervisor.stop()
    assert reports.empty()


async def test_a_stop_can_be_hurried(lines: Lines) -> None:
    """A service that takes its time to end is killed at once when somebody insists."""
    supervisor = Supervisor(lines.put_nowait)
    service = Flaky(lines, STUBBORN)
    await supervisor.start(service)
    stopping = asyncio.create_task(supervisor.stop())
    await asyncio.sleep(0)
    supervisor.kill()
    await asyncio.wait_for(stopping, 10)
    assert service.running is not None
    assert service.running.exit_code == -signal.SIGKILL


async def test_a_process_of_gavel_that_cannot_start_says_so(tmp_path: Path) -> None:
    """A child that ends before it is ready is one clear line, and its own lines were passed on."""
    lines = Lines()

    async def never() -> bool:
        return False

    process = GavelProcess(
        "api", ("gavel", "no-such-command"), Settings(data=tmp_path), ready=never, write=lines.put_nowait
    )
    with pytest.raises(CannotRun, match="api ended with exit code 2 while starting"):
        await process.start()
    assert (await lines.until("no-such-command")).startswith("api | ")


def test_a_noisy_child_is_bounded() -> None:
    """Beyond the bound, lines are counted and not written."""
    written: list[str] = []
    limit = LineLimit("api", written.append)
    for number in range(LINES_PER_WINDOW + 50):
        limit(str(number))
    assert written[-1] == f"api | {LINES_PER_WINDOW - 1}"
    assert len(written) == LINES_PER_WINDOW
