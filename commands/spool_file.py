"""A file of events that could not be logged yet: append-only, checksummed, locked by the process that owns it.

    head      magic, then how far it was drained, as an offset (u64)
    record    length (u32), CRC-32 (u32), MessagePack of [topic, key, [event JSON, …]]

All numbers are little-endian. A crash in mid-write leaves a record whose length or checksum is wrong at the end of
the file: it was never accepted, and is cut off. Anywhere else such a record is damage. The lock ends with its
process, so another one sees which files were left behind.
"""

from __future__ import annotations

import fcntl
import os
import re
import struct
import time
import zlib
from collections.abc import Sequence
from io import FileIO
from pathlib import Path
from typing import NamedTuple

import msgspec

MAGIC = b"GAVELSP1"
FILE_HEAD = struct.Struct("<8sQ")
RECORD_HEAD = struct.Struct("<II")
BODY_START = re.compile(rb"[\x90-\x9f]")
"""A short array of MessagePack."""
SUFFIX = ".spool"
SET_ASIDE_SUFFIX = ".unreadable"


class Record(NamedTuple):
    """Events of one append."""

    topic: str
    key: str
    payloads: tuple[bytes, ...]


class Placed(NamedTuple):
    """A whole record, not decoded, and where it stands in its file."""

    start: int
    end: int
    body: bytes


class Content(NamedTuple):
    """What is left to drain."""

    records: list[Placed]
    whole: bool
    """Nothing that was accepted stands behind the last of them."""


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Record).decode


def encode_record(topic: str, key: str, payloads: Sequence[bytes]) -> bytes:
    body = _encode((topic, key, payloads))
    return RECORD_HEAD.pack(len(body), zlib.crc32(body)) + body


def decode_record(body: bytes) -> Record:
    """Raises Unreadable for a record of a format that is not known here."""
    try:
        return _decode(body)
    except msgspec.DecodeError as error:
        raise Unreadable(str(error)) from error


class Unreadable(Exception):
    """It is not one of ours, or of a format that is not known here."""


class SpoolFile:
    """One open and locked file. Its methods block: call them off the event loop."""

    def __init__(self, path: Path, descriptor: int, size_bytes: int, *, left_behind: bool) -> None:
        self.path = path
        self.left_behind = left_behind
        """By another process, which may have died in mid-write."""
        self.size_bytes = size_bytes
        """Up to here it is known to be whole, or for a file left behind: its length."""
        self._file = FileIO(descriptor, "r+")

    def __repr__(self) -> str:
        return f"SpoolFile({self.path.name}, {self.size_bytes} bytes)"

    @classmethod
    def create(cls, folder: Path) -> SpoolFile:
        """A fresh file in the folder, its name after those that exist; raises OSError."""
        while True:
            path = folder / f"{time.time_ns():020d}-{os.getpid()}{SUFFIX}"
            try:
                descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            except FileExistsError:
                continue
            if not _lock(descriptor):  # another process saw it first, took it for left behind, and removes it
                os.close(descriptor)
                continue
            try:
                _write_all(descriptor, FILE_HEAD.pack(MAGIC, FILE_HEAD.size))
                _sync_folder(folder)
            except OSError:
                path.unlink(missing_ok=True)
                os.close(descriptor)
                raise
            return cls(path, descriptor, FILE_HEAD.size, left_behind=False)

    @classmethod
    def take_over(cls, path: Path) -> SpoolFile | None:
        """The file of a process that is gone; None while its owner lives, or when it is gone or cannot be opened."""
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except OSError:
            return None
        if not _lock(descriptor):
            os.close(descriptor)
            return None
        return cls(path, descriptor, os.fstat(descriptor).st_size, left_behind=True)

    @property
    def record_bytes(self) -> int:
        """Without the file's head."""
        return max(0, self.size_bytes - FILE_HEAD.size)

    def append(self, records: bytes) -> None:
        """Returns when they are on the disk. After an OSError nothing more may be appended to this file."""
        self._file.seek(self.size_bytes)
        _write_all(self._file.fileno(), records)
        os.fdatasync(self._file.fileno())
        self.size_bytes += len(records)

    def read(self) -> Content:
        """Whole records that were not drained, oldest first; raises Unreadable for a file of another kind."""
        content = os.pread(self._file.fileno(), self.size_bytes, 0)
        if len(content) <= FILE_HEAD.size:
            return Content([], whole=True)
        magic, drained = FILE_HEAD.unpack_from(content)
        if magic != MAGIC:
            raise Unreadable(f"{self.path} does not start with {MAGIC!r}")
        end = max(drained, FILE_HEAD.size)
        records = []
        while (placed := _record_at(content, end)) is not None:
            records.append(placed)
            end = placed.end
        torn_tail = self.left_behind and not _record_follows(content, end)
        return Content(records, whole=end == self.size_bytes or torn_tail)

    def mark_drained(self, end: int) -> None:
        """Records before this offset need not be read again. Not synced: losing the mark repeats, it loses nothing."""
        os.pwrite(self._file.fileno(), FILE_HEAD.pack(MAGIC, end), 0)

    def delete(self) -> None:
        self.path.unlink(missing_ok=True)
        self._file.close()

    def set_aside(self) -> None:
        """Keeps it for a person to look at."""
        self.path.rename(self.path.with_suffix(SET_ASIDE_SUFFIX))
        self._file.close()

    def release(self) -> None:
        """Leaves it to whoever comes next; does nothing to a file that is gone already."""
        self._file.close()


def _record_at(content: bytes, start: int) -> Placed | None:
    body_start = start + RECORD_HEAD.size
    if body_start > len(content):
        return None
    length, checksum = RECORD_HEAD.unpack_from(content, start)
    if not 0 < length <= len(content) - body_start:
        return None
    body = content[body_start : body_start + length]
    return Placed(start, body_start + length, body) if zlib.crc32(body) == checksum else None


def _record_follows(content: bytes, start: int) -> bool:
    """A whole record begins somewhere behind `start`, which is not the start of one."""
    bodies = BODY_START.finditer(content, start + RECORD_HEAD.size)
    return any(_record_at(content, body.start() - RECORD_HEAD.size) is not None for body in bodies)


def _lock(descriptor: int) -> bool:
    """True if nobody holds it and it is still in its folder."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return os.fstat(descriptor).st_nlink > 0


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def _sync_folder(folder: Path) -> None:
    """Makes the file's name as durable as its content."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
