"""Uploads beside each other over HTTP: their turns, how many there may be, and what is told of one that breaks off."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator

import pytest

from tests.api.feed import Feed, fresh_feed, ndjson, record
from tests.api.running_api import RunningApi, until
from tests.api.test_feed_audit import audited, paused


@pytest.fixture
async def feed(empty_api: RunningApi) -> Feed:
    return await fresh_feed(empty_api)


async def test_one_load_after_the_other(feed: Feed) -> None:
    """Each sent once the one before was received in full: both count, in their order."""
    await feed.load([record("old", n=0)])
    for n in range(3):
        first = await feed.send("bulk?mode=replace", ndjson([record("a", n=n)]))
        second = await feed.send("bulk", ndjson([record("b", n=n)]))
        assert (first.status, second.status) == (202, 202)
        runs = [await feed.decided(each.body["run_id"]) for each in (first, second)]
        assert [each["status"] for each in runs] == ["published", "published"]
        assert [await feed.record(key) for key in ("old", "a", "b")] == [None, {"n": n}, {"n": n}]


async def test_a_load_that_has_no_turn_yet(feed: Feed, monkeypatch: pytest.MonkeyPatch) -> None:
    """503 with `Retry-After` while one before it is not decided, which loses nothing by it; it may be sent again."""
    monkeypatch.setattr("api.feed_turn.FEED_BACKLOG_PATIENCE_SECONDS", 0.5)
    async with paused(feed.api, "audiences_bulk"):
        first = await feed.send("bulk?mode=replace", ndjson([record("a", n=1)]))
        refused = await feed.send("bulk", ndjson([record("b", n=1)]), Idempotency_Key="b")
        assert (refused.status, refused.body["type"]) == (503, "/problems/overloaded")
        assert int(refused.headers["Retry-After"]) >= 1
    assert (await feed.decided(first.body["run_id"]))["status"] == "published"
    assert (await feed.load([record("b", n=1)], Idempotency_Key="b"))["status"] == "published"
    assert [await feed.record(key) for key in "ab"] == [{"n": 1}, {"n": 1}]


async def test_an_upload_that_breaks_off(feed: Feed) -> None:
    """What became of it is told with what is wrong: its run, how many records landed, which lines were refused."""
    content = ndjson([record("a", n=1), b"{\n", record("b", n=1)])
    answer = await feed.send("bulk", gzip.compress(content)[:-4], Content_Encoding="gzip", Idempotency_Key="night")
    assert (answer.status, answer.body["type"]) == (400, "/problems/invalid-input")
    assert (answer.body["received"], answer.body["rejected"]) == (2, 1)
    assert answer.body["errors"] == [
        {"path": "", "message": "the gzip stream is cut off"},
        {"path": "line 2", "message": "the line is not JSON"},
    ]
    run = await feed.decided(answer.body["run_id"])
    assert (run["status"], run["received"], run["rejected"], run["applied"]) == ("failed", 2, 1, 2)
    assert (await audited(feed, 2))["totals"]["refused"] == 1
    changes = b'{"op": "delete", "key": "a"}\nbad\n'
    answer = await feed.send("changes", gzip.compress(changes)[:-4], Content_Encoding="gzip")
    assert (answer.status, answer.body["received"], answer.body["rejected"]) == (400, 1, 1)


class Held:
    """The body of an upload that is being sent until it is let go."""

    def __init__(self) -> None:
        self.is_taken, self.may_end = asyncio.Event(), asyncio.Event()

    async def body(self) -> AsyncIterator[bytes]:
        yield ndjson([record("a", n=1)])
        self.is_taken.set()
        await self.may_end.wait()


async def test_only_so_many_at_once(feed: Feed, monkeypatch: pytest.MonkeyPatch) -> None:
    """One more of a client is not read before one of the others has ended; other clients' are."""
    monkeypatch.setattr("api.upload_slots.FEED_UPLOADS_OF_A_CLIENT_MAX", 1)
    monkeypatch.setattr("api.upload_slots.FEED_BACKLOG_PATIENCE_SECONDS", 0.2)
    held, other = Held(), await fresh_feed(feed.api)
    first = asyncio.create_task(feed.send("changes", held.body()))
    await held.is_taken.wait()
    refused = await feed.send("changes", b"")
    assert (refused.status, refused.body["type"]) == (503, "/problems/overloaded")
    assert int(refused.headers["Retry-After"]) >= 1
    assert (await other.send("changes", b"")).status == 202
    held.may_end.set()
    assert (await first).status == 202
    assert (await feed.send("changes", b"")).status == 202


async def blank_lines() -> AsyncIterator[bytes]:
    """As if more were to come."""
    for _ in range(200):
        yield b"\n"
        await asyncio.sleep(0.05)


async def test_a_sender_that_takes_for_ever(feed: Feed, monkeypatch: pytest.MonkeyPatch) -> None:
    """408: below the least rate an upload is waited for so long in all; what it had until there is told."""
    monkeypatch.setattr("api.write.feeds.FEED_UPLOAD_FREE_SECONDS", 0.5)

    async def slowly() -> AsyncIterator[bytes]:
        yield b"bad\n" + ndjson([record("a")])
        async for each in blank_lines():
            yield each

    answer = await feed.send("bulk", slowly())
    assert (answer.status, answer.body["type"]) == (408, "/problems/too-slow")
    assert "bytes a second" in answer.body["detail"]
    assert (answer.body["received"], answer.body["rejected"]) == (1, 1)
    run = await feed.decided(answer.body["run_id"])
    assert (run["status"], "bytes a second" in run["reason"], run["received"]) == ("failed", True, 1)


@pytest.mark.parametrize("named", [False, True])
async def test_changes_that_are_held_up_for_too_long(feed: Feed, named: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """503 in the middle: how much is in the log is told, and that is applied."""
    monkeypatch.setattr("api.feed_backlog.FEED_BACKLOG_PATIENCE_SECONDS", 0.2)

    async def held_up() -> AsyncIterator[bytes]:
        yield b"bad\n" + ndjson([{"op": "add", "key": "a", "value": {}}])
        await until(is_there, seconds=20)
        monkeypatch.setattr("api.feed_backlog.FEED_BACKLOG_MAX_RECORDS", -1)
        async for each in blank_lines():
            yield each

    async def is_there() -> bool:
        return await feed.record("a") is not None

    answer = await feed.send("changes", held_up(), **({"Idempotency_Key": "night"} if named else {}))
    assert (answer.status, answer.body["type"]) == (503, "/problems/overloaded")
    assert (answer.body["received"], answer.body["rejected"], bool(answer.body["run_id"])) == (1, 1, True)
    assert "is in the log" in answer.body["detail"]
    assert answer.headers["Retry-After"] == "5"
