"""The whole product as a user starts it: through the command line, on a data folder of its own."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import psutil

from gavel.settings import INSTALLATION_FILE, PREFIX, variable

GAVEL = (sys.executable, "-m", "gavel")
READY = re.compile(r"Gavel is ready: (http://\S+)")
START_SECONDS = 120
STOP_SECONDS = 60
SETTLE_SECONDS = 60
POLL_SECONDS = 0.2


class RunningExchange:
    """`gavel up` and what it wrote about itself."""

    def __init__(self, process: asyncio.subprocess.Process, data: Path, url: str) -> None:
        self._process = process
        self.data = data
        self.url = url
        self.installation: dict[str, Any] = msgspec.json.decode((data / INSTALLATION_FILE).read_bytes())

    async def get(self, path: str) -> Any:
        """JSON of a query. Raises AssertionError for anything but 200."""
        return msgspec.json.decode(await self.get_text(path))

    async def get_text(self, path: str) -> str:
        """Body of any page. Raises AssertionError for anything but 200."""
        headers = {"Authorization": f"Bearer {self.installation['admin_key']}"}
        async with aiohttp.ClientSession() as http, http.get(self.url + path, headers=headers) as answer:
            text = await answer.text()
            assert answer.status == 200, f"{path}: {answer.status} {text}"
            return text

    async def post(self, path: str, body: Any) -> Any:
        """JSON of what a command answers. Raises AssertionError for anything but a 2xx."""
        headers = {"Authorization": f"Bearer {self.installation['admin_key']}"}
        async with aiohttp.ClientSession() as http, http.post(self.url + path, headers=headers, json=body) as answer:
            text = await answer.text()
            assert answer.ok, f"{path}: {answer.status} {text}"
            return msgspec.json.decode(text)

    async def settled(self) -> None:
        """Returns when nothing waits on disk for the log and every projection has applied all that is in the log."""

        async def nothing_waits() -> bool:
            spooled = "gavel_spool_pending_bytes 0.0" in (await self.get_text("/metrics")).splitlines()
            return spooled and all(each["lag"] == 0 for each in await self.get("/v1/projections"))

        await eventually(nothing_waits, SETTLE_SECONDS)

    async def caught_up(self) -> None:
        """Returns when every projection has applied what is in the log by now, whatever comes after it."""
        logged = _offsets(await self.get("/v1/projections"), "high_watermark")

        async def has_applied() -> bool:
            applied = _offsets(await self.get("/v1/projections"), "next_offset")
            return all(applied[at] >= (end or 0) for at, end in logged.items())

        await eventually(has_applied, SETTLE_SECONDS)

    def kill(self, words: str, *, last: bool = False) -> None:
        """SIGKILL for the first (or the last) process whose command line holds these words."""
        family = psutil.Process(self._process.pid).children(recursive=True)
        matches = [process for process in family if words in " ".join(process.cmdline())]
        assert matches, f"no process runs {words!r}"
        matches[-1 if last else 0].kill()


def _offsets(projections: list[dict[str, Any]], field: str) -> dict[tuple[str, str, int], Any]:
    """That field of every partition that a projection reads."""
    return {
        (each["name"], at["topic"], at["partition"]): at[field] for each in projections for at in each["partitions"]
    }


async def eventually(holds: Callable[[], Any], seconds: float) -> None:
    """Returns once the coroutine function answers true; what it raises meanwhile counts as false."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            if await holds():
                return
            problem: object = "it stayed false"
        except (AssertionError, aiohttp.ClientError) as error:
            problem = error
        assert time.monotonic() < deadline, f"not within {seconds} s: {problem}"
        await asyncio.sleep(POLL_SECONDS)


@asynccontextmanager
async def running_exchange(data: Path, *arguments: str) -> AsyncIterator[RunningExchange]:
    """Starts the product and, in the end, asks it to stop; fails if it leaves a process behind."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    environment[variable("allow_private_endpoints")] = "true"
    process = await asyncio.create_subprocess_exec(
        *(*GAVEL, "up", "--data", str(data), "--port", "0", *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env=environment,
    )
    lines: list[str] = []
    family: list[psutil.Process] = []
    try:
        url = await asyncio.wait_for(_ready(process, lines), START_SECONDS)
        reading = asyncio.create_task(_read_on(process, lines))
        yield RunningExchange(process, data, url)
        family = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(signal.SIGINT)
        assert await asyncio.wait_for(process.wait(), STOP_SECONDS) in (0, 130, -signal.SIGINT), "\n".join(lines)
        await reading
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert not [each for each in family if each.is_running() and each.status() != psutil.STATUS_ZOMBIE]


async def gavel(*arguments: str) -> str:
    """Runs one command to its end; what it printed. Raises AssertionError when it fails."""
    process = await asyncio.create_subprocess_exec(
        *(*GAVEL, *arguments), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    output, _ = await process.communicate()
    assert process.returncode == 0, output.decode()
    return output.decode()


async def _ready(process: asyncio.subprocess.Process, lines: list[str]) -> str:
    assert process.stdout is not None
    while line := await process.stdout.readline():
        lines.append(line.decode().rstrip())
        if found := READY.search(lines[-1]):
            return found[1].rstrip("/")
    raise AssertionError("`gavel up` ended:\n" + "\n".join(lines))


async def _read_on(process: asyncio.subprocess.Process, lines: list[str]) -> None:
    assert process.stdout is not None
    while line := await process.stdout.readline():
        lines.append(line.decode().rstrip())
