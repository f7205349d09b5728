"""The disk in front of a log that is away, absent, or whose process dies."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
import threading
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from commands.kafka_log import KafkaLog
from commands.ports import Position
from commands.spool import SpooledLog
from commands.spool_file import SpoolFile, _lock, encode_record
from domain.codec import encode
from domain.errors import LogUnavailable, Overloaded
from domain.names import Names
from tests.commands.conftest import OwnBroker
from tests.commands.eventually import eventually
from tests.commands.sample_events import auction_events, fresh_id, incompressible
from tests.commands.topic_content import read_topic

ROOT = Path(__file__).parents[2]


@pytest.fixture
async def log(kafka_url: str, names: Names) -> AsyncIterator[KafkaLog]:
    log = KafkaLog(kafka_url, [names.engagements])
    await log.start()
    yield log
    await log.close()


def names_in(folder: Path, pattern: str = "*") -> list[str]:
    return sorted(path.name for path in folder.glob(pattern))


def write_behind_the_last_record(folder: Path, content: bytes) -> str:
    """Appends to the newest file, and returns its name without the suffix."""
    newest = max(folder.iterdir())
    with newest.open("ab") as file:
        file.write(content)
    return newest.stem


def flip(path: Path, offset: int) -> None:
    """Changes one byte."""
    content = bytearray(path.read_bytes())
    content[offset] ^= 0xFF
    path.write_bytes(content)


async def spool_away(folder: Path, topic: str, count: int) -> list[str]:
    """Ids of events that were accepted while the log was not there."""
    spool = SpooledLog(KafkaLog("127.0.0.1:1", [topic]), folder)
    await spool.start()
    ids = []
    for _ in range(count):
        key = fresh_id()
        events = auction_events(key, 2)
        assert await spool.append(topic, key, events) == Position(topic, -1, -1)
        ids += [event.id for event in events]
    assert spool.spooled == 2 * count
    await spool.close()
    return ids


async def drain(log: KafkaLog, folder: Path) -> SpooledLog:
    """Brings everything in the folder to the log."""
    spool = SpooledLog(log, folder)
    await spool.start()
    await eventually(lambda: not names_in(folder, "*.spool") and spool.pending_bytes == 0, seconds=30)
    await spool.close()
    return spool


async def test_a_log_that_is_there_leaves_nothing_on_the_disk(log: KafkaLog, names: Names, tmp_path: Path) -> None:
    """Appends pass through, and their positions are the log's."""
    spool = SpooledLog(log, tmp_path)
    await spool.start()
    position = await spool.append(names.engagements, "a", auction_events("a", 3))
    assert position.offset == 2
    await spool.close()
    assert names_in(tmp_path) == []


async def test_what_one_process_spooled_another_drains(
    log: KafkaLog, kafka_url: str, names: Names, tmp_path: Path
) -> None:
    """Events on the disk reach the log in order, each once, and their files are deleted."""
    ids = await spool_away(tmp_path, names.engagements, 300)
    spool = await drain(log, tmp_path)
    logged = await read_topic(kafka_url, names.engagements)
    assert sorted(record.event["id"] for record in logged) == sorted(ids)
    for partition in range(3):
        order = [ids.index(record.event["id"]) for record in logged if record.partition == partition]
        assert order == sorted(order)
    assert (spool.drained, spool.pending_bytes) == (600, 0)


@pytest.fixture
async def shaky_log(own_broker: OwnBroker, own_names: Names) -> AsyncIterator[KafkaLog]:
    """On the broker that may be suspended."""
    log = KafkaLog(own_broker.url, [own_names.engagements])
    await log.start()
    await eventually(lambda: log.healthy)
    yield log
    await log.close()


async def test_the_broker_goes_and_comes_back(
    own_broker: OwnBroker, own_names: Names, shaky_log: KafkaLog, tmp_path: Path
) -> None:
    """In a living process every accepted event is in the topic exactly once, whatever was undecided in between."""
    topic = own_names.engagements
    spool = SpooledLog(shaky_log, tmp_path)
    await spool.start()
    accepted: list[str] = []
    positions: list[Position] = []
    stop = asyncio.Event()

    async def write() -> None:
        while not stop.is_set():
            key = fresh_id()
            events = auction_events(key, 2)
            positions.append(await spool.append(topic, key, events))
            accepted.extend(event.id for event in events)

    writers = [asyncio.create_task(write()) for _ in range(20)]
    await eventually(lambda: len(accepted) > 200)
    own_broker.suspend()
    try:
        await eventually(lambda: spool.spooled > 200)
        assert spool.pending_bytes > 0
    finally:
        own_broker.resume()
    stop.set()
    await asyncio.gather(*writers)
    await eventually(lambda: spool.pending_bytes == 0)
    await spool.close()
    assert {position.offset for position in positions} > {-1, 1}
    logged = Counter(record.event["id"] for record in await read_topic(own_broker.url, topic))
    assert logged == Counter(accepted)
    assert names_in(tmp_path) == []


async def test_a_killed_process_loses_nothing_it_accepted(
    log: KafkaLog, kafka_url: str, names: Names, tmp_path: Path
) -> None:
    """SIGKILL in mid-write: every id that was reported as accepted reaches the topic through the next process."""
    writer = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "tests.commands.spool_writer", str(tmp_path), names.engagements),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
    )
    assert writer.stdout is not None
    accepted = [(await writer.stdout.readline()).decode().strip() for _ in range(2_000)]
    writer.kill()
    rest = (await writer.stdout.read()).decode()
    accepted += [line for line in rest.splitlines(keepends=False) if len(line) == len(accepted[0])]
    await writer.wait()
    assert names_in(tmp_path, "*.spool")
    await drain(log, tmp_path)
    logged = Counter(record.event["id"] for record in await read_topic(kafka_url, names.engagements))
    assert set(accepted) <= set(logged)
    assert max(logged.values()) == 1


@pytest.mark.parametrize(
    "torn",
    [
        pytest.param(b"\x01", id="less than a head"),
        pytest.param(b"\xff\xff\xff\x7f1234rest", id="longer than the file"),
        pytest.param(b"\x00" * 64, id="zeros"),
        pytest.param(encode_record("t", "k", [b"x"])[:-1], id="cut"),
        pytest.param(encode_record("t", "k", [b"x"])[:-1] + b"\0", id="a wrong byte"),
    ],
)
async def test_a_torn_tail_is_cut(log: KafkaLog, kafka_url: str, names: Names, tmp_path: Path, torn: bytes) -> None:
    """Half a record at the end of a file costs nothing but itself."""
    ids = await spool_away(tmp_path, names.engagements, 5)
    write_behind_the_last_record(tmp_path, torn)
    spool = await drain(log, tmp_path)
    assert sorted(record.event["id"] for record in await read_topic(kafka_url, names.engagements)) == sorted(ids)
    assert spool.drained == 10
    assert names_in(tmp_path) == []


async def test_what_cannot_be_read_is_kept(log: KafkaLog, kafka_url: str, names: Names, tmp_path: Path) -> None:
    """An event of a newer version is set aside with its file, and the events around it are drained."""
    topic = names.engagements
    ids = await spool_away(tmp_path, topic, 1)
    newer = write_behind_the_last_record(tmp_path, encode_record(topic, "k", [b'{"type":"from_the_future"}']))
    foreign = SpoolFile.create(tmp_path)
    foreign.release()
    foreign.path.write_bytes(b"something else entirely, and long enough")
    spool = await drain(log, tmp_path)
    assert spool.files_set_aside == 2
    assert names_in(tmp_path) == [f"{newer}.unreadable", f"{foreign.path.stem}.unreadable"]
    assert [record.event["id"] for record in await read_topic(kafka_url, topic)] == ids


async def test_what_cannot_be_read_outlives_a_failed_rename(
    log: KafkaLog, names: Names, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Good records behind it do not hide it from the next process, nor are they sent again at each attempt."""
    topic = names.engagements
    await spool_away(tmp_path, topic, 1)
    newer = write_behind_the_last_record(tmp_path, encode_record(topic, "k", [b'{"type":"from_the_future"}']))
    for _ in range(300):
        write_behind_the_last_record(tmp_path, encode_record(topic, "k", [encode(*auction_events("k", 1))]))
    attempts = 0

    def fail(_: SpoolFile) -> None:
        nonlocal attempts
        attempts += 1
        raise OSError("no renaming today")

    with monkeypatch.context() as patch:
        patch.setattr(SpoolFile, "set_aside", fail)
        spool = SpooledLog(log, tmp_path)
        await spool.start()
        await eventually(lambda: attempts == 2)
        await spool.close()
    assert (spool.drained, spool.fault) == (302, "no renaming today")
    spool = await drain(log, tmp_path)
    assert spool.files_set_aside == 1
    assert names_in(tmp_path) == [f"{newer}.unreadable"]


async def test_a_topic_the_log_does_not_have(log: KafkaLog, kafka_url: str, names: Names, tmp_path: Path) -> None:
    """Events of another namespace are set aside, and draining goes on with what comes after them."""
    await spool_away(tmp_path, "another.engagements", 1)
    [foreign] = names_in(tmp_path)
    ids = await spool_away(tmp_path, names.engagements, 1)
    spool = await drain(log, tmp_path)
    assert (spool.files_set_aside, spool.fault) == (1, None)
    assert names_in(tmp_path) == [Path(foreign).with_suffix(".unreadable").name]
    assert [record.event["id"] for record in await read_topic(kafka_url, names.engagements)] == ids


async def test_draining_outlives_a_defect(
    log: KafkaLog, names: Names, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is logged and shown as a fault, and the next attempt drains all."""
    await spool_away(tmp_path, names.engagements, 3)
    spool = SpooledLog(log, tmp_path)
    with monkeypatch.context() as patch, capture_logs() as logs:
        patch.delattr(SpoolFile, "read")
        await spool.start()
        await eventually(lambda: spool.fault, seconds=5)
    assert "AttributeError" in (spool.fault or "")
    assert {(entry["log_level"], entry["event"]) for entry in logs} == {("error", "the spool met a defect")}
    await eventually(lambda: spool.drained == 6)
    await spool.close()


async def test_a_defect_on_the_way_to_the_disk_is_told(
    names: Names, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The caller gets an answer, and later events are accepted."""
    topic = names.engagements
    spool = SpooledLog(KafkaLog("127.0.0.1:1", [topic]), tmp_path)
    await spool.start()
    with monkeypatch.context() as patch, capture_logs() as logs:
        patch.delattr(SpoolFile, "create")
        with pytest.raises(LogUnavailable, match="create"):
            async with asyncio.timeout(5):
                await spool.append(topic, "a", auction_events("a", 1))
    assert [entry["event"] for entry in logs] == ["the spool met a defect"]
    assert (spool.spooled, spool.pending_bytes) == (0, 0)
    await spool.append(topic, "a", auction_events("a", 1))
    assert spool.spooled == 1
    await spool.close()


@pytest.mark.parametrize("part", ["length", "body"])
async def test_damage_before_a_good_record_is_kept(log: KafkaLog, names: Names, tmp_path: Path, part: str) -> None:
    """What stands behind a damaged record was accepted: the file is set aside, not deleted."""
    await spool_away(tmp_path, names.engagements, 1)
    [path] = tmp_path.iterdir()  # noqa: ASYNC240
    second = path.stat().st_size
    for key in "bcd":
        write_behind_the_last_record(tmp_path, encode_record(names.engagements, key, [encode(*auction_events(key, 1))]))
    flip(path, second + {"length": 2, "body": 30}[part])
    spool = await drain(log, tmp_path)
    assert (spool.drained, spool.files_set_aside) == (2, 1)
    assert names_in(tmp_path) == [f"{path.stem}.unreadable"]


def test_only_a_file_left_behind_may_end_in_a_torn_record(tmp_path: Path) -> None:
    """What this process wrote and synced itself was accepted to the last byte."""
    file = SpoolFile.create(tmp_path)
    file.append(encode_record("t", "a", [b"{}"]) + encode_record("t", "b", [b"{}"]))
    first, _ = file.read().records
    flip(file.path, file.size_bytes - 1)
    assert file.read() == ([first], False)
    file.release()
    again = SpoolFile.take_over(file.path)
    assert again is not None
    assert again.read() == ([first], True)
    again.delete()


async def test_the_files_of_a_living_process_are_left_alone(
    log: KafkaLog, kafka_url: str, names: Names, tmp_path: Path
) -> None:
    """A second process drains only what nobody owns any more."""
    topic = names.engagements
    owner = SpooledLog(KafkaLog("127.0.0.1:1", [topic]), tmp_path)
    await owner.start()
    await owner.append(topic, "a", auction_events("a", 1))
    ids = await spool_away(tmp_path, topic, 1)
    other = SpooledLog(log, tmp_path)
    await other.start()
    await eventually(lambda: other.drained and not other.pending_bytes)
    assert other.drained == 2
    assert [record.event["id"] for record in await read_topic(kafka_url, topic)] == ids
    await owner.close()
    await other.close()


async def test_the_disk_is_bounded(names: Names, tmp_path: Path) -> None:
    """Past the bound an event is refused at once; those before it stay."""
    topic = names.engagements
    spool = SpooledLog(KafkaLog("127.0.0.1:1", [topic]), tmp_path, max_bytes=10_000)
    await spool.start()
    events = [auction_events("a", 1, padding=incompressible(1_000)) for _ in range(10)]
    outcomes = await asyncio.gather(*(spool.append(topic, "a", each) for each in events), return_exceptions=True)
    kinds = [type(outcome) for outcome in outcomes]
    assert kinds == sorted(kinds, key=[Position, Overloaded].index)
    assert 6 <= kinds.count(Position) < 10
    assert spool.spooled == kinds.count(Position)
    assert sum((tmp_path / name).stat().st_size for name in names_in(tmp_path)) <= 10_000
    await spool.close()


async def test_a_disk_that_fails_accepts_nothing(names: Names, tmp_path: Path) -> None:
    """When neither the log nor the disk takes an event, the caller learns it; later ones are tried afresh."""
    topic, folder = names.engagements, tmp_path / "spool"
    spool = SpooledLog(KafkaLog("127.0.0.1:1", [topic]), folder)
    await spool.start()
    shutil.rmtree(folder)
    with pytest.raises(LogUnavailable, match="Neither the log nor the disk"):
        await spool.append(topic, "a", auction_events("a", 1))
    assert (spool.spooled, spool.pending_bytes) == (0, 0)
    folder.mkdir()
    await spool.append(topic, "a", auction_events("a", 1))
    assert spool.spooled == 1
    await spool.close()


def test_draining_goes_on_where_it_stopped(tmp_path: Path) -> None:
    """Records before the mark are not read again by the next owner of the file."""
    file = SpoolFile.create(tmp_path)
    file.append(b"".join(encode_record("t", str(number), [b"{}"]) for number in range(3)))
    _, second, third = file.read().records
    file.mark_drained(second.end)
    file.release()
    again = SpoolFile.take_over(file.path)
    assert again is not None
    assert again.read().records == [third]
    again.delete()


def test_a_file_that_was_drained_meanwhile_is_not_taken_over(tmp_path: Path) -> None:
    """Opened before its owner deleted it and locked after, it belongs to nobody."""
    file = SpoolFile.create(tmp_path)
    descriptor = os.open(file.path, os.O_RDWR)
    file.delete()
    assert not _lock(descriptor)
    os.close(descriptor)


async def test_what_comes_while_the_folder_is_searched_is_counted(tmp_path: Path) -> None:
    """A search for files of the dead takes its time; what is spooled meanwhile waits as well, and is told."""
    topic, key = "t.engagements", fresh_id()
    events = auction_events(key, 1)
    spool = SpooledLog(KafkaLog("127.0.0.1:1", [topic]), tmp_path)
    await spool.start()
    searched = threading.Event()
    spool._thread.submit(searched.wait)
    appending = asyncio.create_task(spool.append(topic, key, events))
    await eventually(lambda: spool.pending_bytes > 0)
    searched.set()
    await appending
    assert spool.pending_bytes == len(encode_record(topic, key, [encode(event) for event in events]))
    await spool.close()
