"""Postgres does not run as root: as whom it runs then, and where its data are."""

from __future__ import annotations

import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import psutil
import pytest

from gavel.child import Account
from gavel.embedded import EmbeddedServers
from gavel.embedded.account import can_reach, is_root
from gavel.embedded.postgres import ROOTLESS_HOME, choose_postgres
from gavel.errors import CannotRun
from gavel.settings import Settings
from tests.embedded.conftest import read_record

as_root = pytest.mark.skipif(not is_root(), reason="only root needs another user")
NOBODY = Account("nobody", 65_534, 65_534)


@pytest.fixture
def closed(data: Path) -> Iterator[Path]:
    """A data folder that only its owner may enter."""
    data.mkdir(mode=0o700)
    yield data
    if place := read_record(data).postgres_data:
        shutil.rmtree(Path(place).parent)


def mode_of(folder: Path) -> int:
    return stat.S_IMODE(folder.stat().st_mode)


def owner_of(folder: Path) -> str:
    return folder.owner()


def test_reach_is_judged_by_every_folder_on_the_way(data: Path) -> None:
    """One closed folder on the way is enough to be out of reach."""
    inner = data / "open" / "inner"
    inner.mkdir(parents=True)
    assert can_reach(NOBODY, inner)
    assert can_reach(NOBODY, inner / "to-be-made")
    (data / "open").chmod(0o700)
    assert not can_reach(NOBODY, inner)


@as_root
async def test_data_out_of_reach_are_kept_elsewhere(closed: Path) -> None:
    """They go where the other user can reach them, every start finds them there, and no folder's mode is changed."""
    async with EmbeddedServers(Settings(data=closed), only={"postgres"}) as urls:
        connection = await asyncpg.connect(urls.postgres_url)
        await connection.execute("CREATE TABLE kept ()")
        await connection.close()
        place = Path(read_record(closed).postgres_data or "")
        assert place.is_relative_to(ROOTLESS_HOME)
    assert mode_of(closed) == 0o700
    async with EmbeddedServers(Settings(data=closed), only={"postgres"}) as urls:
        connection = await asyncpg.connect(urls.postgres_url)
        assert await connection.fetchval("SELECT count(*) FROM kept") == 0
        await connection.close()


@as_root
async def test_it_runs_as_another_user(data: Path) -> None:
    """The server's process belongs to an unprivileged user, who gets no folder but its own."""
    servers = EmbeddedServers(Settings(data=data), only={"postgres"})
    async with servers:
        assert psutil.Process(servers.pids["postgres"]).username() in {"postgres", "nobody"}
    assert owner_of(data) == owner_of(data / "postgres") == "root"


def test_data_of_a_version_that_is_gone_are_not_touched() -> None:
    """Where no binaries of the data's version are left, the message says so."""
    with pytest.raises(CannotRun, match="written by Postgres 9, which is not here any more"):
        choose_postgres(needed=9)
