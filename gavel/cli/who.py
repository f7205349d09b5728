"""Who sits at the command line: kept with what is decided there."""

from __future__ import annotations

import getpass
import socket


def who() -> str:
    """User and host, as far as the machine knows."""
    try:
        user = getpass.getuser()
    except (OSError, KeyError):  # a container may run under a number that has no name
        user = "somebody"
    return f"{user}@{socket.gethostname()}"
