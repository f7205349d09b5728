"""Look-ups while Redis is filled again, near the end of it: the audit's last row is there in part only."""

from __future__ import annotations

import pytest
from aiokafka import TopicPartition

from projections.queries.feed_completeness import FeedCompleteness
from projections.redis_store import REBUILD_UNTIL, offset_field
from tests.projections.conftest import ReadSide
from tests.projections.test_audiences import BOTH, told
from tests.projections.test_feed_audit import check_proof, is_complete

LAST_CHANGE = "SELECT partition, last_offset FROM feed_audit WHERE topic = 'changes' ORDER BY last_offset DESC LIMIT 1"


async def test_nothing_is_complete_while_it_is_rebuilt(read_side: ReadSide) -> None:
    """Until the partition has come to where the rebuild ends, whatever the audit has of the client by then."""
    story = await told(read_side, "client-1")
    async with read_side.running(*BOTH):
        await check_proof(read_side, story, bulk=6, changes=5)
    assert await is_complete(read_side, story)
    [last] = await read_side.fetch(LAST_CHANGE)
    field = offset_field(TopicPartition(read_side.names.feeds_changes, last["partition"])).encode()
    offsets, *_ = read_side.names.feed_progress("changes")
    end = int(await read_side.redis.hget(offsets, field))
    await read_side.redis.hset(offsets, REBUILD_UNTIL + field, end + 1)
    assert not await is_complete(read_side, story)
    await read_side.redis.hset(offsets, REBUILD_UNTIL + field, end)
    assert await is_complete(read_side, story)


async def test_the_furthest_that_the_audit_was_is_waited_for(
    read_side: ReadSide, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A Redis that was lost is being read again, and the row that told the last records is cut meanwhile."""
    monkeypatch.setattr("projections.queries.feed_completeness.KNOWN_S", 0.0)
    story = await told(read_side, "client-1")
    async with read_side.running(*BOTH):
        await check_proof(read_side, story, bulk=6, changes=5)
    asked = FeedCompleteness(read_side.db, read_side.redis, read_side.names)
    assert await asked.has_all(story.client)
    [last] = await read_side.fetch(LAST_CHANGE)
    before, at = last["last_offset"] - 1, last["last_offset"]
    await read_side.fetch(
        "UPDATE feed_audit SET last_offset = $1 WHERE last_offset = $2 AND topic = 'changes'", before, at
    )
    offsets, *_ = read_side.names.feed_progress("changes")
    await read_side.redis.hset(
        offsets, offset_field(TopicPartition(read_side.names.feeds_changes, last["partition"])), at
    )
    await read_side.redis.hset(read_side.names.feed_state(story.client), "changes", before)
    assert not await asked.has_all(story.client)


async def test_what_was_skipped_is_not_waited_for(read_side: ReadSide) -> None:
    """The audit's last record was passed over when it was read again: so it is once the partition is past it.

    Not where that is still to be read, and not where the client was further before.
    """
    story, other = await told(read_side, "client-1"), await told(read_side, "client-2")
    async with read_side.running(*BOTH):
        await check_proof(read_side, story, bulk=6, changes=5)
        await check_proof(read_side, other, bulk=6, changes=5)
    query = "SELECT partition, last_offset FROM feed_audit WHERE topic = 'changes' AND client = $1 ORDER BY 2 DESC"
    last, *_ = await read_side.fetch(query, story.client)
    partition, at = last["partition"], last["last_offset"]
    offsets, _, clients = read_side.names.feed_progress("changes")
    field, mine = offset_field(TopicPartition(read_side.names.feeds_changes, partition)), f"{partition} {story.client}"
    after = int(await read_side.redis.hget(offsets, field))
    asked = FeedCompleteness(read_side.db, read_side.redis, read_side.names)
    positions = {story.client: {"bulk": 10**6, "changes": at - 1}, other.client: {"bulk": 10**6, "changes": 10**6}}
    for known, next_offset, is_lacking in ((at - 1, after, False), (at - 1, at, True), (at, after, True)):
        await read_side.redis.hset(read_side.names.feed_state(story.client), "changes", at - 1)
        await read_side.redis.hset(clients, mine, known)
        await read_side.redis.hset(offsets, field, next_offset)
        assert await asked.lacking(positions) == ({story.client} if is_lacking else set())
