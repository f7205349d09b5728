"""The broker's jars: fetched once by coordinates, checked against `kafka.lock`, shared by all installations."""

from __future__ import annotations

import hashlib
import os
import ssl
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import requests
from jgo.constants import MAVEN_CENTRAL_URL
from requests.adapters import HTTPAdapter
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from gavel.errors import CannotRun, explained

LOCK = Path(__file__).with_name("kafka.lock")
FOLDER = "kafka-4.3.1"
DOWNLOADS_AT_ONCE = 8
ATTEMPTS = 4
TIMEOUT_SECONDS = 15
CHUNK_BYTES = 16 * 1024
CHANGED = "something between here and the repository changed it; nothing of it was kept"


class Jar(NamedTuple):
    """One line of the lock file."""

    group: str
    artifact: str
    version: str
    size: int
    sha256: str

    @property
    def file_name(self) -> str:
        return f"{self.artifact}-{self.version}.jar"

    @property
    def path(self) -> str:
        """Below a Maven repository's address."""
        return f"{self.group.replace('.', '/')}/{self.artifact}/{self.version}/{self.file_name}"


class TrustingTheMachine(HTTPAdapter):
    """Trusts what the machine does, or SSL_CERT_FILE names, besides what requests does.

    A company's proxy signs with an authority that only the machine knows.
    """

    def init_poolmanager(self, connections: int, maxsize: int, block: bool = False, **options: Any) -> None:
        super().init_poolmanager(connections, maxsize, block, ssl_context=ssl.create_default_context(), **options)


class Stopped(Exception):
    """Downloads were given up because somebody pressed Ctrl-C or another one failed."""


def read_lock(lock: Path = LOCK) -> list[Jar]:
    """The jars, in the order of the class path."""
    lines = [line.split() for line in lock.read_text().splitlines() if not line.startswith("#")]
    return [_jar(*line) for line in lines]


def _jar(coordinates: str, size: str, sha256: str) -> Jar:
    group, artifact, version = coordinates.split(":")
    return Jar(group, artifact, version, int(size), sha256)


class JarCache:
    """A folder of checked jars. Several processes may fill it at the same time: a jar appears whole or not at all."""

    def __init__(self, cache: Path, console: Console, *, repository: str = MAVEN_CENTRAL_URL) -> None:
        self.folder = cache.expanduser() / FOLDER
        self._console = console
        self._repository = repository
        self._stopped = threading.Event()

    def ensure(self, jars: Sequence[Jar]) -> list[Path]:
        """The jars' files; fetches those that are missing or damaged. Raises CannotRun."""
        with explained(self.folder, "keep the Kafka broker's files in"):
            self.folder.mkdir(parents=True, exist_ok=True)
            with ThreadPoolExecutor(DOWNLOADS_AT_ONCE) as threads:
                intact = threads.map(self._is_intact, jars)
                missing = [jar for jar, whole in zip(jars, intact, strict=True) if not whole]
                if missing:
                    self._fetch_all(missing, threads)
        return [self.folder / jar.file_name for jar in jars]

    def stop(self) -> None:
        """Gives up; `ensure` ends soon after. What was fetched stays."""
        self._stopped.set()

    def _is_intact(self, jar: Jar) -> bool:
        try:
            with (self.folder / jar.file_name).open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest() == jar.sha256
        except FileNotFoundError:
            return False

    def _fetch_all(self, jars: Sequence[Jar], threads: ThreadPoolExecutor) -> None:
        columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
        with (
            Progress(*columns, TimeRemainingColumn(), console=self._console) as progress,
            requests.Session() as session,
        ):
            session.mount("https://", TrustingTheMachine(pool_maxsize=DOWNLOADS_AT_ONCE))
            bar = progress.add_task("Fetching Apache Kafka 4.3.1", total=sum(jar.size for jar in jars))
            futures = [threads.submit(self._fetch, session, jar, progress, bar) for jar in jars]
            self._wait(futures)

    def _wait(self, futures: Iterable[Future[None]]) -> None:
        """Waits for all; the first failure stops the others and is raised."""
        failure: BaseException | None = None
        for future in futures:
            error = future.exception()
            if error is not None:
                self.stop()
                if failure is None or isinstance(failure, Stopped):
                    failure = error
        if failure is not None:
            raise failure

    def _fetch(self, session: requests.Session, jar: Jar, progress: Progress, bar: TaskID) -> None:
        partial = self.folder / f"{jar.file_name}.{os.getpid()}.part"
        try:
            for attempt in range(1, ATTEMPTS + 1):
                try:
                    sha256 = self._download(session, jar, partial, lambda size: progress.advance(bar, size))
                    break
                except requests.RequestException as error:
                    progress.advance(bar, -_size(partial))
                    if attempt == ATTEMPTS:
                        raise CannotRun(_unreachable(jar, error)) from error
                    self._stopped.wait(attempt)
            if sha256 != jar.sha256:
                raise CannotRun(f"{jar.path} arrived with sha256 {sha256}, the lock says {jar.sha256}: {CHANGED}")
            partial.replace(self.folder / jar.file_name)
        finally:
            partial.unlink(missing_ok=True)

    def _download(self, session: requests.Session, jar: Jar, to: Path, advance: Callable[[int], None]) -> str:
        """Returns the sha256 of what came."""
        digest = hashlib.sha256()
        self._give_up_if_stopped()
        with (
            session.get(f"{self._repository}/{jar.path}", stream=True, timeout=TIMEOUT_SECONDS) as answer,
            to.open("wb") as file,
        ):
            answer.raise_for_status()
            for chunk in answer.iter_content(CHUNK_BYTES):
                self._give_up_if_stopped()
                file.write(chunk)
                digest.update(chunk)
                advance(len(chunk))
        return digest.hexdigest()

    def _give_up_if_stopped(self) -> None:
        if self._stopped.is_set():
            raise Stopped


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _reason(error: requests.RequestException) -> str:
    """In a few words; the exception's own text nests those of four libraries."""
    if error.response is not None:
        return f"the repository answers {error.response.status_code}"
    if isinstance(error, requests.exceptions.SSLError):
        return "the repository's certificate is not trusted"
    if isinstance(error, requests.Timeout):
        return "the repository does not answer in time"
    if isinstance(error, requests.ConnectionError):
        return "no connection to the repository"
    return str(error)


def _unreachable(jar: Jar, error: requests.RequestException) -> str:
    return (
        f"cannot fetch {jar.path}: {_reason(error)}; check the network, its proxy (HTTPS_PROXY) and certificates "
        "(REQUESTS_CA_BUNDLE), or set GAVEL_KAFKA_URL to a Kafka of yours"
    )
