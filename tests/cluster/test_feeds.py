"""Feed clients on a cluster: each on one slot of its own, wherever that goes and whatever its master forgets."""

from __future__ import annotations

from tests.cluster.redis_cluster import RedisCluster
from tests.projections.conftest import ReadSide
from tests.projections.feed_story import FeedStory
from tests.projections.test_audiences import (
    BOTH,
    KEYS,
    STANDS,
    test_a_client_that_redis_has_forgotten_is_read_again,
    test_a_rebuild_gives_the_same,
    test_changes_stand_over_the_load_they_followed,
    told,
)
from tests.projections.test_feed_audit import (
    check_proof,
    test_a_batch_is_as_large_as_it_was_set,
    test_a_look_up_says_when_records_are_missing,
    test_rows_that_come_again_take_the_place_of_what_they_overlap,
    test_what_nobody_sees_is_freed,
)
from tests.projections.test_feed_states import (
    test_each_is_told_as_if_alone,
    test_the_last_load_is_the_one_that_was_begun_last,
)

__all__ = [
    "test_a_batch_is_as_large_as_it_was_set",
    "test_a_client_that_redis_has_forgotten_is_read_again",
    "test_a_look_up_says_when_records_are_missing",
    "test_a_rebuild_gives_the_same",
    "test_changes_stand_over_the_load_they_followed",
    "test_each_is_told_as_if_alone",
    "test_rows_that_come_again_take_the_place_of_what_they_overlap",
    "test_the_last_load_is_the_one_that_was_begun_last",
    "test_what_nobody_sees_is_freed",
]
"""The tests of one Redis, run again on the cluster."""


async def test_clients_on_all_masters(read_side: ReadSide, cluster: RedisCluster) -> None:
    """Their slots are on different masters, and every key of one client on one; all of it is read and audited."""
    stories = [await told(read_side, f"client-{number}") for number in range(6)]
    state = read_side.names.feed_state
    owners = {(await cluster.owner_of(state(story.client))).port for story in stories}
    assert len(owners) > 1
    await read_side.run_to_the_end(*BOTH)
    for story in stories:
        assert await story.records(*KEYS) == STANDS
        assert sum((await story.counted()).values()) == 8


async def test_a_clients_slot_goes_to_another_master(read_side: ReadSide, cluster: RedisCluster) -> None:
    """With its records, positions and rows of the audit; an update between keys of different hashes stays one step."""
    story = await told(read_side, "client-1")
    async with read_side.running(*BOTH):
        await read_side.caught_up(*BOTH)
        await cluster.move(read_side.names.feed_state(story.client))
        await story.update("moved", "far", "moved again")
        await check_proof(read_side, story, bulk=6, changes=6)
    assert await story.records("moved", "far", "d") == {"far": "moved again", "d": "loaded d"}


async def test_a_clients_master_dies(read_side: ReadSide, cluster: RedisCluster) -> None:
    """What its replica had not heard of is read in the log again, and counts once."""
    story = FeedStory(read_side, "client-1")
    for number in range(50):
        await story.add(f"k{number}", "before")
    async with read_side.running(*BOTH):
        await read_side.caught_up("audiences")
        master = await cluster.owner_of(read_side.names.feed_state(story.client))
        master.server.kill()
        for number in range(25):
            await story.add(f"k{number}", "after")
        async with cluster.failed_over(master):
            await check_proof(read_side, story, bulk=0, changes=75)
            assert await story.records("k24", "k25") == {"k24": "after", "k25": "before"}
    assert sum((await story.counted()).values()) == 75
