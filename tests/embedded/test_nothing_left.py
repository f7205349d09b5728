"""However `gavel up` ends, nothing of it is left running."""

from __future__ import annotations

import signal
import socket
from pathlib import Path

import msgspec
import pytest

from gavel.settings import INSTALLATION_FILE
from tests.embedded.conftest import StartGavelUp, all_gone, read_record

SERVERS = ("--only", "redis")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
async def test_a_signal_stops_everything(data: Path, gavel_up: StartGavelUp, number: int) -> None:
    """Ctrl-C and its like end every process in order, with success."""
    up = await gavel_up("--data", data, *SERVERS)
    await up.line("Gavel's servers are ready.")
    family = up.family()
    assert len(family) >= 2
    assert await up.end(number) == 0
    assert not all_gone(family)
    assert read_record(data).running == {}
    installation = msgspec.json.decode((data / INSTALLATION_FILE).read_bytes())
    assert "admin_key" in installation
    assert "redis_url" not in installation


async def test_sigkill_leaves_nothing(data: Path, gavel_up: StartGavelUp) -> None:
    """Even a killed parent takes its servers along, and the next start goes on with their data."""
    up = await gavel_up("--data", data, "--only", "postgres,redis")
    await up.line("Gavel's servers are ready.")
    family = up.family()
    assert len(family) >= 3
    assert await up.end(signal.SIGKILL) == -signal.SIGKILL
    assert not all_gone(family)
    again = await gavel_up("--data", data, "--only", "postgres,redis")
    await again.line("Gavel's servers are ready.")
    assert [line for line in again.said if line.startswith("GAVEL_")] == [
        line for line in up.said if line.startswith("GAVEL_")
    ]


async def test_a_second_ctrl_c_hurries(data: Path, gavel_up: StartGavelUp) -> None:
    """A server that does not end by itself is killed at the second Ctrl-C, long before its time is over."""
    up = await gavel_up("--data", data, *SERVERS)
    await up.line("Gavel's servers are ready.")
    family = up.family()
    up.process.send_signal(signal.SIGINT)
    await up.line("Stopping; Ctrl-C again to hurry.")
    assert await up.end(signal.SIGINT) == 0
    assert not all_gone(family)


async def test_a_second_start_is_refused(data: Path, gavel_up: StartGavelUp) -> None:
    """One clear line, exit code 1, and the first goes on."""
    first = await gavel_up("--data", data, *SERVERS)
    await first.line("Gavel's servers are ready.")
    second = await gavel_up("--data", data, *SERVERS)
    assert await second.exit_code() == 1
    pid = first.process.pid
    told = f"{data} is in use by another Gavel (process {pid}): stop that one, or name another folder (--data)"
    assert second.said == [f"gavel: {told}"]
    assert first.process.returncode is None


async def test_a_busy_port_is_one_clear_line(data: Path, gavel_up: StartGavelUp) -> None:
    """A port that somebody else listens on is told before anything is started."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        up = await gavel_up("--data", data, "--port", port)
        assert await up.exit_code() == 1
    assert len(up.said) == 1
    assert up.said[0].startswith(f"gavel: cannot listen on 127.0.0.1:{port}: Address already in use;")
    assert "--port" in up.said[0]


async def test_an_unknown_server_is_a_usage_error(data: Path, gavel_up: StartGavelUp) -> None:
    """A slip of the pen in --only names what could have been meant."""
    up = await gavel_up("--data", data, "--only", "kafak")
    assert await up.exit_code() == 2
    assert "kafak: not one of kafka, postgres, redis" in " ".join(up.said)
