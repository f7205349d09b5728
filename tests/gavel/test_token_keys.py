"""Rotating the key that signs the addresses in ads: no ad breaks, and what is destroyed is believed no more."""

from __future__ import annotations

import asyncio
import stat
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner
from msgspec.structs import replace

from domain.errors import InvalidToken
from domain.tokens import EngagementClaims, TokenKey, expires_at, sign, verify
from gavel.checkup import check_all
from gavel.cli import cli
from gavel.errors import CannotRun
from gavel.settings import Settings
from gavel.token_keys import TokenKeyFile, TokenKeysInForce
from tests.commands.eventually import eventually

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
CLAIMS = EngagementClaims(
    kind="impression",
    auction_id="auction",
    imp_id="1",
    bidder_id="bidder",
    bid_id="bid",
    price_micros=2_000_000,
    clearing_price_micros=1_000_000,
    revenue_micros=800_000,
    currency="USD",
    awarded_at=NOON,
    expires_at=expires_at(NOON, 3_600),
)


class Clock:
    """Stands still until it is set."""

    def __init__(self) -> None:
        self.time = NOON

    def now(self) -> datetime:
        return self.time

    def monotonic(self) -> float:
        return self.time.timestamp()


class Process:
    """Signs and believes like one API process."""

    def __init__(self, file: TokenKeyFile) -> None:
        self.clock = Clock()
        self.keys = TokenKeysInForce.of(file, self.clock)

    def sign(self) -> str:
        return sign(CLAIMS, self.keys())

    def believes(self, token: str) -> bool:
        try:
            return verify(token, self.keys) == CLAIMS
        except InvalidToken:
            return False

    def knows(self, count: int) -> bool:
        return len(list(self.keys)) == count


@pytest.fixture
def file(tmp_path: Path) -> TokenKeyFile:
    """A new installation's, made a year ago."""
    file = TokenKeyFile.of(Settings(data=tmp_path))
    file.rotate(NOON - timedelta(days=365), destroy_old=True)
    return file


@pytest.fixture
async def process(file: TokenKeyFile) -> AsyncIterator[Process]:
    """It follows the file."""
    process = Process(file)
    following = asyncio.create_task(process.keys.follow())
    yield process
    following.cancel()
    with suppress(asyncio.CancelledError):
        await following


async def test_a_rotation_breaks_no_live_ad(file: TokenKeyFile, process: Process) -> None:
    """What was signed before still counts, and what is signed after it is believed by a slow process."""
    slow = Process(file)
    before = process.sign()
    file.rotate(NOON, destroy_old=False)
    await eventually(lambda: process.knows(2))
    assert process.sign() == before, "nobody signs with a key that others may not know yet"
    process.clock.time = NOON + timedelta(seconds=9)
    assert slow.believes(process.sign())
    process.clock.time = NOON + timedelta(seconds=10)
    after = process.sign()
    assert after != before
    assert (process.believes(before), process.believes(after)) == (True, True)
    assert (slow.believes(before), slow.believes(after)) == (True, False)
    assert Process(file).believes(before), "a process that starts later believes it as well"


async def test_a_key_is_believed_for_a_month_after_its_end(file: TokenKeyFile) -> None:
    """Then a rotation drops it: nothing that it has signed can still come back."""
    old = Process(file).sign()
    file.rotate(NOON, destroy_old=False)
    file.rotate(NOON + timedelta(days=30), destroy_old=False)
    later = Process(file)
    later.clock.time = NOON + timedelta(days=30)
    assert later.believes(old)
    later.clock.time += timedelta(seconds=10)
    assert not later.believes(old), "whether anybody rotates again or not"
    file.rotate(NOON + timedelta(days=31), destroy_old=False)
    assert not Process(file).believes(old)
    assert len(file.read()) == 3


async def test_an_old_file_signs_nothing_new(file: TokenKeyFile) -> None:
    """What an older key has signed after its end is forged, whatever the token says of when it was."""
    old = TokenKey.of(file.read()[0].secret)
    file.rotate(NOON, destroy_old=False)
    process = Process(file)
    end = NOON + timedelta(seconds=10)
    process.clock.time = end + timedelta(days=2)

    def believed(awarded_at: datetime, seconds: int = 86_400) -> bool:
        token = sign(replace(CLAIMS, awarded_at=awarded_at, expires_at=expires_at(awarded_at, seconds)), old)
        try:
            return verify(token, process.keys).awarded_at == awarded_at
        except InvalidToken:
            return False

    assert believed(end)
    assert believed(end + timedelta(seconds=10)), "another process has heard of its successor a little late"
    assert not believed(end + timedelta(seconds=11))
    assert not believed(process.clock.time)
    assert not believed(end - timedelta(seconds=1), 3 * 86_400), "no token lives that long"


async def test_a_key_that_somebody_else_knows_is_destroyed(file: TokenKeyFile, process: Process) -> None:
    """The running process believes it no more, and not a byte of it is left in the folder."""
    [leaked] = file.read()
    stolen = process.sign()
    output = CliRunner().invoke(
        cli, ["tokens", "rotate", "--destroy-old", "--data", str(file.path.parent)], catch_exceptions=False
    )
    assert output.exit_code == 0
    await eventually(lambda: not process.believes(stolen))
    assert process.believes(process.sign())
    assert all(leaked.key.encode() not in path.read_bytes() for path in file.path.parent.iterdir())
    assert stat.S_IMODE(file.path.stat().st_mode) == 0o600


@pytest.mark.parametrize("content", [None, b"", b"{}", b'{"keys": []}', b'{"keys": [{"key": "zz", "since": "now"}]}'])
async def test_a_damaged_file_stops_no_running_process(
    file: TokenKeyFile, process: Process, content: bytes | None
) -> None:
    """It goes on with the keys that it has; a new process says what is wrong."""
    token = process.sign()
    if content is None:
        file.path.unlink()
    else:
        file.path.write_bytes(content)
    with pytest.raises(CannotRun, match="token keys"):
        Process(file)
    await asyncio.sleep(0)
    assert process.believes(token)


async def test_the_command_says_what_it_does(file: TokenKeyFile) -> None:
    """It adds a key beside the old one; the list shows the names that stand in tokens, never a key."""
    [old] = file.read()
    folder = ("--data", str(file.path.parent))
    told = CliRunner().invoke(cli, ["tokens", "rotate", *folder], catch_exceptions=False).output
    assert "signs from 10 s from now on" in told
    assert "still believed: 1" in told
    listed = CliRunner().invoke(cli, ["tokens", "list", *folder], catch_exceptions=False).output
    assert TokenKey.of(old.secret).id.hex() in listed
    assert all(each.key not in listed + told for each in file.read())


def test_a_key_of_the_environment_is_not_rotated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would go on in force in the processes that have it: the command says what to do instead."""
    monkeypatch.setenv("GAVEL_TOKEN_KEY", "22" * 16)
    with pytest.raises(CannotRun, match="GAVEL_TOKEN_KEY_FILE"):
        CliRunner().invoke(cli, ["tokens", "rotate", "--data", str(tmp_path)], catch_exceptions=False)
    assert list(tmp_path.iterdir()) == []


async def test_doctor_looks_at_the_keys(file: TokenKeyFile) -> None:
    """It says since when the newest one signs, or what to do where the file is gone."""
    settings = Settings(data=file.path.parent)
    assert await _diagnosis(settings) == (True, "signs since 2025-11-21 12:00 UTC")
    file.rotate(NOON, destroy_old=False)
    assert (await _diagnosis(settings))[1].endswith(", 1 older believed")
    file.path.unlink()
    assert not (await _diagnosis(settings))[0]


async def _diagnosis(settings: Settings) -> tuple[bool, str]:
    [found] = [check for check in await check_all(settings) if check.name == "token key"]
    return found.ok, found.found


def test_a_fixed_key_stays() -> None:
    """A key of the environment needs no file."""
    keys = TokenKeysInForce.fixed(b"k" * 32)
    assert keys() == TokenKey.of(b"k" * 32)
    assert list(keys) == [keys()]
