"""`gavel up` from end to end: a whole exchange, as a user starts it."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
from http import HTTPStatus
from pathlib import Path
from typing import Any

import httpx
import msgspec
import psutil
import pytest

from tests.embedded.conftest import GavelUp, StartGavelUp, all_gone
from tests.gavel.shell import Shell

READY = "Gavel is ready: "


async def gavel(*arguments: object) -> tuple[int, str]:
    """Runs a one-shot command; its exit code and what it printed."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gavel", *map(str, arguments)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode is not None
    return process.returncode, output.decode()


async def ready(up: GavelUp) -> str:
    """The address that it prints."""
    line = await up.line(READY)
    assert re.fullmatch(r"Gavel is ready: http://127\.0\.0\.1:\d+/", line)
    return line.removeprefix(READY)


def workers(up: GavelUp, command: str) -> list[psutil.Process]:
    """Its processes that run `gavel COMMAND`."""
    return [each for each in up.family() if each.cmdline()[1:4] == ["-m", "gavel", command]]


async def test_the_life_of_an_exchange(data: Path, gavel_up: StartGavelUp) -> None:
    """It starts and answers, what dies of it comes back, and SIGKILL of all leaves nothing; started again, it stops."""
    up = await gavel_up("--data", data, "--port", 0, "--workers", 2)
    url = await ready(up)
    assert [line.partition(":")[0] for line in up.said[:4]] == [
        "kafka-1",
        "postgres",
        "redis",
        f"Admin key, shown this once and kept in {data}",
    ]
    await answers(url, data, key=up.said[3].rpartition(": ")[2])
    await dead_processes_come_back(up, url)
    assert len([line for line in up.said if line.startswith(READY)]) == 1
    family = up.family()
    await up.end(signal.SIGKILL)
    assert not all_gone(family)

    again = await gavel_up("--data", data, "--port", 0)
    await ready(again)
    assert not [line for line in again.said if "Admin key" in line]
    family = again.family()
    assert await again.end(signal.SIGINT) == 0
    assert not all_gone(family)


async def answers(url: str, data: Path, *, key: str) -> None:
    """It is ready where it says, and `gavel doctor` finds it there."""
    async with httpx.AsyncClient(base_url=url) as client:
        assert (await client.get("/readyz")).status_code == HTTPStatus.OK
        assert (await client.get("/")).status_code == HTTPStatus.OK
    code, output = await gavel("doctor", "--json", "--data", data)
    report: dict[str, Any] = msgspec.json.decode(output)
    assert (code, report["ok"]) == (0, True), output
    assert report["api_url"] == url.rstrip("/")
    assert all(report[name] for name in ("kafka_url", "postgres_url", "redis_url"))
    [redis] = [each for each in report["checks"] if each["name"] == "redis"]
    assert "% of what it may" in redis["found"], "its memory is bounded"
    assert key not in output


async def dead_processes_come_back(up: GavelUp, url: str) -> None:
    """SIGKILL of the API's main process, of the projectors and of a worker: the exchange answers again."""
    main = min(workers(up, "api"), key=lambda process: process.create_time())
    [projectors] = workers(up, "project")
    orphans = main.children()
    assert len(orphans) == 2
    for process in (main, projectors):
        os.kill(process.pid, signal.SIGKILL)
    await up.line("api is back")
    assert not all_gone(orphans)
    # It is back as soon as one worker listens, and the other one may be the one that is killed now.
    patient = httpx.AsyncHTTPTransport(retries=5)
    async with httpx.AsyncClient(base_url=url, transport=patient) as client:
        assert (await client.get("/readyz")).status_code == HTTPStatus.OK
        [worker, other] = min(workers(up, "api"), key=lambda process: process.create_time()).children()
        os.kill(worker.pid, signal.SIGKILL)
        psutil.wait_procs([worker], timeout=10)
        assert other.is_running()
        assert (await client.get("/livez")).status_code == HTTPStatus.OK


async def test_doctor_says_what_to_do(data: Path) -> None:
    """Where nothing runs, every check has its advice, and the exit code says that something is wrong."""
    code, output = await gavel("doctor", "--json", "--data", data)
    report = msgspec.json.decode(output)
    assert (code, report["ok"]) == (1, False)
    assert all(check["advice"] for check in report["checks"] if not check["ok"])
    code, output = await gavel("projections", "list", "--data", data)
    assert code == 1
    assert "GAVEL_KAFKA_URL" in output
    assert "Traceback" not in output


@pytest.mark.parametrize(
    "command",
    [
        *("demo", "up", "api", "project", "migrate", "topology", "doctor", "projections list", "simulate"),
        *("privacy rotate", "privacy find"),
    ],
)
async def test_every_command_has_help_with_an_example(command: str) -> None:
    """`--help` of each command shows how it is used."""
    group, *words = command.split()
    told = await Shell(group, {})(*words, "--help")
    assert told.code == 0
    assert "Usage: gavel" in told.out
    assert "Example" in told.out
