"""Ports for the servers: free ones, kept for the installation so that its addresses stay the same."""

from __future__ import annotations

import random
import socket

from gavel.errors import CannotRun

HOST = "127.0.0.1"
FIRST, LAST = 15_000, 32_000
"""Below the range that outgoing connections take their ports from, so that none takes a port before its server does."""
ATTEMPTS = 1_000


def choose_port(kept: int | None, taken: set[int]) -> int:
    """The kept port if it is still free, else another one; adds it to `taken`."""
    candidates = ([kept] if kept else []) + random.SystemRandom().sample(range(FIRST, LAST), ATTEMPTS)
    for port in candidates:
        if port not in taken and not why_taken(port):
            taken.add(port)
            return port
    raise CannotRun(f"no free port between {FIRST} and {LAST} on {HOST}: end some of what listens there")


def why_taken(port: int, host: str = HOST) -> str | None:
    """Why no server could listen there; None if one could."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
            probe.listen(1)
        except OSError as error:
            return error.strerror or str(error)
    return None
