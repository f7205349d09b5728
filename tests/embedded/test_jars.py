"""The broker's jars: whatever the network does, only the locked bytes are ever kept."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from rich.console import Console

from gavel.embedded.jars import FOLDER, Jar, JarCache, read_lock
from gavel.errors import CannotRun

CONTENT = b"a jar of bytes" * 10_000
JAR = Jar("org.example", "jar", "1.0", len(CONTENT), hashlib.sha256(CONTENT).hexdigest())
OTHER = JAR._replace(artifact="other")


class Repository:
    """A Maven repository with the same content everywhere."""

    def __init__(self) -> None:
        self.content = CONTENT
        self.asked: list[str] = []
        repository = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                repository.asked.append(self.path)
                self.send_response(200)
                self.send_header("Content-Length", str(len(CONTENT)))
                self.end_headers()
                self.wfile.write(repository.content)

            def log_message(self, *_: object) -> None:
                """Keeps quiet."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}"


@pytest.fixture
def repository() -> Iterator[Repository]:
    repository = Repository()
    thread = threading.Thread(target=repository.server.serve_forever)
    thread.start()
    yield repository
    repository.server.shutdown()
    thread.join()
    repository.server.server_close()


def cache(folder: Path, address: str) -> JarCache:
    return JarCache(folder, Console(quiet=True), repository=address)


def test_the_lock_names_the_whole_broker() -> None:
    """46 different jars, each with a size and a sha256."""
    jars = read_lock()
    assert len({jar.file_name for jar in jars}) == len(jars) == 46
    assert all(jar.size > 0 and len(jar.sha256) == 64 for jar in jars)


def test_jars_are_fetched_once(tmp_path: Path, repository: Repository) -> None:
    """A second start asks the network for nothing."""
    first = cache(tmp_path, repository.address).ensure([JAR, OTHER])
    assert [path.read_bytes() for path in first] == [CONTENT, CONTENT]
    assert cache(tmp_path, repository.address).ensure([JAR, OTHER]) == first
    assert sorted(repository.asked) == ["/org/example/jar/1.0/jar-1.0.jar", "/org/example/other/1.0/other-1.0.jar"]


def test_a_damaged_jar_is_fetched_again(tmp_path: Path, repository: Repository) -> None:
    """A jar cut short by a crash heals, the whole one beside it is not fetched again."""
    paths = cache(tmp_path, repository.address).ensure([JAR, OTHER])
    paths[1].write_bytes(CONTENT[:100])
    repository.asked.clear()
    cache(tmp_path, repository.address).ensure([JAR, OTHER])
    assert repository.asked == [f"/{OTHER.path}"]
    assert paths[1].read_bytes() == CONTENT


def test_a_wrong_hash_is_refused(tmp_path: Path, repository: Repository) -> None:
    """Bytes that somebody has changed on the way are told and thrown away."""
    repository.content = b"A" + CONTENT[1:]
    with pytest.raises(CannotRun, match=r"arrived with sha256 .* the lock says"):
        cache(tmp_path, repository.address).ensure([JAR])
    assert list((tmp_path / FOLDER).iterdir()) == []


def test_no_network_is_one_clear_line(tmp_path: Path, repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nobody answers, the message says what to check."""
    monkeypatch.setattr("gavel.embedded.jars.ATTEMPTS", 1)
    with pytest.raises(CannotRun, match=r"no connection to the repository; check .* or set GAVEL_KAFKA_URL") as caught:
        cache(tmp_path, "http://127.0.0.1:1").ensure([JAR])
    assert "\n" not in str(caught.value)


def test_an_unwritable_cache_is_one_clear_line(repository: Repository) -> None:
    """Where the files cannot be kept, the message says so."""
    with pytest.raises(CannotRun, match="cannot keep the Kafka broker's files in /sys/gavel"):
        cache(Path("/sys/gavel"), repository.address).ensure([JAR])
