"""What can be in the way on this machine. The command line prints such an error as one line, without a traceback."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from domain.errors import GavelError


class CannotRun(GavelError):
    """Something on this machine is in the way; the message says what, and what to do about it."""


@contextmanager
def explained(path: Path, doing: str) -> Iterator[None]:
    """Turns an OSError about files under `path` into CannotRun. `doing` completes "cannot …"."""
    try:
        yield
    except OSError as error:
        raise CannotRun(f"cannot {doing} {error.filename or path}: {_advice(error)}") from error


def _advice(error: OSError) -> str:
    if error.errno == errno.ENOSPC:
        return "the disk is full: free some space, or name a folder on another disk"
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return "no permission to write there: choose another folder, or change its owner"
    return f"{error.strerror or error}"
