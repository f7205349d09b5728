"""Data keys of feed clients: made once, kept wrapped, rotated while processes run, and destroyed for good."""

from __future__ import annotations

import asyncio
import multiprocessing
import stat
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from domain.errors import Conflict, InvalidInput, Unavailable
from domain.feeds.sealing import Unreadable, seal
from gavel.checkup import check_all
from gavel.errors import CannotRun
from gavel.feed_keys import FeedKeyFile, FeedKeysInForce
from gavel.secret_file import write_secret
from gavel.settings import Settings, load, shown
from tests.commands.eventually import eventually

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
VALUE = b'{"segments":["sports"]}'


def file_in(folder: Path) -> FeedKeyFile:
    return FeedKeyFile.of(Settings(data=folder))


async def sealed_by(keys: FeedKeysInForce, client: str) -> tuple[str, bytes]:
    """A record's value, and the name of the key that it is sealed with."""
    key = await keys.sealing(client)
    return key.id, seal(VALUE, data_key=key.secret, nonce=bytes(12), client=client, topic="b", key="user")


def opened_by(keys: FeedKeysInForce, client: str, record: tuple[str, bytes]) -> bytes | None:
    """The value again; None where no key of that name is left."""
    key = keys.opening(client, record[0])
    return None if key is None else key.unseal(record[1], client=client, topic="b", key="user")


def written(folder: Path) -> dict[str, bytes]:
    """All files that keys have left, and what is in them."""
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture
async def following(tmp_path: Path) -> AsyncIterator[FeedKeysInForce]:
    """A running process that follows the file."""
    keys = FeedKeysInForce(file_in(tmp_path))
    task = asyncio.create_task(keys.follow())
    yield keys
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def test_nothing_is_written_before_the_first_record(tmp_path: Path) -> None:
    """An exchange without feeds has no keys of feeds."""
    keys = FeedKeysInForce(file_in(tmp_path))
    assert keys.opening("client", "00000000") is None
    assert written(tmp_path) == {}


async def test_every_client_has_keys_of_its_own(tmp_path: Path) -> None:
    """One client's key is made once, for all processes, and opens nothing of another client's."""
    keys = FeedKeysInForce(file_in(tmp_path))
    first, again, other = await keys.sealing("a"), await keys.sealing("a"), await keys.sealing("b")
    assert first == again
    assert len({first.secret, other.secret}) == 2
    assert await FeedKeysInForce(file_in(tmp_path)).sealing("a") == first
    assert keys.opening("b", first.id) is None
    record = await sealed_by(keys, "a")
    with pytest.raises(Unreadable):
        other.unseal(record[1], client="b", topic="b", key="user")


async def test_keys_are_kept_wrapped(tmp_path: Path) -> None:
    """No data key stands in the folder, and nobody else can read its files."""
    key = await FeedKeysInForce(file_in(tmp_path)).sealing("a")
    files = written(tmp_path)
    assert files.keys() >= {"feed-keys.json", "feed-wrapping-key.json"}
    for name, content in files.items():
        forms = (key.secret, key.secret.hex().encode(), b64encode(key.secret))
        assert not any(form in content for form in forms)
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600


async def test_a_wrapping_key_of_the_environment_is_written_nowhere(tmp_path: Path) -> None:
    """Then the file alone opens nothing; with another such key nothing is opened, and nothing added."""
    settings = Settings(data=tmp_path, feed_key="ab" * 32)
    key = await FeedKeysInForce(FeedKeyFile.of(settings)).sealing("a")
    assert all(b"ab" * 32 not in content for content in written(tmp_path).values())
    assert await FeedKeysInForce(FeedKeyFile.of(settings)).sealing("a") == key
    other = FeedKeyFile.of(msgspec.structs.replace(settings, feed_key="cd" * 32))
    with pytest.raises(CannotRun, match="another wrapping key"):
        FeedKeysInForce(other)
    with pytest.raises(CannotRun, match="another wrapping key"):
        other.rotate("b", NOON)
    with pytest.raises(CannotRun, match="feed-wrapping-key"):
        FeedKeysInForce(file_in(tmp_path))


@pytest.mark.parametrize("text", ["", "zz" * 32, "ab" * 31])
def test_a_weak_wrapping_key_is_refused(tmp_path: Path, text: str) -> None:
    """What is no hex, or shorter than the keys it wraps, is named; and the doctor never shows it."""
    with pytest.raises(InvalidInput, match="GAVEL_FEED_KEY"):
        FeedKeyFile.of(Settings(data=tmp_path, feed_key=text))
    settings = load({"GAVEL_FEED_KEY": "ab" * 32}, dotenv=tmp_path / ".env", data=tmp_path)
    assert "ab" * 32 not in str(shown(settings))


async def test_a_rotation_leaves_what_was_sealed_before(tmp_path: Path, following: FeedKeysInForce) -> None:
    """A running process seals with the new key and opens both; one that has not heard of it opens both as well."""
    deaf = FeedKeysInForce(file_in(tmp_path))
    before = await sealed_by(following, "a")
    new = file_in(tmp_path).rotate("a", NOON)
    await eventually(lambda: following._held.clients["a"][0].id == new.id)
    after = await sealed_by(following, "a")
    assert before[0] != after[0] == new.id
    for keys in (following, deaf):
        assert [opened_by(keys, "a", each) for each in (before, after)] == [VALUE, VALUE]


async def test_the_first_key_stays_the_same(tmp_path: Path, following: FeedKeysInForce) -> None:
    """Through rotations, in every process; it is made where there is none, and with the client it is erased."""
    file, first = file_in(tmp_path), await following.first("a")
    assert first == await following.sealing("a")
    new = file.rotate("a", NOON)
    await eventually(lambda: following._held.clients["a"][0].id == new.id)
    assert (await following.sealing("a")).id == new.id
    for keys in (following, FeedKeysInForce(file)):
        assert await keys.first("a") == first
    file.erase("a", NOON)
    with pytest.raises(Conflict, match="erased"):
        await FeedKeysInForce(file).first("a")


async def test_the_wrapping_key_is_rotated(tmp_path: Path, following: FeedKeysInForce) -> None:
    """Every data key is the same as before, in running processes as well; the old wrapping key opens nothing."""
    file = file_in(tmp_path)
    first, erased = await sealed_by(following, "a"), await sealed_by(following, "e")
    file.rotate("a", NOON)
    file.erase("e", NOON)
    deaf = FeedKeysInForce(file)
    before, old = file.read(), (tmp_path / "feed-wrapping-key.json").read_bytes()
    assert file.rotate_wrapping_key(NOON) == 2
    after = file.read()
    assert [each.id for each in after.clients["a"]] == [each.id for each in before.clients["a"]]
    assert after.erased == before.erased
    for keys in (following, deaf, FeedKeysInForce(file)):
        assert opened_by(keys, "a", first) == VALUE
        assert (await keys.sealing("a")).id in {each.id for each in after.clients["a"]}
    assert FeedKeysInForce(file).opening("e", erased[0]) is None
    (tmp_path / "feed-wrapping-key.json").write_bytes(old)
    with pytest.raises(CannotRun, match="another wrapping key"):
        FeedKeysInForce(file)


async def test_a_rotation_that_was_interrupted_is_completed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever it ends, all data keys open; run again it leaves one wrapping key."""
    file, writes = file_in(tmp_path), 0
    record = await sealed_by(FeedKeysInForce(file), "a")
    for fatal in (1, 2, 3):
        writes = 0

        def written_until(path: Path, content: object, fatal: int = fatal) -> None:
            nonlocal writes
            writes += 1
            if writes == fatal:
                raise CannotRun("the disk is full")
            write_secret(path, content)

        for module in ("gavel.feed_keys", "gavel.key_file"):
            monkeypatch.setattr(f"{module}.write_secret", written_until)
        with pytest.raises(CannotRun, match="full"):
            file.rotate_wrapping_key(NOON)
        assert opened_by(FeedKeysInForce(file), "a", record) == VALUE
    monkeypatch.undo()
    file.rotate_wrapping_key(NOON)
    assert opened_by(FeedKeysInForce(file), "a", record) == VALUE
    assert len(msgspec.json.decode((tmp_path / "feed-wrapping-key.json").read_bytes())["keys"]) == 1


async def test_a_wrapping_key_of_the_environment_is_exchanged(tmp_path: Path) -> None:
    """With the one before beside it everything opens; once all is wrapped under the new one, that suffices."""
    old = Settings(data=tmp_path, feed_key="ab" * 32)
    both = msgspec.structs.replace(old, feed_key="cd" * 32, feed_key_previous="ab" * 32)
    new = msgspec.structs.replace(both, feed_key_previous=None)
    record = await sealed_by(FeedKeysInForce(FeedKeyFile.of(old)), "a")
    await sealed_by(FeedKeysInForce(FeedKeyFile.of(both)), "b")
    with pytest.raises(CannotRun, match="another wrapping key"):
        FeedKeysInForce(FeedKeyFile.of(new))
    assert FeedKeyFile.of(both).rotate_wrapping_key(NOON) == 2
    assert opened_by(FeedKeysInForce(FeedKeyFile.of(new)), "a", record) == VALUE


async def test_an_erased_client_is_unreadable_for_good(tmp_path: Path, following: FeedKeysInForce) -> None:
    """All of its keys are destroyed, in running processes too; it never gets another one; others keep theirs."""
    file = file_in(tmp_path)
    old, other = await sealed_by(following, "a"), await sealed_by(following, "b")
    file.rotate("a", NOON)
    wrapped = [each.wrapped for each in file.read().clients["a"]]
    erased = file.erase("a", NOON)
    assert (erased.at, erased.keys) == (NOON, 2)
    await eventually(lambda: following.opening("a", old[0]) is None)
    assert opened_by(following, "b", other) == VALUE
    for keys in (following, FeedKeysInForce(file)):
        assert keys.opening("a", old[0]) is None
        with pytest.raises(Conflict, match="erased"):
            await keys.sealing("a")
    with pytest.raises(Conflict, match="erased"):
        file.rotate("a", NOON)
    left = b"".join(written(tmp_path).values())
    assert all(b64encode(each) not in left for each in wrapped)


def test_an_erasure_that_is_repeated_changes_nothing(tmp_path: Path) -> None:
    """The first one counts; a client that never had a key can be erased, and never gets one."""
    file = file_in(tmp_path)
    assert file.erase("a", NOON).keys == 0
    assert file.erase("a", NOON + timedelta(hours=1)).at == NOON


async def test_a_file_that_is_gone_takes_no_keys_along(tmp_path: Path, following: FeedKeysInForce) -> None:
    """The running process goes on with what it has, and makes no new file that would lack it."""
    record = await sealed_by(following, "a")
    file = file_in(tmp_path)
    file.path.rename(tmp_path / "elsewhere.json")
    with pytest.raises(Unavailable, match="is gone"):
        await following.sealing("new")
    assert opened_by(following, "a", record) == VALUE
    assert not file.path.exists()


@pytest.mark.parametrize("content", [b"", b"[]", b'{"clients": {"a": [{"id": "x"}]}}', b"\xff"])
async def test_a_damaged_file_stops_no_running_process(tmp_path: Path, content: bytes) -> None:
    """It goes on with the keys that it has; a new one says what is wrong."""
    keys = FeedKeysInForce(file_in(tmp_path))
    record = await sealed_by(keys, "a")
    file_in(tmp_path).path.write_bytes(content)
    with pytest.raises(CannotRun, match="does not hold feed keys"):
        FeedKeysInForce(file_in(tmp_path))
    assert opened_by(keys, "a", record) == VALUE
    with pytest.raises(Unavailable):
        await keys.sealing("new")


async def test_a_key_of_another_client_cannot_be_slipped_in(tmp_path: Path) -> None:
    """Whoever can write the file and has no wrapping key cannot have one client's records sealed with another's key."""
    file = file_in(tmp_path)
    keys = FeedKeysInForce(file)
    await keys.sealing("a")
    await keys.sealing("b")
    held = file.read()
    swapped = {"clients": {"a": held.clients["a"], "b": held.clients["a"]}, "erased": {}}
    file.path.write_bytes(msgspec.json.encode(swapped))
    with pytest.raises(Unavailable, match="damaged"):
        await FeedKeysInForce(file).sealing("b")


def _make_keys(folder: Path, number: int, clients: int) -> None:
    file = file_in(folder)
    for client in range(clients):
        file.ensure_key(f"client-{client}", NOON)
        file.rotate(f"own-{number}", NOON)


def test_writers_of_several_processes_take_turns(tmp_path: Path) -> None:
    """Four that write at once lose nothing of each other's: a key that is lost has sealed records already."""
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=_make_keys, args=(tmp_path, number, 10)) for number in range(4)]
    for each in writers:
        each.start()
    for each in writers:
        each.join()
    assert [each.exitcode for each in writers] == [0, 0, 0, 0]
    held = file_in(tmp_path).read().clients
    assert {client: len(keys) for client, keys in held.items()} == (
        {f"client-{each}": 1 for each in range(10)} | {f"own-{each}": 10 for each in range(4)}
    )


async def test_doctor_looks_at_the_keys(tmp_path: Path) -> None:
    """It says how many clients have some, and what is wrong where the wrapping key is another one."""
    settings = Settings(data=tmp_path, feed_key="ab" * 32)
    file = FeedKeyFile.of(settings)
    for client in ("a", "b", "c"):
        file.ensure_key(client, NOON)
    file.erase("c", NOON)
    found = "of 2 feed clients, 1 more are erased; wrapped by a key in GAVEL_FEED_KEY"
    assert await _diagnosis(settings) == (True, found)
    ok, found = await _diagnosis(msgspec.structs.replace(settings, feed_key="cd" * 32))
    assert (ok, "another wrapping key" in found) == (False, True)


async def _diagnosis(settings: Settings) -> tuple[bool, str]:
    [found] = [check for check in await check_all(settings) if check.name == "feed keys"]
    return found.ok, found.found
