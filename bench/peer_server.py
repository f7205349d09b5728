"""Serves a Litestar peer as `gavel api` serves Gavel: the same server and event loop, one worker.

Run as `python -m bench.peer_server MODULE PORT`; the module's `app` is the application.
"""

from __future__ import annotations

import os
import signal
import sys
from functools import partial
from importlib import import_module

from granian.constants import HTTPModes, Interfaces, Loops
from granian.server import Server
from litestar.types import ASGIApp

from gavel.cli.api import BACKLOG
from gavel.leash import die_with_parent


def main() -> None:
    module, port = sys.argv[1:]
    server = Server(
        f"{module}:app",
        port=int(port),
        interface=Interfaces.ASGI,
        loop=Loops.uvloop,
        http=HTTPModes.http1,
        websockets=False,
        backlog=BACKLOG,
        log_enabled=False,
    )
    server.serve(target_loader=partial(_load, module, os.getpid()), wrap_loader=False)


def _load(module: str, parent: int) -> ASGIApp:
    """Runs in the worker, which must not outlive a main process that was killed."""
    die_with_parent(signal.SIGKILL)
    if os.getppid() != parent:
        sys.exit("the server's main process is gone")
    app: ASGIApp = import_module(module).app
    return app


if __name__ == "__main__":
    main()
