"""What is told of many feed clients at once: as much of each as of one alone, and no more is asked for it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest
from redis.asyncio import Redis
from redis.asyncio.client import Pipeline
from sqlalchemy import event

from domain.feed_events import FeedLoadOpened, FeedLoadStarted
from projections.feed_audit import FeedAudit
from projections.queries.feed_completeness import FeedCompleteness
from projections.queries.feed_states import feed_states
from projections.servers import Servers
from tests.projections.conftest import ReadSide
from tests.projections.feed_story import FeedStory
from tests.projections.test_audiences import BOTH, told

MANY = 30


@pytest.fixture
def asked(read_side: ReadSide, monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often Redis and Postgres were asked something."""
    counts: Counter[str] = Counter()
    command, pipeline = Redis.execute_command, Pipeline.execute

    async def counted_command(self: Redis, *parts: Any, **options: Any) -> Any:
        counts["redis"] += 1
        return await command(self, *parts, **options)

    async def counted_pipeline(self: Pipeline, *parts: Any, **options: Any) -> Any:
        counts["redis"] += 1
        return await pipeline(self, *parts, **options)

    def counted_statement(*_: Any) -> None:
        counts["postgres"] += 1

    monkeypatch.setattr(Redis, "execute_command", counted_command)
    monkeypatch.setattr(Pipeline, "execute", counted_pipeline)
    event.listen(read_side.db.sync_engine, "before_cursor_execute", counted_statement)
    return counts


async def lacking(read_side: ReadSide, clients: Sequence[str]) -> set[str]:
    """By one that knows nothing yet."""
    states = await feed_states(read_side.redis, read_side.names, clients)
    positions = {client: state.positions for client, state in zip(clients, states, strict=True)}
    return await FeedCompleteness(read_side.db, read_side.redis, read_side.names).lacking(positions)


async def test_many_cost_as_many_questions_as_one(read_side: ReadSide, asked: Counter[str]) -> None:
    """Whether all of them are there, or all are lost; only those that are lost are lacking."""
    stories = [FeedStory(read_side, f"client-{number}") for number in range(MANY)]
    for story in stories:
        await story.add("a", "one")
    await read_side.run_to_the_end(*BOTH)
    async with Servers(read_side.addresses, client_id="test") as servers:
        await FeedAudit(servers.redis, servers.pool, servers.names).bring()
    clients = [story.client for story in stories]
    costs = []
    for is_lost in (False, True):
        for some in (clients[:1], clients):
            asked.clear()
            assert await lacking(read_side, some) == (set(some) if is_lost else set())
            costs.append(dict(asked))
        for story in stories if not is_lost else ():
            await story.forgotten()
    (one, many, one_lost, many_lost) = costs
    assert one == many
    assert one_lost == many_lost
    assert one["postgres"] <= 2
    assert one_lost["redis"] <= 8


async def test_each_is_told_as_if_alone(read_side: ReadSide) -> None:
    """Records, positions and the last load of each, and nothing of one that nobody has heard of."""
    story, other = await told(read_side, "client-1"), FeedStory(read_side, "client-2")
    for key in "xyz":
        await other.add(key, "one")
    await read_side.run_to_the_end(*BOTH)
    first, nobody, second = await feed_states(read_side.redis, read_side.names, [story.client, "?", other.client])
    assert [await feed_states(read_side.redis, read_side.names, [each]) for each in (story.client, other.client)] == [
        [first],
        [second],
    ]
    assert (nobody.positions, nobody.records, nobody.latest) == ({"bulk": -1, "changes": -1}, 0, None)
    assert (second.records, second.latest, second.positions["bulk"]) == (3, None, -1)
    assert first.latest is not None
    assert first.records >= len(await story.records(*"abcdefgh"))


async def test_the_last_load_is_the_one_that_was_begun_last(read_side: ReadSide) -> None:
    """By its place among the changes, whichever the bulk topic tells of last; decided or not."""
    story = FeedStory(read_side, "client-1")
    earlier = await story.change(FeedLoadStarted, run_id="run-1", mode="merge")
    await story.start("run-2", "replace")
    await story.bulk(FeedLoadOpened, run_id="run-1", mode="merge", since=earlier)
    await story.load("run-2", 1, "a", "one")
    await read_side.run_to_the_end(*BOTH)
    [state] = await feed_states(read_side.redis, read_side.names, [story.client])
    assert state.latest is not None
    assert (state.latest.run_id, state.latest.run.status, state.latest.run.loaded) == ("run-2", "receiving", 1)
    assert state.records == 0, "nobody finds what is not published"
    await story.bulk_received("run-2", 1)
    await story.publish("run-2")
    await read_side.run_to_the_end(*BOTH)
    [state] = await feed_states(read_side.redis, read_side.names, [story.client])
    assert state.latest is not None
    assert (state.latest.run_id, state.latest.run.status, state.records) == ("run-2", "published", 1)
