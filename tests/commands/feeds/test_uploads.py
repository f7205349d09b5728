"""Uploads on a real broker: what stands in the topics afterwards, read by a plain consumer."""

from __future__ import annotations

import asyncio
import base64
import gzip
import time
import uuid
from collections.abc import AsyncIterator, Iterable
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from redis.asyncio import Redis

from commands.feeds.change_feed import ChangeFeed, Changes
from commands.feeds.change_writer import ChangeParts
from commands.feeds.intake import BrokenOff, Interrupted, Rejected, Sealing, Sender, UploadCut, named_run
from commands.feeds.load_feed import Bulk, LoadFeed, Superseded
from commands.feeds.redis_runs import RedisRuns
from commands.feeds.redis_sources import RedisSources
from commands.kafka_log import KafkaLog
from commands.ports import Position
from domain.catalogue import FeedClient
from domain.errors import Conflict, KeyReused, LogUnavailable
from domain.feeds.debezium import Columns
from domain.feeds.records import Reason
from domain.feeds.sealing import DataKey
from domain.feeds.upload import Form
from domain.limits import FEED_PIECE_MAX_BYTES
from domain.names import Names
from tests.commands.sample_events import fresh_id
from tests.commands.topic_content import read_topic
from tests.domain.feeds.test_avro import SYNC, container, number

DATA_KEY = DataKey(id="k1", secret=bytes(range(32)))
GZIP = Form(encoding="gzip")
PLAIN = Form()
AVRO = Form(written_in="avro")
SCHEMA = {
    "type": "record",
    "name": "Line",
    "fields": [{"name": name, "type": "string"} for name in ("op", "key", "value")],
}


class WallClock:
    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()


async def at_once(client: str, run_id: str) -> None:
    """Every load's turn: whoever tells what the consumer has met has told it."""


async def enough() -> None:
    """Room for whatever is put."""


async def sealing(client: str) -> DataKey:
    return DATA_KEY


async def chunks_of(content: bytes, size: int = 7_000, *, cut: bool = False) -> AsyncIterator[bytes]:
    for at in range(0, len(content), size):
        yield content[at : at + size]
    if cut:
        raise UploadCut


def ndjson(keys: Iterable[str]) -> bytes:
    return b"".join(b'{"key": "%s", "value": {"of": "%s"}}\n' % (key.encode(), key.encode()) for key in keys)


class Desk:
    """A client's uploads, and what came of them."""

    def __init__(self, log: Any, redis: Redis, names: Names, kafka_url: str, sealing: Sealing = sealing) -> None:
        parts = ChangeParts(log, names, sealing, sealing, WallClock(), fresh_id)
        self.load = LoadFeed(runs=RedisRuns(redis, names), turn=at_once, **parts._asdict())
        self.log = log
        self.change = ChangeFeed(parts, RedisSources(redis, names))
        self.redis, self.names, self.kafka_url = redis, names, kafka_url
        self.sender = Sender(uuid.uuid4().hex, FeedClient(name="provider", ttl_seconds=60))

    def bulk(
        self, content: bytes, form: Form = PLAIN, *, name: str = "", cut: bool = False, mode: Any = "merge"
    ) -> Bulk:
        run_id = named_run(self.sender.id, name) if name else fresh_id()
        return Bulk(self.sender, chunks_of(content, cut=cut), form, mode, run_id, may_be_resumed=bool(name))

    def changes(self, content: bytes, *, name: str = "", cut: bool = False, size: int = 7_000) -> Changes:
        command_id = named_run(self.sender.id, name) if name else fresh_id()
        chunks = chunks_of(content, size, cut=cut)
        return Changes(
            self.sender, chunks, PLAIN, Columns(key="id"), command_id, may_be_repeated=bool(name), room=enough
        )

    async def told(self, name: str, met: str) -> None:
        """The consumer has come so far with the upload of that name: `place offset`, or with `records rejected`."""
        source = f"upload/{named_run(self.sender.id, name)}"
        await self.redis.hset(self.names.feed_sources(self.sender.id), source, met)

    async def seen(self, run_id: str, *run: Any) -> None:
        """The consumer has come so far with the run."""
        await self.redis.hset(self.names.feed_runs(self.sender.id), run_id, msgspec.json.encode(run))

    async def logged(self, topic: str) -> list[dict[str, Any]]:
        found = await read_topic(self.kafka_url, topic)
        assert {each.key for each in found} <= {self.sender.id}
        return [each.event for each in found]

    async def bulk_log(self) -> list[dict[str, Any]]:
        return await self.logged(self.names.feeds_bulk)

    def opened(self, event: dict[str, Any], topic: Any) -> bytes:
        sealed = base64.b64decode(event["ciphertext"])
        return DATA_KEY.unseal(sealed, client=self.sender.id, topic=topic, key=event["key"])


@pytest.fixture
async def desk(kafka_url: str, redis_url: str, names: Names) -> AsyncIterator[Desk]:
    log = KafkaLog(kafka_url, [names.feeds_bulk, names.feeds_changes])
    await log.start()
    redis = Redis.from_url(redis_url)
    yield Desk(log, redis, names, kafka_url)
    await redis.aclose()
    await log.close()


async def test_a_load(desk: Desk) -> None:
    """Good lines stand in order between the marks, sealed; bad ones are listed by their line; the place is told."""
    lines = [
        b'{"key": "a", "value": {"x": 1}}',
        b"{",
        b"",
        b'{"value": {}}',
        b"x" * 10_241,
        b'{"key": "b", "value": {}}',
    ]
    received = await desk.load(desk.bulk(gzip.compress(b"\n".join(lines)), GZIP))
    assert (received.received, received.rejected) == (2, 3)
    assert [tuple(each) for each in received.errors] == [(2, Reason.NOT_JSON), (4, Reason.NO_KEY), (5, Reason.TOO_LONG)]
    opened, first, second, end = await desk.bulk_log()
    [started] = await read_topic(desk.kafka_url, desk.names.feeds_changes)
    assert started.event["type"] == "feed_load_started"
    assert (opened["type"], opened["since"], opened["mode"]) == ("feed_load_opened", started.offset, "merge")
    assert [(each["line"], each["key"]) for each in (first, second)] == [(1, "a"), (6, "b")]
    assert [desk.opened(each, "b") for each in (first, second)] == [b'{"x": 1}', b"{}"]
    lifetime = datetime.fromisoformat(first["expires_at"]) - datetime.fromisoformat(first["at"])
    assert lifetime.total_seconds() == 60
    assert (end["type"], end["records"], end["rejected"]) == ("feed_load_received", 2, 3)


async def test_many_batches(desk: Desk) -> None:
    """Twenty thousand records come in order over many batches; of a thousand bad lines a hundred are listed."""
    content = ndjson(map(str, range(20_000))) + b"bad\n" * 1_000
    received = await desk.load(desk.bulk(content))
    assert (received.received, received.rejected, len(received.errors)) == (20_000, 1_000, 100)
    events = await desk.bulk_log()
    assert [each["key"] for each in events[1:-1]] == [str(number) for number in range(20_000)]


async def test_a_resumed_load(desk: Desk) -> None:
    """Cut off, named and sent again, a load goes on behind what the consumer has seen; its figures are the whole's."""
    content = b"bad\n" + ndjson("abcdef")
    with pytest.raises(Interrupted):
        await desk.load(desk.bulk(content[:130], name="night", cut=True))
    before = await desk.bulk_log()
    assert [each["key"] for each in before[1:]] == ["a", "b", "c"]
    run_id = named_run(desk.sender.id, "night")
    await desk.seen(run_id, 0, "merge", "receiving", 3, 0, 0, 0, 5, "", before[-1]["digest"])
    received = await desk.load(desk.bulk(content, name="night"))
    assert (received.run_id, received.received, received.rejected) == (run_id, 6, 1)
    *records, end = (await desk.bulk_log())[len(before) :]
    assert [(each["key"], each["line"]) for each in records] == [("d", 5), ("e", 6), ("f", 7)]
    assert (end["records"], end["rejected"], end["run_id"]) == (6, 1, run_id)


async def test_a_load_that_was_received_already(desk: Desk) -> None:
    """Sent again it changes nothing and has the same answer; another upload under its name is refused."""
    first = await desk.load(desk.bulk(ndjson("abc"), name="night"))
    before = await desk.bulk_log()
    await desk.seen(first.run_id, 0, "merge", "published", 3, 0, 3, 0, 4, "", before[-1]["digest"])
    assert (await desk.load(desk.bulk(ndjson("abc"), name="night"))).received == 3
    for other in ("ab", "abd", "abcd", "xbc"):
        with pytest.raises(KeyReused):
            await desk.load(desk.bulk(ndjson(other), name="night"))
    with pytest.raises(KeyReused):
        await desk.load(desk.bulk(ndjson("abc"), name="night", mode="replace"))
    assert await desk.bulk_log() == before


@pytest.mark.parametrize("other", [ndjson("xbcdef"), ndjson("abx"), ndjson("ab"), b"bad\n" + ndjson("bcdef"), b""])
async def test_no_load_goes_on_with_another_upload(desk: Desk, other: bytes) -> None:
    """What is not as it has begun is refused, before anything of it is in the log."""
    with pytest.raises(Interrupted):
        await desk.load(desk.bulk(ndjson("abc"), name="night", cut=True))
    before = await desk.bulk_log()
    await desk.seen(
        named_run(desk.sender.id, "night"), 0, "merge", "receiving", 3, 0, 0, 0, 4, "", before[-1]["digest"]
    )
    with pytest.raises(KeyReused):
        await desk.load(desk.bulk(other, name="night"))
    assert await desk.bulk_log() == before


@pytest.mark.parametrize(("status", "error"), [("superseded", Superseded), ("failed", Conflict)])
async def test_a_load_that_has_ended(desk: Desk, status: str, error: type[Exception]) -> None:
    """A load whose place another one took, or that failed, takes nothing more."""
    await desk.seen(named_run(desk.sender.id, "n"), 0, "merge", status, 1, 0, 0, 0, 2, "why")
    with pytest.raises(error):
        await desk.load(desk.bulk(ndjson("abc"), name="n"))
    assert await desk.bulk_log() == []


async def test_superseded_on_the_way(desk: Desk) -> None:
    """A load learns between two batches that a later one has taken its place, and ends."""
    bulk = desk.bulk(ndjson(map(str, range(20_000))))
    await desk.seen(bulk.run_id, 0, "merge", "superseded", 1, 0, 0, 0, 2, "")
    with pytest.raises(Superseded):
        await desk.load(bulk)
    assert len(await desk.bulk_log()) < 20_000


@pytest.mark.parametrize("named", [False, True])
async def test_a_truncated_gzip(desk: Desk, named: bool) -> None:
    """What it has until there is loaded, and told with what was refused; the load has failed, whatever its name."""
    bulk = desk.bulk(gzip.compress(b"bad\n" + ndjson("abc"))[:-4], GZIP, name="n" if named else "")
    with pytest.raises(BrokenOff, match="cut off") as broken:
        await desk.load(bulk)
    told = broken.value.received
    assert (told.run_id, told.received, told.rejected) == (bulk.run_id, 3, 1)
    assert told.errors == (Rejected(1, Reason.NOT_JSON),)
    opened, *records, failed = await desk.bulk_log()
    assert opened["type"] == "feed_load_opened"
    assert [each["type"] for each in records] == ["feed_record_loaded"] * 3
    assert (failed["type"], failed["records"], failed["rejected"]) == ("feed_load_failed", 3, 1)


@pytest.mark.parametrize("named", [False, True])
async def test_a_load_that_was_cut_off(desk: Desk, named: bool) -> None:
    """Where it has a name it stays open to be resumed; else it has failed, as the log was told that it would."""
    with pytest.raises(Interrupted):
        await desk.load(desk.bulk(b"bad\n" + ndjson("abc"), name="n" if named else "", cut=True))
    opened, *records = await desk.bulk_log()
    assert opened.get("may_be_resumed", True) == named
    ends = [(each["records"], each["rejected"]) for each in records if each["type"] == "feed_load_failed"]
    assert ends == ([] if named else [(3, 1)])


@pytest.mark.parametrize("what", ["load", "change"])
async def test_what_comes_slowly_is_in_the_log_before_more_comes(desk: Desk, what: str) -> None:
    """An upload that stays open is written as it comes."""
    topic = desk.names.feeds_bulk if what == "load" else desk.names.feeds_changes

    async def slowly() -> AsyncIterator[bytes]:
        for key in "abc":
            yield ndjson(key) if what == "load" else adds(key)
            async with asyncio.timeout(20):
                while key not in [each.get("key") for each in await desk.logged(topic)]:  # noqa: ASYNC110 - another process
                    await asyncio.sleep(0.05)

    await sent(desk, what, slowly())
    assert [each["key"] for each in await desk.logged(topic) if "key" in each] == ["a", "b", "c"]


@pytest.mark.parametrize("what", ["load", "change"])
async def test_nothing_is_taken_of_an_erased_client(desk: Desk, what: str) -> None:
    """Also not of an upload that was under way when its key was destroyed."""
    is_erased = False

    async def sealing_until_erased(_client: str) -> DataKey:
        if is_erased:
            raise Conflict("It is erased.")
        return DATA_KEY

    async def slowly() -> AsyncIterator[bytes]:
        nonlocal is_erased
        yield ndjson("a") if what == "load" else adds("a")
        is_erased = True
        yield ndjson("b") if what == "load" else adds("b")

    with pytest.raises(Conflict):
        await sent(Desk(desk.log, desk.redis, desk.names, desk.kafka_url, sealing_until_erased), what, slowly())


async def sent(desk: Desk, what: str, chunks: AsyncIterator[bytes], form: Form = PLAIN, *, name: str = "") -> None:
    if what == "load":
        await desk.load(desk.bulk(b"", form, name=name)._replace(chunks=chunks))
    else:
        await desk.change(desk.changes(b"", name=name)._replace(chunks=chunks, form=form))


@pytest.mark.parametrize(
    ("form", "content"),
    [(GZIP, gzip.compress(b"\n" * 2**20)), (AVRO, container(SCHEMA) + (number(0) + number(0) + SYNC) * 2**16)],
)
@pytest.mark.parametrize("what", ["load", "change"])
async def test_others_have_their_turn(desk: Desk, what: str, form: Form, content: bytes) -> None:
    """While a chunk is read that holds a million blank lines, or tens of thousands of blocks without a record."""
    turns = 0
    had: list[int] = []

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async def chunk() -> AsyncIterator[bytes]:
        had.append(turns)
        yield content
        had.append(turns)

    ticking = asyncio.create_task(others())
    try:
        await sent(desk, what, chunk(), form)
    finally:
        ticking.cancel()
    before, after = had
    assert after - before >= 2**20 // FEED_PIECE_MAX_BYTES


async def test_a_bomb_fails_the_load(desk: Desk) -> None:
    """A bomb ends a load, also a named one; the records before it are in."""
    content = gzip.compress(ndjson("ab")) + gzip.compress(bytes(40_000_000))
    with pytest.raises(BrokenOff, match="times as large"):
        await desk.load(desk.bulk(content, GZIP, name="n"))
    assert [each["type"] for each in await desk.bulk_log()][-1] == "feed_load_failed"


async def test_changes(desk: Desk) -> None:
    """Changes of our own form and a connector's envelopes stand in their order, sealed for their topic."""
    lines = [
        {"op": "add", "key": "a", "value": {"n": 1}},
        {"op": "update", "old_key": "a", "key": "b", "value": {"n": 2}},
        {"op": "delete", "key": "b"},
        {"payload": {"op": "c", "before": None, "after": {"id": 7, "n": 3}}},
        {"payload": None},
        {"op": "raze", "key": "b"},
    ]
    content = b"\n".join(map(msgspec.json.encode, lines))
    received = await desk.change(desk.changes(content, size=11))
    assert (received.received, received.rejected) == (4, 1)
    assert [tuple(each) for each in received.errors] == [(6, Reason.UNKNOWN_OP)]
    added, updated, deleted, row, end = await desk.logged(desk.names.feeds_changes)
    assert [each["type"] for each in (added, updated, deleted, row)] == [
        "feed_record_added",
        "feed_record_updated",
        "feed_record_deleted",
        "feed_record_added",
    ]
    assert (updated["old_key"], updated["key"], deleted["key"], row["key"]) == ("a", "b", "b", "7")
    assert (end["type"], end["records"], end["rejected"]) == ("feed_changes_received", 4, 1)
    assert not any("source" in each for each in (added, updated, deleted, row, end))
    assert [desk.opened(each, "c") for each in (added, updated, row)] == [b'{"n":1}', b'{"n":2}', b'{"n":3}']


def adds(keys: Iterable[str]) -> bytes:
    return b"".join(b'{"op": "add", "key": "%s", "value": {"of": "%s"}}\n' % ((key.encode(),) * 2) for key in keys)


async def test_changes_that_go_on(desk: Desk) -> None:
    """Cut off, named and sent again, an upload goes on behind what was met of it; each change tells its line."""
    content = b"bad\n" + adds("abcd")
    with pytest.raises(Interrupted):
        await desk.change(desk.changes(content[:100], name="night", cut=True))
    before = await desk.logged(desk.names.feeds_changes)
    assert [(each["key"], each["source"]["place"]) for each in before] == [("a", 2), ("b", 3)]
    await desk.told("night", "3 1")
    received = await desk.change(desk.changes(content, name="night"))
    assert (received.received, received.rejected) == (4, 1)
    *rest, end = (await desk.logged(desk.names.feeds_changes))[2:]
    assert [(each["key"], each["source"]["place"]) for each in rest] == [("c", 4), ("d", 5)]
    assert (end["records"], end["rejected"], end["source"]["place"]) == (4, 1, 6)
    assert {each["source"]["name"] for each in (*before, *rest, end)} == {f"upload/{received.run_id}"}


async def test_changes_that_have_ended(desk: Desk) -> None:
    """Sent again they write nothing and are answered the same; others under their name are refused, as many or not."""
    content = b"bad\n" + adds("abc")
    await desk.change(desk.changes(content, name="night"))
    before = await desk.logged(desk.names.feeds_changes)
    await desk.told("night", f"5 9 3 1 {before[-1]['digest']}")
    received = await desk.change(desk.changes(content, name="night"))
    assert (received.received, received.rejected) == (3, 1)
    deletion = b'{"op": "delete", "key": "c"}\n'
    for other in (adds("abcdefgh"), adds("ab"), b"bad\n" + adds("abd"), b"bad\n" + adds("ab") + deletion):
        with pytest.raises(KeyReused):
            await desk.change(desk.changes(other, name="night"))
    assert await desk.logged(desk.names.feeds_changes) == before


async def test_changes_that_ended_before_digests_were_told(desk: Desk) -> None:
    """Are compared by their figures alone."""
    await desk.told("night", "5 9 3 1")
    assert (await desk.change(desk.changes(b"bad\n" + adds("abc"), name="night"))).received == 3
    with pytest.raises(KeyReused):
        await desk.change(desk.changes(adds("ab"), name="night"))
    assert await desk.logged(desk.names.feeds_changes) == []


async def test_columns_are_part_of_what_an_upload_says(desk: Desk) -> None:
    """The same envelopes with another column as the key are other changes."""
    row = msgspec.json.encode({"op": "c", "before": None, "after": {"id": 7, "email": 8}})
    await desk.change(desk.changes(row, name="night"))
    [_, end] = await desk.logged(desk.names.feeds_changes)
    await desk.told("night", f"2 1 1 0 {end['digest']}")
    with pytest.raises(KeyReused):
        await desk.change(desk.changes(row, name="night")._replace(columns=Columns(key="email")))


class LogThatGoesAway:
    """A log that takes nothing more once it is away."""

    def __init__(self, log: KafkaLog) -> None:
        self._log, self.is_away = log, False

    async def append(self, topic: str, key: str, events: Any) -> Position:
        if self.is_away:
            raise LogUnavailable
        return await self._log.append(topic, key, events)


@pytest.mark.parametrize("named", [False, True])
@pytest.mark.parametrize("what", ["load", "change"])
async def test_a_log_that_goes_away(desk: Desk, what: str, named: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who sends is told how much of it is in the log, and what was refused."""
    monkeypatch.setattr("commands.feeds.ordered_log.FEED_LOG_PATIENCE_SECONDS", 0)
    log = LogThatGoesAway(desk.log)
    own = Desk(log, desk.redis, desk.names, desk.kafka_url)
    topic = desk.names.feeds_bulk if what == "load" else desk.names.feeds_changes

    async def chunks() -> AsyncIterator[bytes]:
        yield b"bad\n" + (ndjson("a") if what == "load" else adds("a"))
        async with asyncio.timeout(20):
            while "a" not in [each.get("key") for each in await own.logged(topic)]:  # noqa: ASYNC110 - another process
                await asyncio.sleep(0.05)
        log.is_away = True
        yield ndjson("b") if what == "load" else adds("b")

    with pytest.raises(Interrupted) as interrupted:
        await sent(own, what, chunks(), name="night" if named else "")
    assert isinstance(interrupted.value.__cause__, LogUnavailable)
    told = interrupted.value.received
    assert (told.received, told.rejected, bool(told.run_id)) == (1, 1, True)


async def test_what_ends_a_load_is_why_it_has_failed(desk: Desk) -> None:
    """Not that its sender hung up, where it did not."""

    async def chunks() -> AsyncIterator[bytes]:
        yield ndjson("a")
        raise UploadCut("nothing came for 60 s")

    with pytest.raises(Interrupted):
        await desk.load(desk.bulk(b"")._replace(chunks=chunks()))
    failed = (await desk.bulk_log())[-1]
    assert failed["reason"] == "The upload was ended before all of it had come: nothing came for 60 s"
