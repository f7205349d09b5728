"""SIGKILL at each point of a batch: whoever comes next goes on, and every read model says what the log says."""

from __future__ import annotations

from projections.dead_letters import DeadLetters
from tests.points.conftest import Workers
from tests.points.story import IN_POSTGRES, IN_REDIS, Story, check_budgets, check_cache, check_postgres
from tests.projections import audit
from tests.projections.conftest import ReadSide
from tests.projections.traffic import Traffic

UNKNOWN = b'{"type":"never_heard_of"}'
OF_POSTGRES = (
    "the batch is ready",
    "before the offset moves",
    "the offset has moved",
    "the rows are written, before COMMIT",
    "COMMIT is on its way",
    "after COMMIT",
)
OF_REDIS = ("before the script", "the script is on its way", "after the script")


async def test_a_batch_for_postgres(read_side: ReadSide, workers: Workers) -> None:
    """Rows and offset are both there or both not, wherever the process ends."""
    story = Story(read_side)
    for hits, point in enumerate(OF_POSTGRES, 1):
        await story.goes_on()
        await workers.killed(read_side.addresses, "project", IN_POSTGRES, at=point, hits=hits)
        await read_side.run_to_the_end(*IN_POSTGRES)
        await check_postgres(read_side)


async def test_a_batch_for_redis(read_side: ReadSide, workers: Workers) -> None:
    """The script is run or not run: what is held and what is offset never part."""
    story = Story(read_side)
    for point in OF_REDIS:
        await story.goes_on(auctions=10)
        await workers.killed(read_side.addresses, "project", IN_REDIS, at=point)
        await read_side.run_to_the_end(*IN_REDIS)
        await check_cache(read_side)
        await check_budgets(read_side)


async def letters(read_side: ReadSide, projection: str) -> list[bool]:
    """Of the open ones, whether each waits behind another, in the order of the log."""
    rows = await read_side.fetch(
        "SELECT error LIKE 'waits behind%' AS waits FROM dead_letters "
        'WHERE projection = $1 AND outcome IS NULL ORDER BY topic, partition, "offset"',
        projection,
    )
    return [row["waits"] for row in rows]


async def test_an_event_that_is_parked_in_postgres(read_side: ReadSide, workers: Workers) -> None:
    """It is parked once, with those that wait behind it; once it is skipped, all of these count once."""
    traffic = Traffic(1)
    auction = traffic.auction(test=False)
    await read_side.log.append_traffic(traffic, 30)
    await read_side.log.append_bytes(read_side.names.auctions, auction[0].correlation_id, UNKNOWN)
    await read_side.log.append(auction)
    await read_side.log.append_traffic(traffic, 30)
    await workers.killed(read_side.addresses, "project", ["delivery"], at="dead letters are written, before COMMIT")
    await read_side.run_to_the_end("delivery")
    assert await letters(read_side, "delivery") == [False, *[True] * len(auction)]

    await workers.killed(read_side.addresses, "skip", ["delivery"], at="a letter is ended, before COMMIT")
    assert await letters(read_side, "delivery") == [True] * len(auction)
    await DeadLetters(read_side.addresses).retry_all("delivery", by="a test")
    assert await letters(read_side, "delivery") == []
    known = [each for each in await audit.logged(read_side) if each["type"] != "never_heard_of"]
    assert await audit.delivery_in(read_side) == audit.delivery_of(known)


async def test_an_event_that_is_parked_in_redis(read_side: ReadSide, workers: Workers) -> None:
    """The letter and the mark of its key are two servers': none is left without the other."""
    story = Story(read_side)
    await story.goes_on(auctions=5)
    await read_side.run_to_the_end("catalogue_cache")
    await read_side.log.append_bytes(read_side.names.catalogue, "b-3", UNKNOWN)
    before = "a dead letter is written, before the script"
    await workers.killed(read_side.addresses, "project", ["catalogue_cache"], at=before)
    await story.goes_on(auctions=5)
    await read_side.run_to_the_end("catalogue_cache")
    assert await letters(read_side, "catalogue_cache") == [False, True]

    freed = "its key is free, its letters are open"
    await workers.killed(read_side.addresses, "skip", ["catalogue_cache"], at=freed)
    assert await letters(read_side, "catalogue_cache") == [True]
    await DeadLetters(read_side.addresses).retry_all("catalogue_cache", by="a test")
    assert await letters(read_side, "catalogue_cache") == []
    await story.goes_on(auctions=5)
    await read_side.run_to_the_end("catalogue_cache")
    await check_cache(read_side)
