"""Rotating the key that hides people's ids: what is in force, what is kept, what is destroyed."""

from __future__ import annotations

import asyncio
import stat
from contextlib import suppress
from pathlib import Path

import pytest
from click.testing import CliRunner

from domain.privacy import pseudonym
from gavel.checkup import check_all
from gavel.cli import cli
from gavel.errors import CannotRun
from gavel.pseudonym_keys import KeyInForce, PseudonymKeyFile
from gavel.settings import Settings
from tests.commands.eventually import eventually

PERSON = "6D92078A-8246-4BA4-AE5B-76104861E7DC"


@pytest.fixture
def file(tmp_path: Path) -> PseudonymKeyFile:
    """A new installation's."""
    file = PseudonymKeyFile.of(Settings(data=tmp_path))
    file.ensure()
    return file


def gavel(*arguments: str) -> str:
    """What the command prints."""
    result = CliRunner().invoke(cli, arguments, catch_exceptions=False, env={"COLUMNS": "200"})
    assert result.exit_code == 0, result.output
    return result.output


def test_rotating_destroys_the_old_key(file: PseudonymKeyFile) -> None:
    """Not a byte of it is left in the folder, and the new file is as closed as the old one."""
    [old] = file.read()
    gavel("privacy", "rotate", "--data", str(file.path.parent))
    [new] = file.read()
    assert new.key != old.key
    assert all(old.key.encode() not in path.read_bytes() for path in file.path.parent.iterdir())
    assert stat.S_IMODE(file.path.stat().st_mode) == 0o600


def test_old_keys_are_kept_where_that_is_asked_for(file: PseudonymKeyFile) -> None:
    """A person is then found under each of them, until a rotation destroys them."""
    folder = ("--data", str(file.path.parent))
    [old] = file.read()
    gavel("privacy", "rotate", "--keep-old", *folder)
    assert [each.key == old.key for each in file.read()] == [False, True]
    shown = gavel("privacy", "find", PERSON, *folder)
    assert all(pseudonym(each.secret, PERSON) in shown for each in file.read())
    gavel("privacy", "rotate", *folder)
    assert pseudonym(old.secret, PERSON) not in gavel("privacy", "find", PERSON, *folder)


def test_an_installation_s_key_is_made_once(file: PseudonymKeyFile) -> None:
    """A second start hides people as the first one did."""
    before = file.read()
    file.ensure()
    assert file.read() == before


async def test_a_running_process_takes_up_the_new_key(file: PseudonymKeyFile) -> None:
    """Without a restart, and again after the next rotation."""
    key = KeyInForce.of(file)
    following = asyncio.create_task(key.follow())
    for _ in range(2):
        new = file.rotate(keep_old=False)
        await eventually(lambda new=new: key() == new.secret)
    following.cancel()
    with suppress(asyncio.CancelledError):
        await following


@pytest.mark.parametrize("content", [None, b"", b"{}", b'{"keys": []}', b'{"keys": [{"key": "zz", "since": "now"}]}'])
async def test_a_damaged_file_stops_no_running_process(file: PseudonymKeyFile, content: bytes | None) -> None:
    """It goes on with the key that it has; a new process says what is wrong, and a rotation mends it."""
    key = KeyInForce.of(file)
    before = key()
    following = asyncio.create_task(key.follow())
    if content is None:
        file.path.unlink()
    else:
        file.path.write_bytes(content)
    with pytest.raises(CannotRun, match="pseudonym keys"):
        KeyInForce.of(file)
    await asyncio.sleep(0)
    assert key() == before
    new = file.rotate(keep_old=False)
    await eventually(lambda: key() == new.secret)
    following.cancel()
    with suppress(asyncio.CancelledError):
        await following


def test_a_key_of_the_environment_is_not_rotated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would go on in force in the processes that have it: the command says what to do instead."""
    monkeypatch.setenv("GAVEL_PSEUDONYM_KEY", "22" * 16)
    with pytest.raises(CannotRun, match="GAVEL_PSEUDONYM_KEY_FILE"):
        CliRunner().invoke(cli, ["privacy", "rotate", "--data", str(tmp_path)], catch_exceptions=False)
    assert list(tmp_path.iterdir()) == []


async def test_doctor_looks_at_the_key(file: PseudonymKeyFile) -> None:
    """It says since when the key is in force, or what to do where it is gone."""
    settings = Settings(data=file.path.parent)
    assert await _diagnosis(settings) == (True, f"in force since {file.read()[0].since:%Y-%m-%d %H:%M} UTC")
    file.rotate(keep_old=True)
    assert (await _diagnosis(settings))[1].endswith(", 1 older kept")
    file.path.unlink()
    assert not (await _diagnosis(settings))[0]


async def _diagnosis(settings: Settings) -> tuple[bool, str]:
    [found] = [check for check in await check_all(settings) if check.name == "pseudonym key"]
    return found.ok, found.found


def test_a_fixed_key_stays() -> None:
    """A key of the environment needs no file."""
    assert KeyInForce(b"k" * 32)() == b"k" * 32
