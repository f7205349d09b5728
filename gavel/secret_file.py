"""Files that hold keys."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import msgspec

from gavel.errors import explained


def write_secret(path: Path, content: Any) -> None:
    """Writes the content as JSON: whole or not at all, and readable by this user only. Raises CannotRun.

    It has survived a loss of power from the moment that this returns: what a key has sealed may be written right after.
    """
    temporary = path.with_suffix(".new")
    with explained(path.parent, "keep keys in"):
        temporary.unlink(missing_ok=True)
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(msgspec.json.format(msgspec.json.encode(content), indent=2) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
