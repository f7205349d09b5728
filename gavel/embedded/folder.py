"""The data folder of one installation: locked while it runs, with a record of what its servers must find again."""

from __future__ import annotations

import fcntl
import os
import shutil
from pathlib import Path

import msgspec

from gavel.embedded.orphans import Running
from gavel.errors import CannotRun, explained

LOCK_FILE = "lock"
RECORD_FILE = "servers.json"
FREE_BYTES_MIN = 256 * 1024 * 1024


class Record(msgspec.Struct):
    """What a later start needs to know."""

    brokers: int | None = None
    cluster_id: str | None = None
    postgres_data: str | None = None
    """Where Postgres keeps its data if its user cannot reach the data folder."""
    ports: dict[str, int] = {}
    running: dict[str, Running] = {}
    """Servers that ran when this was written."""


class DataFolder:
    """An installation's folder, held by this process from `open` to `close`."""

    def __init__(self, path: Path) -> None:
        self.path = path.expanduser().absolute()
        self.record = Record()
        self._lock: int | None = None

    def open(self) -> None:
        """Raises CannotRun if it cannot be written, has no room, or another process holds it."""
        with explained(self.path, "keep data in"):
            self.path.mkdir(parents=True, exist_ok=True)
            self._take_lock()
            free = shutil.disk_usage(self.path).free
        if free < FREE_BYTES_MIN:
            self.close()
            raise CannotRun(
                f"only {free >> 20} MB are free on the disk of {self.path} and {FREE_BYTES_MIN >> 20} MB are needed: "
                "free some space, or name a folder on another disk (--data)"
            )
        self.record = self._read()

    def close(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def save(self) -> None:
        """Writes the record whole or not at all."""
        with explained(self.path, "keep data in"):
            temporary = self.path / f"{RECORD_FILE}.new"
            temporary.write_bytes(msgspec.json.format(msgspec.json.encode(self.record), indent=2))
            temporary.replace(self.path / RECORD_FILE)

    def _take_lock(self) -> None:
        lock = os.open(self.path / LOCK_FILE, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(lock, 32).decode().strip()
            os.close(lock)
            raise CannotRun(
                f"{self.path} is in use by another Gavel (process {holder}): "
                "stop that one, or name another folder (--data)"
            ) from None
        os.ftruncate(lock, 0)
        os.write(lock, f"{os.getpid()}\n".encode())
        self._lock = lock

    def _read(self) -> Record:
        path = self.path / RECORD_FILE
        try:
            return msgspec.json.decode(path.read_bytes(), type=Record)
        except FileNotFoundError:
            return Record()
        except msgspec.DecodeError as error:
            raise CannotRun(f"{path} cannot be read ({error}): restore it, or name another folder (--data)") from error
