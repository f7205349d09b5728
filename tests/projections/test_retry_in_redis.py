"""Dead letters of what is built in Redis: applied, skipped, and noticed where Redis comes back with an older memory."""

from __future__ import annotations

import msgspec
import pytest
from aiokafka import TopicPartition

from domain.codec import encode
from domain.errors import Unavailable
from domain.events import BidderChanged, BidderRegistered
from projections.batch import DeadLetter, Move
from projections.dead_letters import DeadLetters, Tried
from projections.lean_fetch import FetchedRecord
from projections.rebuild import rebuild
from projections.registry import registered
from projections.servers import Servers
from projections.store import FenceLost
from tests.projections.conftest import ReadSide, eventually
from tests.projections.letters import OPERATOR, UNKNOWN, WAITS, desk, is_settled, letters
from tests.projections.traffic import Traffic

__all__ = ["desk"]


def changed(registered: BidderRegistered) -> BidderChanged:
    """The bidder's next event, with these terms."""
    fields = {name: getattr(registered, name) for name in registered.__struct_fields__}
    return BidderChanged(**(fields | {"version": registered.version + 1}))


async def test_letters_in_redis(read_side: ReadSide, desk: DeadLetters) -> None:
    """The cache's keys flow again as those of tables do, also in a Redis that has lost its memory."""
    traffic = Traffic(5)
    names = read_side.names
    await read_side.log.append_bytes(names.catalogue, "b-1", b'{"type":"bidder_registered","v":1}')
    await read_side.log.append([traffic.bidder("b-1", "Late")])
    async with read_side.running("catalogue", "catalogue_cache"):
        await read_side.caught_up("catalogue", "catalogue_cache")
        assert await read_side.redis.hkeys(names.catalogue_entities) == []
        for projection in ("catalogue", "catalogue_cache"):
            (first, waiting) = await letters(read_side, projection)
            assert (await desk.retry(waiting["id"], by=OPERATOR)).waiting == 2
            assert await desk.skip(first["id"], reason="Cut.", by=OPERATOR) == Tried(1, 0)
        await read_side.log.append([changed(traffic.bidder("b-1", "Later"))])
        await read_side.caught_up("catalogue", "catalogue_cache")
    cached = await read_side.redis.hget(names.catalogue_entities, "bidder:b-1")
    assert b"Later" in (cached or b"")
    assert [row["version"] for row in await read_side.fetch("SELECT version FROM entities")] == [2]
    assert await read_side.redis.smembers(names.catalogue_parked) == set()

    await read_side.redis.delete(names.catalogue_offsets, names.catalogue_entities)
    await read_side.run_to_the_end("catalogue_cache")
    assert await read_side.redis.hget(names.catalogue_entities, "bidder:b-1") == cached
    assert await is_settled(read_side)


async def test_the_letter_that_is_to_blame(read_side: ReadSide, desk: DeadLetters) -> None:
    """In Redis the letters of a key are applied as one: what is wrong is told of the one that is, and not of the first.

    Once that one is skipped the others are applied.
    """
    names = read_side.names
    await read_side.log.append_bytes(names.catalogue, "b-1", UNKNOWN)
    await read_side.log.append([Traffic(12).bidder("b-1", "Good")])
    await read_side.log.append_bytes(names.catalogue, "b-1", UNKNOWN)
    await read_side.run_to_the_end("catalogue_cache")
    first, _, third = await letters(read_side, "catalogue_cache")
    tried = await desk.skip(first["id"], reason="Cut.", by=OPERATOR)
    assert (tried.applied, tried.waiting) == (0, 2)
    _, good, bad = await letters(read_side, "catalogue_cache")
    assert (good["error"], good["attempts"]) == (WAITS, 1)
    assert "never_heard_of" in bad["error"]
    assert bad["decided_by"] == OPERATOR
    assert await desk.skip(third["id"], reason="Cut.", by=OPERATOR) == Tried(1, 0)
    assert await read_side.redis.hkeys(names.catalogue_entities) == [b"bidder:b-1"]


async def test_skipped_while_redis_is_away(read_side: ReadSide, desk: DeadLetters) -> None:
    """It is told what is decided and what is left to do, and the same command does that later."""
    names = read_side.names
    await read_side.log.append_bytes(names.catalogue, "b-1", UNKNOWN)
    await read_side.log.append([Traffic(15).bidder("b-1", "Late")])
    await read_side.run_to_the_end("catalogue_cache")
    (first, _) = await letters(read_side, "catalogue_cache")
    away = msgspec.structs.replace(read_side.addresses, redis_url="redis://127.0.0.1:1/0")
    with pytest.raises(Unavailable, match=f"letter {first['id']} is skipped, and what waited behind it was not tried"):
        await DeadLetters(away).skip(first["id"], reason="Cut.", by=OPERATOR)
    assert await read_side.redis.hkeys(names.catalogue_entities) == []
    assert await desk.skip(first["id"], reason="Cut.", by=OPERATOR) == Tried(1, 0)
    assert await read_side.redis.hkeys(names.catalogue_entities) == [b"bidder:b-1"]


async def test_a_rebuild_in_redis_that_fails_keeps_the_letters(read_side: ReadSide, desk: DeadLetters) -> None:
    """Where Redis does not answer nothing has happened: what was parked can be retried or skipped as before."""
    names = read_side.names
    await read_side.log.append_bytes(names.catalogue, "b-1", UNKNOWN)
    await read_side.log.append([Traffic(8).bidder("b-1", "Late")])
    await read_side.run_to_the_end("catalogue_cache")
    before = await letters(read_side, "catalogue_cache")
    with pytest.raises(Unavailable, match="Redis"):
        await rebuild(
            msgspec.structs.replace(read_side.addresses, redis_url="redis://127.0.0.1:1/0"), "catalogue_cache"
        )
    assert await letters(read_side, "catalogue_cache") == before
    assert await desk.skip(before[0]["id"], reason="Cut.", by=OPERATOR) == Tried(1, 0)
    assert await read_side.redis.hkeys(names.catalogue_entities) == [b"bidder:b-1"]


async def test_parked_after_it_was_skipped(read_side: ReadSide, desk: DeadLetters) -> None:
    """Whoever has read it before the decision was taken finds out when it parks it, in Postgres and in Redis."""
    names = read_side.names
    await read_side.log.append_bytes(names.catalogue, "b-1", UNKNOWN)
    await read_side.run_to_the_end("catalogue", "catalogue_cache")
    async with Servers(read_side.addresses, client_id="test") as servers:
        for projection, table in (("catalogue", "projection_offsets"), ("catalogue_cache", None)):
            (letter,) = await letters(read_side, projection)
            await desk.skip(letter["id"], reason="Cut.", by=OPERATOR)
            if table is None:
                await read_side.redis.delete(names.catalogue_offsets, names.catalogue_parked)
            else:
                await read_side.fetch("DELETE FROM projection_offsets")
            _, store = await registered(projection).opened(servers, 1)
            tp = TopicPartition(letter["topic"], letter["partition"])
            await store.begin(dict.fromkeys(await read_side.watermarks.high([names.catalogue]), 0))
            record = FetchedRecord(tp.topic, tp.partition, 0, letter["key"], UNKNOWN, 0)
            with pytest.raises(FenceLost, match="skip"):
                await store.apply(None, {tp: Move(0, 1)}, [DeadLetter(record, "unknown")])
            assert await store.parked_keys([tp]) == set()
    await read_side.log.append([Traffic(10).bidder("b-1", "Late")])
    await read_side.run_to_the_end("catalogue", "catalogue_cache")
    assert await is_settled(read_side)
    assert await read_side.redis.hkeys(names.catalogue_entities) == [b"bidder:b-1"]


async def test_a_skip_that_is_broken_off(read_side: ReadSide, desk: DeadLetters) -> None:
    """The key waits no longer, and nothing that stands in Redis is forgotten, though one of its letters was retried."""
    names, redis = read_side.names, read_side.redis
    await read_side.log.append_bytes(names.catalogue, "b-1", UNKNOWN)
    await read_side.log.append([Traffic(16).bidder("b-1", "Good")])
    async with read_side.running("catalogue_cache"):
        await read_side.caught_up("catalogue_cache")
        (first, _) = await letters(read_side, "catalogue_cache")
        assert await desk.skip(first["id"], reason="Cut.", by=OPERATOR) == Tried(1, 0)
        await read_side.log.append_bytes(names.catalogue, "b-1", UNKNOWN)
        await read_side.caught_up("catalogue_cache")
        await redis.hset(names.catalogue_entities, "a mark", "of this memory")
        # As a process leaves it that dies before it comes to Redis.
        await read_side.fetch("UPDATE dead_letters SET outcome = 'skipped' WHERE outcome IS NULL")

        async def is_free() -> bool:
            return await redis.smembers(names.catalogue_parked) == set()

        await eventually(is_free)
        await read_side.log.append([changed(Traffic(16).bidder("b-1", "Later"))])
        await read_side.caught_up("catalogue_cache")
    assert b"Later" in (await redis.hget(names.catalogue_entities, "bidder:b-1") or b"")
    assert await redis.hget(names.catalogue_entities, "a mark") == b"of this memory"


async def test_a_redis_of_before_a_letter_without_a_key(read_side: ReadSide, desk: DeadLetters) -> None:
    """It is noticed though no key waits: the event is met again, and nobody believes that it was applied."""
    names, redis = read_side.names, read_side.redis
    await read_side.log.append_bytes(names.catalogue, None, UNKNOWN)
    keys = (names.catalogue_offsets, names.catalogue_entities)
    async with read_side.running("catalogue_cache"):
        await read_side.log.append([Traffic(17).bidder("b-2", "Fine")])
        await read_side.caught_up("catalogue_cache")
        old = {key: await redis.dump(key) for key in keys}
        (letter,) = await letters(read_side, "catalogue_cache")
        payload = encode(Traffic(17).bidder("b-1", "Mended"))
        await read_side.fetch("UPDATE dead_letters SET payload = $1", payload)
        assert await desk.retry(letter["id"], by=OPERATOR) == Tried(1, 0)
        assert await redis.hexists(names.catalogue_entities, "bidder:b-1")
        for key, value in old.items():
            assert value is not None
            await redis.restore(key, 0, value, replace=True)

        async def is_open_again() -> bool:
            return [row["outcome"] for row in await letters(read_side, "catalogue_cache")] == [None]

        await eventually(is_open_again)
        assert await desk.retry(letter["id"], by=OPERATOR) == Tried(1, 0)
        await read_side.caught_up("catalogue_cache")
    assert set(await redis.hkeys(names.catalogue_entities)) == {b"bidder:b-1", b"bidder:b-2"}


async def test_a_redis_of_before_a_decision(read_side: ReadSide, desk: DeadLetters) -> None:
    """It stands where the log has been read to, and lacks what waited behind the letter: the log is read again."""
    names, redis = read_side.names, read_side.redis
    await read_side.log.append_bytes(names.catalogue, "b-1", UNKNOWN)
    await read_side.log.append([Traffic(11).bidder("b-1", "Late"), Traffic(11).bidder("b-2", "Fine")])
    keys = (names.catalogue_offsets, names.catalogue_parked, names.catalogue_entities)
    async with read_side.running("catalogue_cache"):
        await read_side.caught_up("catalogue_cache")
        old = {key: await redis.dump(key) for key in keys}
        (first, _) = await letters(read_side, "catalogue_cache")
        assert await desk.skip(first["id"], reason="Cut.", by=OPERATOR) == Tried(1, 0)
        for key, value in old.items():
            assert value is not None
            await redis.restore(key, 0, value, replace=True)
        assert await redis.hkeys(names.catalogue_entities) == [b"bidder:b-2"]

        async def is_whole() -> bool:
            return set(await redis.hkeys(names.catalogue_entities)) == {b"bidder:b-1", b"bidder:b-2"}

        await eventually(is_whole)
        await read_side.log.append([changed(Traffic(11).bidder("b-1", "Later"))])
        await read_side.caught_up("catalogue_cache")
    assert b"Later" in (await redis.hget(names.catalogue_entities, "bidder:b-1") or b"")
    assert await is_settled(read_side)
