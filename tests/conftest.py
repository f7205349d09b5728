"""One real Kafka, Postgres and Redis for the whole session; each test gets names and a database of its own."""

from __future__ import annotations

import shutil
import signal
import tempfile
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest
from playwright.async_api import Browser, async_playwright

from domain.names import Names
from gavel import settings
from gavel.embedded import EmbeddedServers, Urls
from gavel.topics import delete_topics, ensure_topics
from projections.migrate import migrate
from tests.hanging import loop_is_known, pytest_runtest_makereport

__all__ = ["loop_is_known", "pytest_runtest_makereport"]
"""For all tests."""

PARTITIONS = 3
TEMPLATE = "gavel_template"
CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
CHROMIUM_ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell that runs the tests in the background has them ignore Ctrl-C, and with them whatever they end by it.
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def data_folder() -> Iterator[Path]:
    """A folder that other users may enter: root's Postgres runs as one of them, and pytest's folders are closed."""
    folder = Path(tempfile.mkdtemp(prefix="gavel-tests-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
async def servers(data_folder: Path) -> AsyncIterator[Urls]:
    """Addresses of real servers, started once; those that GAVEL_KAFKA_URL and its like name are used instead."""
    async with EmbeddedServers(settings.load(data=data_folder / "session")) as urls:
        yield urls


@pytest.fixture(scope="session")
def kafka_url(servers: Urls) -> str:
    assert servers.kafka_url is not None
    return servers.kafka_url


@pytest.fixture(scope="session")
async def postgres_url(servers: Urls) -> str:
    """One Postgres for all tests. Ours waits for no disk: no machine fails under it, and many databases are made."""
    assert servers.postgres_url is not None
    if settings.load().postgres_url is None:
        await _execute(servers.postgres_url, "ALTER SYSTEM SET fsync = off", "SELECT pg_reload_conf()")
    return servers.postgres_url


@pytest.fixture(scope="session")
def redis_url(servers: Urls) -> str:
    """One Redis for all tests: their keys differ by the namespace in `names`."""
    assert servers.redis_url is not None
    return servers.redis_url


@pytest.fixture
async def names(kafka_url: str) -> AsyncIterator[Names]:
    """A namespace that no other test uses, its topics created with PARTITIONS partitions."""
    names = Names(f"t{uuid.uuid4().hex[:12]}")
    await ensure_topics(kafka_url, names, PARTITIONS)
    yield names
    await delete_topics(kafka_url, names)


@pytest.fixture(scope="session")
async def template(postgres_url: str) -> str:
    """A migrated database that those of the tests are copied from."""
    await _execute(postgres_url, f"DROP DATABASE IF EXISTS {TEMPLATE}", f"CREATE DATABASE {TEMPLATE}")
    await migrate(_other_database(postgres_url, TEMPLATE))
    return TEMPLATE


@pytest.fixture
async def database(postgres_url: str, template: str) -> AsyncIterator[str]:
    """URL of a fresh migrated database."""
    name = f"t{uuid.uuid4().hex[:12]}"
    await _execute(postgres_url, f"CREATE DATABASE {name} TEMPLATE {template}")
    yield _other_database(postgres_url, name)
    await _execute(postgres_url, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(scope="session")
async def browser() -> AsyncIterator[Browser]:
    """The machine's own Chromium, started once; each test opens windows of its own."""
    chromium = next(filter(None, map(shutil.which, CHROMIUM)), None)
    if chromium is None:
        pytest.skip("no Chromium on this machine: install the package `chromium`")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium, args=CHROMIUM_ARGUMENTS)
        yield browser
        await browser.close()


async def _execute(url: str, *statements: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close()


def _other_database(url: str, name: str) -> str:
    return urlunsplit(urlsplit(url)._replace(path=f"/{name}"))
