"""The audit of feeds: every record of the log is in it once, whatever happens to Redis, Postgres or the projections."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from redis.asyncio import Redis
from redis.commands.core import AsyncScript

from domain.feed_events import FeedClientErased, FeedRecordDeleted
from domain.limits import FEED_SCRIPT_RECORDS
from projections import feed_tidying
from projections.audiences import Audiences, PartOfClient, Step
from projections.feed_audit import AuditRow, FeedAudit, write_rows
from projections.feed_proof import prove
from projections.feed_store import FeedStore, Known
from projections.feed_tidying import FeedTidying
from projections.postgres_store import connected
from projections.queries.feed_audit import feed_audit_of
from projections.queries.feed_completeness import FeedCompleteness
from projections.queries.feed_memory import feed_memory
from projections.queries.feed_records import FeedRecords
from projections.run import run_projectors
from projections.servers import Servers
from projections.store import FenceLost
from tests.projections.conftest import ReadSide, eventually
from tests.projections.feed_story import AT, FeedStory
from tests.projections.test_audiences import BOTH, KEYS, STANDS, told
from tests.projections.test_redis_regressed import data, regressing

__all__ = ["data"]

WAIT_S = 60.0


async def check_proof(read_side: ReadSide, story: FeedStory, *, bulk: int, changes: int) -> None:
    """So many records and marks are in the log, and each is in a batch that agrees with it."""
    of_bulk, of_changes = await prove(read_side.addresses, story.client, wait_s=WAIT_S)
    assert (of_bulk.logged, of_changes.logged) == (bulk, changes)
    assert of_bulk.agrees, of_bulk
    assert of_changes.agrees, of_changes


async def test_every_record_is_in_the_audit_once(read_side: ReadSide) -> None:
    """Rows leave Redis for Postgres by themselves, and agree with the log; sums and batches are shown in pages."""
    story, other = await told(read_side, "client-1"), await told(read_side, "client-2")
    async with read_side.running(*BOTH):
        await check_proof(read_side, story, bulk=6, changes=5)
        await check_proof(read_side, other, bulk=6, changes=5)
    shown = await story.audit()
    assert shown.pending == 0
    changes, bulk = shown.topics["changes"], shown.topics["bulk"]
    assert (changes.records, changes.marks, changes.updates, changes.deletes) == (4, 1, 1, 1)
    assert (bulk.records, bulk.marks, shown.totals.records) == (4, 2, 8)
    first = shown.items[0]
    assert (first.topic, first.generation, first.started <= first.finished) == ("bulk", 1, True)
    page = await feed_audit_of(read_side.db, read_side.redis, read_side.names, story.client, limit=1)
    rest = await feed_audit_of(
        read_side.db, read_side.redis, read_side.names, story.client, cursor=page.next_cursor, limit=500
    )
    assert (*page.items, *rest.items) == shown.items
    assert (rest.next_cursor, rest.totals) == (None, None), "they are added up for the first page"
    assert page.totals == shown.totals


async def test_an_upload_that_is_sent_again_was_sent_once(read_side: ReadSide) -> None:
    """Its answer was lost, so that it ends a second time before the consumer has met its first end."""
    story = FeedStory(read_side, "client-1")
    await story.start("run-1")
    for line in (1, 2, 1, 2):
        await story.load("run-1", line, f"k{line}", "one")
        if line == 2:
            await story.bulk_received("run-1", 2)
    async with read_side.running(*BOTH):
        of_bulk, _ = await prove(read_side.addresses, story.client, wait_s=WAIT_S)
    assert (of_bulk.sent, of_bulk.logged, of_bulk.agrees) == (2, 7, True)


async def test_rows_that_come_again_take_the_place_of_what_they_overlap(read_side: ReadSide) -> None:
    """Redis forgets a client: its records come again in other batches, and every one still counts once."""
    story = await told(read_side, "client-1")
    await read_side.run_to_the_end(*BOTH)
    before = await story.counted()
    await story.forgotten()
    await story.add("z", "later")
    async with read_side.running(*BOTH):
        await check_proof(read_side, story, bulk=6, changes=6)
    after = await story.counted()
    assert sum(after.values()) == sum(before.values()) + 1
    assert {each.generation for each in (await story.audit()).items} == {2}


async def test_a_row_that_is_written_twice_counts_once(read_side: ReadSide) -> None:
    """Whoever wrote rows, and died before they left the list."""
    story = await told(read_side, "client-1")
    await read_side.run_to_the_end(*BOTH)
    key = read_side.names.feed_audit(story.client)
    await story.add("z", "later")
    async with Servers(read_side.addresses, client_id="test") as servers:
        audit = FeedAudit(servers.redis, servers.pool, servers.names)
        await audit.bring()
        await read_side.fetch("DELETE FROM feed_audit WHERE topic = 'changes'")
        for topic in ("bulk", "changes"):
            await read_side.redis.delete(*read_side.names.feed_progress(topic))
        await story.forgotten()
        await read_side.run_to_the_end(*BOTH)
        rows = await read_side.redis.lrange(key, 0, -1)
        await audit.bring()
        if rows:
            await read_side.redis.rpush(key, *rows)
        await audit.bring()
        assert await read_side.redis.llen(key) == 0
    await check_proof(read_side, story, bulk=6, changes=6)


async def test_rows_that_overlap_in_one_list(read_side: ReadSide) -> None:
    """A client's state is lost while its rows wait for Postgres: they come twice, and the later ones stand."""
    story = await told(read_side, "client-1")
    async with Servers(read_side.addresses, client_id="test") as servers:
        rows = [row(0, 5), row(6, 9), row(0, 3), row(4, 9), row(10, 12)]
        async with connected(servers.pool) as connection, connection.transaction():
            await write_rows(connection, story.client, rows)
    stand = await read_side.fetch("SELECT first_offset, last_offset FROM feed_audit ORDER BY first_offset")
    assert [tuple(each) for each in stand] == [(0, 3), (4, 9), (10, 12)]


async def test_a_row_that_is_refused_holds_up_nobody_else(read_side: ReadSide) -> None:
    """Postgres has no place for it: it stays where it is, and the projections go on."""
    first, second = FeedStory(read_side, "client-1"), FeedStory(read_side, "client-2")
    key = read_side.names.feed_audit(first.client)
    await read_side.redis.rpush(key, msgspec.json.encode(row(7, 7, at=10**18)))
    await first.add("a", "one")
    async with read_side.running(*BOTH):
        await read_side.caught_up(*BOTH)
        await second.add("a", "one")
        await check_proof(read_side, second, bulk=0, changes=1)
        await read_side.caught_up(*BOTH)
    assert await read_side.redis.llen(key) == 2


def row(first_offset: int, last_offset: int, *, at: int = 0) -> AuditRow:
    offsets = {"first_offset": first_offset, "last_offset": last_offset}
    return AuditRow(topic="changes", partition=0, **offsets, generation=1, at=at, started=0, finished=0, digest="")


async def test_a_batch_is_as_large_as_it_was_set(read_side: ReadSide) -> None:
    """However many records wait, and the audit has a row of each."""
    story = FeedStory(read_side, "client-1")
    for number in range(25):
        await story.change_later(f"k{number}", "x")
    await read_side.log.flush()
    addresses = msgspec.structs.replace(read_side.addresses, feed_batch=2)
    stop = asyncio.Event()
    running = asyncio.create_task(run_projectors(addresses, BOTH, stop))
    await check_proof(read_side, story, bulk=0, changes=25)
    stop.set()
    await running
    rows = await read_side.fetch("SELECT first_offset, last_offset FROM feed_audit")
    assert max(each["last_offset"] - each["first_offset"] for each in rows) == 1


async def test_what_is_not_in_the_audit_is_found(read_side: ReadSide) -> None:
    """A batch that is gone, one that has counted something twice, and one of other records."""
    story = FeedStory(read_side, "client-1")
    for number in range(250):
        await story.add(f"k{number}", "one")
    async with read_side.running("audiences"):
        await check_proof(read_side, story, bulk=0, changes=250)
    rows = await read_side.fetch("SELECT first_offset FROM feed_audit ORDER BY first_offset")
    assert len(rows) >= 3
    gone, counted, other = (row["first_offset"] for row in rows[:3])
    await read_side.fetch("UPDATE feed_audit SET adds = adds + 1 WHERE first_offset = $1", counted)
    await read_side.fetch("UPDATE feed_audit SET digest = 'da39a3' WHERE first_offset = $1", other)
    await read_side.fetch("DELETE FROM feed_audit WHERE first_offset = $1", gone)
    _, changes = await prove(read_side.addresses, story.client)
    assert not changes.agrees
    assert (changes.missing, changes.wrong) == (counted - gone, 2)
    assert changes.examples[0] == f"the record at {gone} is in no batch"


async def test_poison_is_in_the_audit_also_where_it_is_nobodys(read_side: ReadSide) -> None:
    """Of a readable key it is rejected of that client; of another one it is rejected of nobody, and nothing waits."""
    story = FeedStory(read_side, "client-1")
    await story.add("a", "one")
    await story.poison(read_side.names.feeds_changes)
    await read_side.log.append_raw(read_side.names.feeds_changes, b"\xff\x00", b"nobody can read this")
    await story.add("b", "two")
    async with read_side.running("audiences"):
        await check_proof(read_side, story, bulk=0, changes=3)
        await read_side.caught_up("audiences")
    assert (await story.counted())["rejected"] == 1
    nobodys = await read_side.fetch("SELECT sum(rejected) AS rejected, count(*) FROM feed_audit WHERE client = ''")
    assert tuple(nobodys[0]) == (1, 1)
    assert len(await read_side.fetch("SELECT FROM dead_letters")) == 2


async def is_complete(read_side: ReadSide, story: FeedStory) -> bool:
    found = await FeedRecords(read_side.redis, read_side.names).found(story.client, KEYS, now=AT)
    asked = FeedCompleteness(read_side.db, read_side.redis, read_side.names)
    return await asked.is_complete(story.client, found.positions)


async def test_a_look_up_says_when_records_are_missing(read_side: ReadSide) -> None:
    """Of a client that Redis has forgotten, alone or with all others, until it is read again; a new one is complete."""
    story, other = await told(read_side, "client-1"), await told(read_side, "client-2")
    assert await is_complete(read_side, story)
    async with read_side.running(*BOTH):
        await check_proof(read_side, story, bulk=6, changes=5)
        await check_proof(read_side, other, bulk=6, changes=5)
    assert await is_complete(read_side, story)
    await story.forgotten()
    assert not await is_complete(read_side, story)
    assert await is_complete(read_side, other)
    for topic in ("changes", "bulk"):
        await read_side.redis.delete(*read_side.names.feed_progress(topic))
    await other.forgotten()
    assert not await is_complete(read_side, other)
    assert await is_complete(read_side, FeedStory(read_side, "client-3"))
    await read_side.run_to_the_end("audiences")
    assert not await is_complete(read_side, story), "the bulk is missing still"
    await read_side.run_to_the_end("audiences_bulk")
    assert await is_complete(read_side, story)
    assert await story.records(*KEYS) == STANDS


async def test_what_nobody_sees_is_freed(read_side: ReadSide, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of all clients and by itself: here a tombstone that an ended load has left, and what a load stands over.

    A value that is damaged is in nobody's way.
    """
    monkeypatch.setattr(feed_tidying, "PASS_S", 0.05)
    story = FeedStory(read_side, "client-1")
    await story.start("run-1")
    await story.add("a", "changed")
    await story.delete("b")
    await story.load("run-1", 1, "b", "loaded")
    await story.bulk_received("run-1", 1)
    await story.publish("run-1")
    changed, tombstones = read_side.names.feed_keys(story.client)[2:4]
    await read_side.redis.hset(changed, mapping={"short": b"7 bytes", "headless": b"15 bytes of old"})
    async with read_side.running(*BOTH):
        await read_side.caught_up(*BOTH)

        async def is_freed() -> bool:
            return not await read_side.redis.exists(tombstones)

        await eventually(is_freed)
    assert await story.records("a", "b") == {"a": "changed"}


@asynccontextmanager
async def bounded(redis: Redis, spare_bytes: int) -> AsyncIterator[None]:
    """Redis takes so much more than it has by now, and refuses what is beyond."""
    used = (await redis.info("memory"))["used_memory"]
    await redis.config_set("maxmemory", used + spare_bytes)
    try:
        yield
    finally:
        await redis.config_set("maxmemory", 0)


async def test_a_full_redis_loses_nothing(read_side: ReadSide, data: Path) -> None:
    """The consumer waits; what was loaded is found, nothing is half applied, and with room all of it follows."""
    async with regressing(read_side, data) as (other, redis):
        story = FeedStory(other, "client-1")
        await story.add("first", "there")
        async with other.running(*BOTH):
            await other.caught_up(*BOTH)
            await redis.client.config_set("maxmemory-policy", "noeviction")
            async with bounded(redis.client, 1_000_000):
                for number in range(400):
                    await story.change_later(f"k{number}", "x" * 10_000)
                await other.log.flush()

                async def is_full() -> bool:
                    refused = "errorstat_OOM" in await redis.client.info("errorstats")
                    return refused or (await feed_memory(redis.client)).why_no_room is not None

                await eventually(is_full)
                assert await story.records("first") == {"first": "there"}
                position = int(await redis.client.hget(other.names.feed_state(story.client), "changes") or -1)
                assert position < 400
                rows = await other.fetch("SELECT max(last_offset) AS at FROM feed_audit")
                assert (rows[0]["at"] or 0) <= position
            await check_proof(other, story, bulk=0, changes=401)
        counted = await story.counted()
        assert (counted["adds"], sum(counted.values())) == (401, 401)
        assert await story.records("k399", "first") == {"k399": "x" * 10_000, "first": "there"}


async def test_a_redis_that_evicts_gets_no_records(read_side: ReadSide, data: Path) -> None:
    """However much room there is: nothing is put where it may vanish, deletions are applied, and it says why."""
    async with regressing(read_side, data) as (other, redis):
        story = FeedStory(other, "client-1")
        await story.add("first", "there")
        async with other.running(*BOTH):
            await other.caught_up(*BOTH)
            async with bounded(redis.client, 100_000_000):
                await redis.client.config_set("maxmemory-policy", "allkeys-lru")
                why = (await feed_memory(redis.client)).why_no_room
                assert why is not None
                assert "allkeys-lru" in why
                deleted_at = await story.change(FeedRecordDeleted, key="first")
                await story.add("second", "waits")
                await eventually(lambda: _has_come_to(other, story, deleted_at))
                assert await story.records("first", "second") == {}
                await redis.client.config_set("maxmemory-policy", "noeviction")
                await other.caught_up(*BOTH)
                assert await story.records("first", "second") == {"second": "waits"}


async def _has_come_to(read_side: ReadSide, story: FeedStory, position: int) -> bool:
    return int(await read_side.redis.hget(read_side.names.feed_state(story.client), "changes") or -1) == position


@pytest.mark.parametrize("what", ["erased", "deleted"])
async def test_what_makes_room_needs_none(read_side: ReadSide, data: Path, what: str) -> None:
    """In a Redis that has not a byte left a delete and an erasure have their effect, and offsets move on."""
    async with regressing(read_side, data) as (other, redis):
        story = FeedStory(other, "client-1")
        await story.add("first", "there")
        async with other.running(*BOTH):
            await other.caught_up(*BOTH)
            await redis.client.config_set("maxmemory-policy", "noeviction")
            async with bounded(redis.client, -100_000):
                await (story.delete("first") if what == "deleted" else story.change(FeedClientErased))
                await other.caught_up(*BOTH)
                assert await story.records("first") == {}


async def test_a_redis_that_is_emptied_within_a_batch_is_filled_again(read_side: ReadSide) -> None:
    """Also where it was the client's first: none of its scripts is let through that does not find the one before it."""
    story = FeedStory(read_side, "client-1")
    for number in range(3 * FEED_SCRIPT_RECORDS):
        await story.change_later(f"k{number}", "x")
    await read_side.log.flush()
    async with Servers(read_side.addresses, client_id="test") as servers:
        store = EmptiedOnce(servers.redis, servers.pool, Audiences(servers.names), FEED_SCRIPT_RECORDS)
        part = PartOfClient(0, story.client)
        steps = [
            Step(number, "put", (f"k{number}", "", "", ""), b"\0" * 16, AT, b"")
            for number in range(3 * FEED_SCRIPT_RECORDS)
        ]
        with pytest.raises(FenceLost, match="has forgotten"):
            await store.apply_all(part, steps)
    async with read_side.running(*BOTH):
        await check_proof(read_side, story, bulk=0, changes=3 * FEED_SCRIPT_RECORDS)


class EmptiedOnce(FeedStore):
    """Redis forgets everything of a client behind the first script that is applied to it."""

    _is_emptied = False

    async def _answers(self, script: AsyncScript, keys: Sequence[str], calls: Sequence[Any]) -> list[int]:
        if self._is_emptied:
            return await super()._answers(script, keys, calls)
        self._is_emptied = True
        done = await super()._answers(script, keys, calls[:1])
        await self._redis.delete(*keys)
        return done + await super()._answers(script, keys, calls[1:])

    async def apply_all(self, part: PartOfClient, steps: list[Step]) -> None:
        await self._to_clients({part: steps}, Known(1, {part: "-1"}))


async def test_an_older_redis_is_brought_forward(read_side: ReadSide, data: Path) -> None:
    """Restarted from an older dump: look-ups say so until all is read again, and the audit counts everything once."""
    async with regressing(read_side, data) as (other, redis):
        story = FeedStory(other, "client-1")
        await story.add("a", "old")
        await story.add("b", "stays")
        async with other.running(*BOTH):
            await other.caught_up(*BOTH)
            await redis.keep()
            await story.add("a", "new")
            await story.delete("b")
            await check_proof(other, story, bulk=0, changes=4)
        await redis.put_back()
        assert not await is_complete(other, story)
        assert await story.records("a", "b") == {"a": "old", "b": "stays"}
        async with other.running(*BOTH):
            await check_proof(other, story, bulk=0, changes=4)
            assert await is_complete(other, story)
        assert await story.records("a", "b") == {"a": "new"}
        assert sum((await story.counted()).values()) == 4


async def test_tidying_needs_no_memory(read_side: ReadSide, data: Path) -> None:
    """What makes room works in a Redis that is full: tidying, and the audit's rows that leave it."""
    async with regressing(read_side, data) as (other, redis):
        story = await told(other, "client-1")
        async with Servers(other.addresses, client_id="test") as servers:
            await other.run_to_the_end(*BOTH)
            await redis.client.config_set("maxmemory", 1)
            await FeedTidying(servers.redis, servers.pool, servers.names).once()
            await FeedAudit(servers.redis, servers.pool, servers.names).bring()
            await redis.client.config_set("maxmemory", 0)
        assert await story.records(*KEYS) == STANDS
        assert (await story.audit()).pending == 0
        assert sum((await story.counted()).values()) == 8
