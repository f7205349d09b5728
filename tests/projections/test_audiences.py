"""Feed clients' records in Redis, out of a real log by running projections."""

from __future__ import annotations

from projections.dead_letters import DeadLetters, Tried
from projections.rebuild import rebuild
from tests.projections.conftest import ReadSide, eventually
from tests.projections.feed_story import FeedStory
from tests.projections.letters import OPERATOR, desk, is_settled, letters

__all__ = ["desk"]

BOTH = ("audiences", "audiences_bulk")


async def told(read_side: ReadSide, client: str) -> FeedStory:
    """A load that replaces, and changes before, during and after it."""
    story = FeedStory(read_side, client)
    await story.add("old", "gone with the load")
    await story.start("run-1", "replace")
    await story.add("a", "changed meanwhile")
    await story.delete("b")
    for line, key in enumerate("abcd", 1):
        await story.load("run-1", line, key, f"loaded {key}")
    await story.publish("run-1")
    await story.update("c", "moved", "moved from c")
    return story


STANDS = {"a": "changed meanwhile", "d": "loaded d", "moved": "moved from c"}
KEYS = ("old", "a", "b", "c", "d", "moved")


async def test_changes_stand_over_the_load_they_followed(read_side: ReadSide) -> None:
    """Also where the whole load is read before any of the changes, or after all of them."""
    first, second = await told(read_side, "client-1"), await told(read_side, "client-2")
    for order in (BOTH, BOTH[::-1]):
        for projection in order:
            await read_side.run_to_the_end(projection)
        assert await first.records(*KEYS) == STANDS
        assert await second.records(*KEYS) == STANDS
        assert sum((await first.counted()).values()) == 8
        await first.forgotten()
        await second.forgotten()
        for topic in ("changes", "bulk"):
            await read_side.redis.delete(*read_side.names.feed_progress(topic))


async def test_a_client_that_redis_has_forgotten_is_read_again(read_side: ReadSide) -> None:
    """Under running projections and with nothing new in the log; another client's records stay as they are."""
    story, other = await told(read_side, "client-1"), await told(read_side, "client-2")
    async with read_side.running(*BOTH):
        await read_side.caught_up(*BOTH)
        counted = await other.counted()
        await story.forgotten()
        assert await story.records(*KEYS) == {}

        async def stands() -> bool:
            return await story.records(*KEYS) == STANDS

        await eventually(stands)
        await story.add("new", "new")
        await read_side.caught_up(*BOTH)
        assert await story.records("new") == {"new": "new"}
        assert await other.counted() == counted


async def test_a_rebuild_gives_the_same(read_side: ReadSide) -> None:
    """Of one of the two: the other one notices that the clients are gone, and is read again by itself."""
    story = await told(read_side, "client-1")
    async with read_side.running(*BOTH):
        await read_side.caught_up(*BOTH)
        await rebuild(read_side.addresses, "audiences")

        async def stands() -> bool:
            return await story.records(*KEYS) == STANDS

        await eventually(stands)


async def test_poison_is_parked_and_the_rest_lands(read_side: ReadSide) -> None:
    """What follows it of the same client does not wait; the audit counts it, so that its sum is what was seen."""
    story = FeedStory(read_side, "client-1")
    await story.add("a", "before")
    await story.poison(read_side.names.feeds_changes)
    await story.add("a", "after")
    await story.add("b", "another")
    await read_side.run_to_the_end("audiences")
    assert await story.records("a", "b") == {"a": "after", "b": "another"}
    parked = await read_side.fetch('SELECT projection, "offset" FROM dead_letters')
    assert [tuple(row) for row in parked] == [("audiences", 1)]
    counted = await story.counted()
    assert (counted["adds"], counted["overwrites"], counted["rejected"]) == (2, 1, 1)
    await story.add("c", "later")
    await read_side.run_to_the_end("audiences")
    assert await story.records("c") == {"c": "later"}


async def test_a_letter_that_is_retried(read_side: ReadSide, desk: DeadLetters) -> None:
    """It stands, and is met no more; a Redis of before the retry is read again as a whole, and meets it again."""
    story = FeedStory(read_side, "client-1")
    await story.add("a", "one")
    await story.poison(read_side.names.feeds_changes)
    async with read_side.running("audiences"):
        await read_side.caught_up("audiences")
        kept = [key async for key in read_side.redis.scan_iter(f"*{read_side.names.namespace}*")]
        old = {key: await read_side.redis.dump(key) for key in kept}
        (letter,) = await letters(read_side, "audiences")
        mended = story.added("b", "mended")
        await read_side.fetch("UPDATE dead_letters SET payload = $1", mended)
        assert await desk.retry(letter["id"], by=OPERATOR) == Tried(1, 0)
        assert await story.records("a", "b") == {"a": "one", "b": "mended"}
    async with read_side.running("audiences"):
        await story.add("c", "later")
        await read_side.caught_up("audiences")
        assert await is_settled(read_side)
    for key, value in old.items():
        assert value is not None
        await read_side.redis.restore(key, 0, value, replace=True)
    async with read_side.running("audiences"):

        async def is_open_again() -> bool:
            return not await is_settled(read_side)

        await eventually(is_open_again)
        await read_side.caught_up("audiences")
    assert await story.records("a", "b", "c") == {"a": "one", "c": "later"}


async def test_a_letter_that_may_bring_something_back_stays_open(read_side: ReadSide, desk: DeadLetters) -> None:
    """A key was deleted behind it, and perhaps its own: whoever tries it again is told to send the record again."""
    story = FeedStory(read_side, "client-1")
    await story.poison(read_side.names.feeds_changes)
    await story.delete("a")
    async with read_side.running("audiences"):
        await read_side.caught_up("audiences")
        (letter,) = await letters(read_side, "audiences")
        await read_side.fetch("UPDATE dead_letters SET payload = $1", story.added("a", "mended"))
        tried = await desk.retry(letter["id"], by=OPERATOR)
        assert (tried.applied, tried.waiting) == (0, 1)
        assert tried.error == "what stands over the record at 0 may be gone: send it again, and skip this"
    assert await story.records("a") == {}


async def test_a_letter_that_cannot_be_applied_keeps_no_other(read_side: ReadSide, desk: DeadLetters) -> None:
    """Of four of one client one may bring something back and one cannot be read: the others land, each has its error.

    The same where the retry names one of those that are in order, which stands between them.
    """
    story = FeedStory(read_side, "client-1")
    await story.poison(read_side.names.feeds_changes)
    await story.delete("gone")
    for _ in range(3):
        await story.poison(read_side.names.feeds_changes)
    async with read_side.running("audiences"):
        await read_side.caught_up("audiences")
        parked = await letters(read_side, "audiences")
        mended = [story.added("gone", "back"), story.added("a", "one"), None, story.added("b", "two")]
        for letter, payload in zip(parked, mended, strict=True):
            if payload is not None:
                await read_side.fetch("UPDATE dead_letters SET payload = $1 WHERE id = $2", payload, letter["id"])
        tried = await desk.retry(parked[1]["id"], by=OPERATOR)
        assert (tried.applied, tried.waiting) == (2, 2)
    assert await story.records("gone", "a", "b") == {"a": "one", "b": "two"}
    told = [(row["outcome"], row["error"]) for row in await letters(read_side, "audiences")]
    assert [outcome for outcome, _ in told] == [None, "applied", None, "applied"]
    assert told[0][1] == "what stands over the record at 0 may be gone: send it again, and skip this"
    assert told[2][1] == tried.error == parked[2]["error"]


async def test_batches_of_a_hundred_and_many_clients(read_side: ReadSide) -> None:
    """Each record has its effect once, through restarts in the middle of it."""
    stories = [FeedStory(read_side, f"client-{number}") for number in range(3)]
    for number in range(120):
        for story in stories:
            await story.add(f"k{number % 50}", f"{number}")
    async with read_side.running("audiences"):
        pass
    await read_side.run_to_the_end("audiences")
    for story in stories:
        counted = await story.counted()
        assert (counted["adds"], counted["overwrites"], sum(counted.values())) == (50, 70, 120)
