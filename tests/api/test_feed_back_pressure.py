"""Uploads that are held: nothing more is read of what is sent, until it may go on or is refused."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from api.feed_backlog import FeedBacklog
from api.problems import ProblemRaised
from commands.kafka_partitioner import partition_of
from domain.errors import Unavailable
from tests.api.feed import Feed, fresh_feed, ndjson, record
from tests.api.running_api import RunningApi, until
from tests.api.test_catalogue import ask
from tests.api.test_feed_audit import paused

LINE = b"x" * 9_999 + b"\n"
"""Read, and refused: so it is not the log that an upload waits for."""
LINES = 10_000
"""A hundred times what the sockets between the two hold back."""
LOOKS = 10
"""So often the API finds that it has to wait, before what it has read by then is looked at."""


@pytest.fixture
async def feed(empty_api: RunningApi) -> Feed:
    return await fresh_feed(empty_api)


class Sent:
    """The body of an upload: a record, and once it is told to go on more than any buffer holds."""

    def __init__(self) -> None:
        self.goes_on = asyncio.Event()
        self.lines = 0

    async def body(self) -> AsyncIterator[bytes]:
        yield ndjson([record("a", n=1)])
        await self.goes_on.wait()
        for _ in range(LINES):
            self.lines += 1
            yield LINE


async def no_answer(*_: object) -> object:
    raise Unavailable("Redis: it is away")


class Looks:
    """How often an upload was let through, and told to wait."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.passed, self.refused = 0, 0
        check = FeedBacklog.check

        async def counted(backlog: FeedBacklog, *which: str) -> None:
            try:
                await check(backlog, *which)
            except ProblemRaised:
                self.refused += 1
                raise
            self.passed += 1

        monkeypatch.setattr(FeedBacklog, "check", counted)

    async def is_under_way(self) -> bool:
        """Let in, its first piece is read, and the second one waited for."""
        return self.passed >= 3

    async def is_held(self) -> bool:
        return self.refused >= LOOKS


HELD = {
    "records are still to be applied": ("api.feed_backlog.FEED_BACKLOG_MAX_RECORDS", -1),
    "no room for records": ("projections.queries.feed_memory.FEED_MEMORY_MAX_PERCENT", -1),
    "it is away": ("api.feed_backlog.next_offsets", no_answer),
}
"""What is told, and how it comes to that."""


@pytest.mark.parametrize("why", HELD)
async def test_an_upload_that_is_held_is_not_read(feed: Feed, why: str) -> None:
    """However much its sender has; with room again all of it is taken."""
    sent = Sent()
    with pytest.MonkeyPatch.context() as patch:
        looks = _watched(feed, patch)
        upload = asyncio.create_task(feed.send("bulk", sent.body()))
        await until(looks.is_under_way, seconds=30)
        patch.setattr(*HELD[why])
        sent.goes_on.set()
        await until(looks.is_held, seconds=30)
        assert sent.lines < LINES / 2
        assert not upload.done()
    answer = await upload
    assert (answer.status, answer.body["received"], answer.body["rejected"]) == (202, 1, LINES), answer.body
    assert (await feed.decided(answer.body["run_id"]))["status"] == "published"


@pytest.mark.parametrize("why", HELD)
async def test_an_upload_that_is_held_for_too_long(feed: Feed, why: str) -> None:
    """503 with why, though most of it was never read."""
    sent = Sent()
    with pytest.MonkeyPatch.context() as patch:
        looks = _watched(feed, patch)
        patch.setattr("api.feed_backlog.FEED_BACKLOG_PATIENCE_SECONDS", 0.5)
        upload = asyncio.create_task(feed.send("bulk", sent.body()))
        await until(looks.is_under_way, seconds=30)
        patch.setattr(*HELD[why])
        sent.goes_on.set()
        answer = await upload
    assert (answer.status, answer.body["type"]) == (503, "/problems/overloaded"), answer.body
    assert why in answer.body["detail"]
    assert sent.lines < LINES / 2


def _watched(feed: Feed, patch: pytest.MonkeyPatch) -> Looks:
    # What the test before has made of it is not what this one begins with.
    feed.api.services.feed_backlog._answers.clear()
    patch.setattr("api.feed_backlog.ASK_AGAIN_SECONDS", 0.05)
    return Looks(patch)


async def test_a_server_that_is_away_is_not_asked_for_every_piece(feed: Feed, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once a second, however many want to know."""
    backlog, asked = feed.api.services.feed_backlog, 0

    async def no_answer(*_: object) -> object:
        nonlocal asked
        asked += 1
        raise Unavailable("Redis: it is away")

    monkeypatch.setattr("api.feed_backlog.next_offsets", no_answer)
    monkeypatch.setattr("api.feed_backlog.ASK_AGAIN_SECONDS", 3_600.0)
    backlog._answers.clear()
    for _ in range(20):
        with pytest.raises(ProblemRaised, match="Nobody says"):
            await backlog.check("bulk", feed.client)
    backlog._answers.clear()
    assert asked == 1


async def test_a_full_redis_takes_deletions(feed: Feed, monkeypatch: pytest.MonkeyPatch) -> None:
    """By them a client makes room: they are taken and applied; what puts a record is refused, and waits for nobody."""
    await feed.load([record("a", n=1), record("b", n=1)])
    monkeypatch.setattr("projections.queries.feed_memory.FEED_MEMORY_MAX_PERCENT", -1)
    monkeypatch.setattr("api.feed_backlog.FEED_BACKLOG_PATIENCE_SECONDS", 0.2)
    monkeypatch.setattr("api.feed_backlog.ASK_AGAIN_SECONDS", 0.05)
    await until(lambda: _is_refused(feed), seconds=10)
    deleted = await feed.change({"op": "delete", "key": "a"})
    assert await feed.record("a", deleted) is None
    both = await feed.send("changes", ndjson([{"op": "delete", "key": "b"}, {"op": "add", "key": "c", "value": {}}]))
    assert (both.status, both.body["type"]) == (503, "/problems/overloaded")
    await until(lambda: _is_gone(feed, "b"), seconds=10)
    monkeypatch.undo()
    assert await feed.record("c", await feed.change({"op": "add", "key": "c", "value": {}})) == {}


async def _is_refused(feed: Feed) -> bool:
    return (await feed.send("bulk", b"")).status == 503


async def _is_gone(feed: Feed, key: str) -> bool:
    return await feed.record(key) is None


async def test_a_neighbours_backlog_keeps_nobody_from_a_load(feed: Feed, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of two clients in one partition the other's records are still to be applied: a load begins, and its run is found.

    A second one of the same client still has to wait until the first is decided.
    """
    other = await _neighbour(feed)
    monkeypatch.setattr("api.feed_turn.FEED_BACKLOG_PATIENCE_SECONDS", 2.0)
    async with paused(feed.api, "audiences_bulk"):
        theirs = await other.send("bulk", ndjson([record("a", n=1)]))
        ours = await feed.send("bulk", ndjson([record("a", n=2)]))
        assert (theirs.status, ours.status) == (202, 202), ours.body
        refused = await feed.send("bulk", ndjson([record("a", n=3)]))
        assert (refused.status, refused.body["type"]) == (503, "/problems/overloaded")
        third = await _neighbour(feed)
        assert (await ask(feed.api, "GET", f"{third.path}/runs/none")).status == 404
    runs = [await each.decided(sent.body["run_id"]) for each, sent in ((other, theirs), (feed, ours))]
    assert [run["status"] for run in runs] == ["published", "published"]
    assert [await each.record("a") for each in (other, feed)] == [{"n": 1}, {"n": 2}]


async def _neighbour(feed: Feed) -> Feed:
    """Another client whose records stand in the same partition."""
    backlog = feed.api.services.feed_backlog
    partitions = len(await backlog._ends())
    while True:
        other = await fresh_feed(feed.api)
        if partition_of(other.client.encode(), partitions) == partition_of(feed.client.encode(), partitions):
            return other
