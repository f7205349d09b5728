"""`gavel api`: the HTTP side, as worker processes behind one port."""

from __future__ import annotations

import os
import signal
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import rich_click as click
from granian.constants import HTTPModes, Interfaces, Loops
from granian.log import LogLevels
from granian.server import Server

from gavel.cli import options
from gavel.leash import die_with_parent
from gavel.settings import Settings, load, share_metrics

if TYPE_CHECKING:
    from litestar.types import ASGIApp

BACKLOG = 4_096
"""Connections that wait to be accepted, and requests in work: a burst of viewers is slowed, not refused."""
RESPAWN_SECONDS = 0.5
WORKER_STOP_SECONDS = 10


@click.command(epilog="Example: `gavel api --host 0.0.0.0 --port 8080 --workers 4`")
@options.data
@options.host
@options.port
@options.workers
def api(*, data: Path | None, host: str | None, port: int | None, workers: int | None) -> None:
    """Serves HTTP: auctions, pixels and clicks, the catalogue, queries, the dashboard.

    The servers must be named by settings, or belong to the installation that runs in the data folder.
    """
    serve(load(data=data, host=host, port=port, workers=workers))


def serve(settings: Settings) -> None:
    """Runs worker processes until a signal ends them; one that dies is replaced."""
    if settings.workers > 1:
        share_metrics(settings.data / "metrics")
    server = Server(
        "gavel.asgi:create",
        address=settings.host,
        port=settings.port,
        interface=Interfaces.ASGI,
        loop=Loops.uvloop,
        http=HTTPModes.http1,
        websockets=False,
        workers=settings.workers,
        backlog=BACKLOG,
        respawn_failed_workers=True,
        respawn_interval=RESPAWN_SECONDS,
        workers_kill_timeout=WORKER_STOP_SECONDS,
        log_level=LogLevels(settings.log_level),
    )
    server.serve(target_loader=partial(_load_application, settings, os.getpid()), wrap_loader=False)


def _load_application(settings: Settings, parent: int) -> ASGIApp:
    """Runs in each worker, before it serves."""
    die_with_parent(signal.SIGKILL)
    if os.getppid() != parent:
        sys.exit("the server's main process is gone")
    from gavel.asgi import create  # noqa: PLC0415 - the main process never needs the application

    return create(settings)
