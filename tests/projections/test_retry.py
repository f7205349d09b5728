"""Dead letters are applied in the order of the log once they can be, or skipped; nothing is applied twice or lost."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence

import pytest
from aiokafka import TopicPartition

from domain.errors import Conflict, InvalidInput, NotFound
from domain.events import Event
from projections import operations
from projections.batch import DeadLetter, Move
from projections.catalogue import Catalogue, EventsById
from projections.dead_letters import DeadLetters, Tried
from projections.engine import CONTROL_S
from projections.lean_fetch import FetchedRecord
from projections.orders import Orders
from projections.postgres_store import Connection, PostgresStore
from projections.rebuild import RebuildOptions, RebuildStopped, rebuild
from projections.servers import Servers
from tests.projections import audit
from tests.projections.conftest import ReadSide, eventually
from tests.projections.letters import GARBAGE, OPERATOR, UNKNOWN, WAITS, desk, is_settled, letters
from tests.projections.traffic import Traffic

__all__ = ["desk"]


async def check(read_side: ReadSide) -> None:
    """Both read models hold exactly what was logged and can be read."""
    events = [event for event in await audit.logged(read_side) if event["type"] != "never_heard_of"]
    assert await audit.delivery_in(read_side) == audit.delivery_of(events)
    await audit.check_auction_log(read_side, events)


async def refuse(read_side: ReadSide, auction: Iterable[Event]) -> None:
    """Makes the database refuse the auction's request, as a table does that a release has forgotten something in."""
    (request, *_) = auction
    await read_side.fetch(
        "ALTER TABLE auction_log_g1.auctions ADD CONSTRAINT forgotten CHECK "
        f"(request_id <> 'request {request.correlation_id}')"
    )


async def allow(read_side: ReadSide) -> None:
    await read_side.fetch("ALTER TABLE auction_log_g1.auctions DROP CONSTRAINT forgotten")


async def test_retried_in_order(read_side: ReadSide, desk: DeadLetters) -> None:
    """The first letter of a key goes first, and until it can be applied all others wait; then the key flows again."""
    traffic = Traffic(1)
    story = traffic.auction(test=False)
    engagements = list(traffic.engagements(story))
    async with read_side.running("auction_log", "delivery"):
        await read_side.log.append_traffic(traffic, 10)
        await read_side.caught_up("auction_log", "delivery")
        await refuse(read_side, story)
        await read_side.log.append(story[:-1])
        await read_side.caught_up("auction_log", "delivery")
        parked = await letters(read_side, "auction_log")
        assert len(parked) == len(story) - 1
        assert "forgotten" in parked[0]["error"]
        assert story[0].correlation_id not in parked[0]["error"], "the error quotes what the event holds"
        assert [row["error"] for row in parked[1:]] == [WAITS] * (len(parked) - 1)

        still = await desk.retry(parked[-1]["id"], by=OPERATOR)
        assert (still.applied, still.waiting) == (0, len(parked))
        assert still.error is not None
        assert "forgotten" in still.error
        tried = await letters(read_side, "auction_log")
        assert [row["attempts"] for row in tried] == [2] + [1] * (len(parked) - 1)
        assert tried[0]["decided_by"] == OPERATOR

        await allow(read_side)
        assert await desk.retry(parked[-1]["id"], by=OPERATOR) == Tried(len(parked), 0)
        assert await desk.retry(parked[0]["id"], by="another") == Tried(0, 0)
        await read_side.log.append([story[-1], *engagements])
        await read_side.log.append_traffic(traffic, 10)
        await read_side.caught_up("auction_log", "delivery")
    ended = await letters(read_side, "auction_log")
    assert {(row["outcome"], row["decided_by"]) for row in ended} == {("applied", OPERATOR)}
    assert len(ended) == len(parked)
    await check(read_side)


async def test_skipped_with_a_reason(read_side: ReadSide, desk: DeadLetters) -> None:
    """What waited behind it is applied, the reason is kept, and a rebuild passes over the same event."""
    traffic = Traffic(2)
    story = traffic.auction(test=False)
    topic, key = read_side.names.auctions, story[0].correlation_id
    await read_side.log.append_bytes(topic, key, UNKNOWN)
    await read_side.log.append(story)
    await read_side.log.append_traffic(traffic, 20)
    async with read_side.running("delivery", "auction_log"):
        await read_side.caught_up("delivery", "auction_log")
        for projection in ("delivery", "auction_log"):
            first, *behind = await letters(read_side, projection)
            assert len(behind) == len(story)
            tried = await desk.skip(first["id"], reason="It was a test of the line.", by=OPERATOR)
            assert tried == Tried(len(story), 0)
            (skipped, *_) = await letters(read_side, projection)
            assert (skipped["outcome"], skipped["reason"]) == ("skipped", "It was a test of the line.")
            assert (skipped["decided_by"], skipped["payload"]) == (OPERATOR, UNKNOWN)
            assert skipped["decided_at"] >= skipped["parked_at"]
        await check(read_side)
        for projection in ("delivery", "auction_log"):
            await rebuild(read_side.addresses, projection)
        await check(read_side)
    assert await is_settled(read_side)


async def test_a_rebuild_that_has_stopped(read_side: ReadSide, desk: DeadLetters) -> None:
    """It stops at an event that cannot be applied, and goes on once somebody has decided that it has no effect."""
    traffic = Traffic(7)
    await read_side.log.append_traffic(traffic, 10)
    await read_side.log.append_bytes(read_side.names.auctions, "a key", UNKNOWN)
    await read_side.log.append_traffic(traffic, 10)
    async with read_side.running("auction_log", "delivery"):
        await read_side.caught_up("auction_log", "delivery")
        with pytest.raises(RebuildStopped, match="never_heard_of"):
            await rebuild(read_side.addresses, "delivery")
        (letter,) = await letters(read_side, "delivery")
        await desk.skip(letter["id"], reason="Nobody knows it.", by=OPERATOR)
        await rebuild(read_side.addresses, "delivery")
        await check(read_side)
    (active,) = await read_side.fetch("SELECT active_generation FROM projections WHERE projection = 'delivery'")
    assert active["active_generation"] == 2


async def test_a_key_that_is_freed_while_events_come(read_side: ReadSide, desk: DeadLetters) -> None:
    """An event that comes at the very moment is applied, or waits for a letter that is there; never for none."""
    traffic = Traffic(3)
    stories = [traffic.auction(test=False) for _ in range(5)]
    async with read_side.running("delivery", "auction_log"):
        for story in stories:
            await read_side.log.append_bytes(read_side.names.auctions, story[0].correlation_id, UNKNOWN)
            await read_side.log.append(story[:1])
        await read_side.caught_up("delivery", "auction_log")

        async def freed() -> None:
            for row in await read_side.fetch("SELECT id FROM dead_letters WHERE error <> $1", WAITS):
                await desk.skip(row["id"], reason="Nobody knows it.", by=OPERATOR)

        async def logged() -> None:
            for number in range(1, max(map(len, stories))):
                await read_side.log.append([story[number] for story in stories if number < len(story)])

        await asyncio.gather(freed(), logged())
        await read_side.caught_up("delivery", "auction_log")
        assert await is_settled(read_side)
    await check(read_side)


async def test_two_operators(read_side: ReadSide, desk: DeadLetters) -> None:
    """Whoever comes second finds nothing to do, or is told that somebody else is at it: nothing is applied twice."""
    traffic = Traffic(4)
    story = traffic.auction(test=False)
    await read_side.log.append_traffic(traffic, 5)
    await read_side.run_to_the_end("auction_log", "delivery")
    await refuse(read_side, story)
    await read_side.log.append(story)
    await read_side.run_to_the_end("auction_log", "delivery")
    await allow(read_side)
    (first, *_) = await letters(read_side, "auction_log")
    done = await asyncio.gather(*(desk.retry(first["id"], by=f"{n}") for n in range(3)), return_exceptions=True)
    assert all(isinstance(each, Tried | Conflict) for each in done), done
    assert await is_settled(read_side)
    assert sum(each.applied for each in done if isinstance(each, Tried)) <= len(story)
    await check(read_side)


async def test_decided_for_all_generations(read_side: ReadSide, desk: DeadLetters) -> None:
    """Whichever generation's letter is named, what is retried or skipped is so in all, and they stay equal."""
    traffic = Traffic(13)
    await read_side.log.append_traffic(traffic, 5)
    refused, unknown = (traffic.auction(test=False) for _ in range(2))
    async with read_side.running("auction_log"):
        await rebuild(read_side.addresses, "auction_log")
        for number in (1, 2):
            await read_side.fetch(
                f"ALTER TABLE auction_log_g{number}.auctions ADD CONSTRAINT forgotten CHECK "
                f"(request_id <> 'request {refused[0].correlation_id}')"
            )
        await read_side.log.append(refused)
        await read_side.log.append_bytes(read_side.names.auctions, unknown[0].correlation_id, UNKNOWN)
        await read_side.log.append(unknown)
        await read_side.caught_up("auction_log")

        async def both_have_parked() -> bool:
            return len(await letters(read_side, "auction_log")) == 2 * (len(refused) + 1 + len(unknown))

        await eventually(both_have_parked)
        parked = [row for row in await letters(read_side, "auction_log") if row["generation"] == 1]
        first_unknown = next(row for row in parked if row["payload"] == UNKNOWN)
        first_refused = next(row for row in parked if row["key"] == refused[0].correlation_id.encode())
        skipped = await desk.skip(first_unknown["id"], reason="Nobody knows it.", by=OPERATOR)
        assert skipped == Tried(2 * len(unknown), 0)
        for number in (1, 2):
            await read_side.fetch(f"ALTER TABLE auction_log_g{number}.auctions DROP CONSTRAINT forgotten")
        assert await desk.retry(first_refused["id"], by=OPERATOR) == Tried(2 * len(refused), 0)
        assert await is_settled(read_side)
        assert (await operations.verify(read_side.addresses, "auction_log", 1)).is_equal
    events = [event for event in await audit.logged(read_side) if event["type"] != "never_heard_of"]
    await audit.check_auction_log(read_side, events)


async def test_all_of_a_projection(read_side: ReadSide, desk: DeadLetters) -> None:
    """Key by key; one that cannot be applied still holds up its own key alone."""
    traffic = Traffic(6)
    bad, *good = [traffic.auction(test=False) for _ in range(3)]
    await read_side.log.append_traffic(traffic, 2)
    await read_side.run_to_the_end("auction_log", "delivery")
    await read_side.fetch("ALTER TABLE auction_log_g1.auctions ADD CONSTRAINT forgotten CHECK (tmax_ms < 0) NOT VALID")
    for story in good:
        await read_side.log.append(story)
    await read_side.log.append_bytes(read_side.names.auctions, bad[0].correlation_id, GARBAGE)
    await read_side.run_to_the_end("auction_log")
    await allow(read_side)
    tried = await desk.retry_all("auction_log", by=OPERATOR)
    assert (tried.applied, tried.waiting) == (sum(map(len, good)), 1)
    assert tried.error is not None
    assert len(await read_side.fetch("SELECT FROM auctions")) == 4


async def test_what_cannot_be_asked(read_side: ReadSide, desk: DeadLetters) -> None:
    """Letters and projections that are not there, a reason that is none, and what was ended before."""
    await read_side.log.append_bytes(read_side.names.catalogue, "b-1", UNKNOWN)
    await read_side.run_to_the_end("catalogue")
    (letter,) = await letters(read_side, "catalogue")
    for letter_id in (letter["id"] + 1, -1, 2**70):
        with pytest.raises(NotFound):
            await desk.retry(letter_id, by=OPERATOR)
        with pytest.raises(NotFound):
            await desk.skip(letter_id, reason="None.", by=OPERATOR)
    with pytest.raises(NotFound, match="auction_log"):
        await desk.retry_all("nonsense", by=OPERATOR)
    for reason in ("", "  ", "x" * 1_001, "\0"):
        with pytest.raises(InvalidInput, match="reason"):
            await desk.skip(letter["id"], reason=reason, by=OPERATOR)
    await desk.skip(letter["id"], reason="Cut.", by=OPERATOR)
    with pytest.raises(Conflict, match="skipped before"):
        await desk.skip(letter["id"], reason="Another reason.", by=OPERATOR)


async def test_a_key_that_somebody_else_is_at(read_side: ReadSide, desk: DeadLetters) -> None:
    """The others are tried all the same, also one whose key looks like the number of a letter that has no key."""
    await read_side.log.append([Traffic(14).bidder("b-1", "One")])
    await read_side.run_to_the_end("catalogue")
    insert = (
        'INSERT INTO dead_letters (projection, generation, topic, partition, "offset", key, payload, error) '
        "VALUES ('catalogue', $1, $2, 0, $3, $4, $5, 'of a bug') RETURNING id"
    )
    topic = read_side.names.catalogue
    (payload,) = await read_side.log.payloads(topic)
    await read_side.fetch(insert, 0, topic, 1, b"of a generation that has ended", payload)
    ((number,),) = await read_side.fetch(insert, 1, topic, 2, None, UNKNOWN)
    await read_side.fetch(insert, 1, topic, 3, str(number).encode(), UNKNOWN)
    tried = await desk.retry_all("catalogue", by=OPERATOR)
    assert (tried.applied, tried.waiting) == (0, 3)
    assert [row["attempts"] for row in await letters(read_side, "catalogue")] == [1, 2, 2]


async def test_skipped_while_another_generation_parks_it(read_side: ReadSide, desk: DeadLetters) -> None:
    """The decision holds for the letter that is being written at this very moment."""
    written, decided = asyncio.Event(), asyncio.Event()

    class SlowToCommit(PostgresStore[EventsById]):
        async def _park(self, connection: Connection, parked: Sequence[DeadLetter]) -> None:
            await super()._park(connection, parked)
            written.set()
            await decided.wait()

    topic = read_side.names.catalogue
    await read_side.log.append_bytes(topic, "b-1", UNKNOWN)
    await read_side.run_to_the_end("catalogue")
    (letter,) = await letters(read_side, "catalogue")
    await Orders(read_side.addresses).rebuild("catalogue", RebuildOptions(accept_dead_letters=True), by=OPERATOR)
    async with Servers(read_side.addresses, client_id="test") as servers, asyncio.TaskGroup() as tasks:
        store = SlowToCommit(await servers.pool_of("catalogue_g2"), Catalogue(), 2)
        tp = TopicPartition(topic, letter["partition"])
        record = FetchedRecord(tp.topic, tp.partition, letter["offset"], letter["key"], UNKNOWN, 0)
        move = Move(letter["offset"], letter["offset"] + 1)
        tasks.create_task(store.apply(None, {tp: move}, [DeadLetter(record, "unknown")]))
        await written.wait()
        skipping = tasks.create_task(desk.skip(letter["id"], reason="Cut.", by=OPERATOR))

        async def has_decided_or_waits() -> bool:
            waiting = "SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
            return skipping.done() or await read_side.fetch(waiting) != []

        await eventually(has_decided_or_waits)
        decided.set()
    assert [row["outcome"] for row in await letters(read_side, "catalogue")] == ["skipped", "skipped"]


async def test_skipped_before_it_is_met(read_side: ReadSide) -> None:
    """By a generation that runs already: another one was ahead of it."""
    traffic = Traffic(9)
    await read_side.log.append([traffic.bidder("b-1", "One")])
    async with read_side.running("catalogue"):
        await read_side.caught_up("catalogue")
        for tp, offset in (await read_side.watermarks.high([read_side.names.catalogue])).items():
            await read_side.fetch(
                'INSERT INTO dead_letters (projection, generation, topic, partition, "offset", error, outcome) '
                "VALUES ('catalogue', 7, $1, $2, $3, 'of a bug', 'skipped')",
                *tp,
                offset,
            )
        await asyncio.sleep(2 * CONTROL_S)  # what is tested is that it looks by itself while nothing comes
        await read_side.log.append([traffic.bidder("b-2", "Two")])
        await read_side.caught_up("catalogue")
    assert [row["id"] for row in await read_side.fetch("SELECT id FROM entities")] == ["b-1"]
