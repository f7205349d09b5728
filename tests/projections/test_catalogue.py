"""The catalogue's table and its cache: the log is the lock, and a Redis that lost its memory heals by itself."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import msgspec
import pytest
from aiokafka import TopicPartition
from redis.asyncio import Redis

from domain import catalogue, events
from domain.events import CatalogueEvent
from projections.batch import DeadLetter, Move
from projections.queries.entities import entity, list_entities
from projections.rebuild import rebuild
from projections.registry import registered
from projections.servers import Servers
from projections.store import FenceLost
from tests.projections.conftest import ReadSide, eventually
from tests.projections.test_batch import Stored
from tests.projections.traffic import START, Traffic


def change(bidder_id: str, version: int, name: str) -> CatalogueEvent:
    return events.BidderChanged(
        id=Traffic(version).id_at(START),
        at=START,
        correlation_id=bidder_id,
        causation_id="command",
        aggregate_id=bidder_id,
        version=version,
        terms=catalogue.Bidder(name=name, endpoint="http://127.0.0.1:1/bid"),
    )


def paused(bidder_id: str, version: int) -> CatalogueEvent:
    return events.EntityPaused(
        id=Traffic(version).id_at(START),
        at=START,
        correlation_id=bidder_id,
        causation_id="command",
        aggregate_id=bidder_id,
        version=version,
    )


async def cached(read_side: ReadSide) -> dict[str, tuple[int, str, str]]:
    """Field to version, status and name."""
    fields = await read_side.redis.hgetall(read_side.names.catalogue_entities)
    entities = {name.decode(): msgspec.json.decode(value) for name, value in fields.items()}
    return {name: (each["version"], each["status"], each["terms"]["name"]) for name, each in entities.items()}


async def test_who_comes_second_with_a_version_has_no_effect(read_side: ReadSide) -> None:
    """Of two changes with the same version the first in the log stands, in the table and in the cache."""
    await read_side.log.append(
        [
            Traffic(1).bidder("b-1", "One"),
            change("b-1", 2, "First"),
            change("b-1", 2, "Second"),
            paused("b-1", 3),
            change("b-1", 5, "From the future"),
            paused("b-unknown", 1),
        ]
    )
    await read_side.run_to_the_end("catalogue", "catalogue_cache")
    assert await cached(read_side) == {"bidder:b-1": (3, "paused", "First")}
    found = await entity(read_side.db, "bidder", "b-1")
    assert found is not None
    terms = msgspec.json.decode(found.terms)
    assert (found.version, found.status, terms["name"]) == (3, "paused", "First")
    assert await entity(read_side.db, "placement", "b-1") is None
    assert await entity(read_side.db, "bidder", "b-unknown") is None


@pytest.mark.parametrize("batches", [1, 3])
async def test_it_was_created_when_it_was_registered(read_side: ReadSide, batches: int) -> None:
    """However the log is cut into batches, so that a rebuild finds the same."""
    story: list[CatalogueEvent] = [Traffic(1).bidder("b-1", "One"), change("b-1", 2, "Changed"), paused("b-1", 3)]
    story = [msgspec.structs.replace(each, at=START + timedelta(hours=number)) for number, each in enumerate(story)]
    size = len(story) // batches
    async with read_side.running("catalogue"):
        for first in range(0, len(story), size):
            await read_side.log.append(story[first : first + size])
            await read_side.caught_up("catalogue")
    [row] = await read_side.fetch("SELECT created_at, updated_at FROM entities")
    assert (row["created_at"], row["updated_at"]) == (START, START + timedelta(hours=2))


async def test_changes_arrive_within_a_second(read_side: ReadSide) -> None:
    """The fields that changed are published when they can be read, soon after the event was logged."""
    async with read_side.running("catalogue_cache"), read_side.redis.pubsub() as subscription:
        await subscription.subscribe(read_side.names.catalogue_channel)
        await read_side.log.append([Traffic(1).bidder("b-1", "One")])
        await read_side.caught_up("catalogue_cache")
        async with asyncio.timeout(10):
            message = None
            while message is None:
                message = await subscription.get_message(ignore_subscribe_messages=True, timeout=1)
        assert msgspec.json.decode(message["data"]) == ["bidder:b-1"]
        assert await cached(read_side) == {"bidder:b-1": (1, "active", "One")}


@pytest.mark.parametrize("lost", ["everything", "entities", "offsets"])
async def test_a_redis_that_lost_its_memory(read_side: ReadSide, lost: str) -> None:
    """Flushed or partly evicted while nothing is logged, the cache is filled again without anybody's help."""
    await read_side.log.append([Traffic(1).bidder("b-1", "One"), Traffic(1).bidder("b-2", "Two")])
    await read_side.log.append([change("b-1", 2, "Changed")])
    async with read_side.running("catalogue_cache"):
        await read_side.caught_up("catalogue_cache")
        full = await cached(read_side)
        await forget(read_side.redis, read_side, lost)

        async def healed() -> bool:
            return await cached(read_side) == full

        assert len(full) == 2
        await eventually(healed)
        await read_side.caught_up("catalogue_cache")
        await read_side.log.append([change("b-2", 2, "Alive")])

        async def goes_on() -> bool:
            return (await cached(read_side)).get("bidder:b-2") == (2, "active", "Alive")

        await eventually(goes_on)


async def forget(redis: Redis, read_side: ReadSide, lost: str) -> None:
    names = read_side.names
    if lost == "everything":
        await redis.flushall()
    else:
        await redis.delete(names.catalogue_entities if lost == "entities" else names.catalogue_offsets)


async def test_a_writer_whose_offset_was_moved_changes_nothing(read_side: ReadSide) -> None:
    """The script refuses a batch that starts from an offset that is no longer the present one."""
    registration = registered("catalogue_cache")
    async with Servers(read_side.addresses, client_id="test") as servers:
        projection, store = await registration.opened(servers, 1)
        partition = TopicPartition(read_side.names.catalogue, 0)
        await store.begin({partition: 0})
        await store.apply(projection.fold([Traffic(1).bidder("b-1", "One")]), {partition: Move(0, 5)})
        with pytest.raises(FenceLost):
            await store.apply(projection.fold([Traffic(1).bidder("b-2", "Late")]), {partition: Move(0, 5)})
        assert (await store.checkpoints())[partition].next_offset == 5
    assert await cached(read_side) == {"bidder:b-1": (1, "active", "One")}


async def test_an_offset_without_an_entity_stands(read_side: ReadSide) -> None:
    """A log that begins late, or with a dead letter, leaves an empty cache: only what was there can be lost."""
    async with Servers(read_side.addresses, client_id="test") as servers:
        projection, store = await registered("catalogue_cache").opened(servers, 1)
        partition = TopicPartition(read_side.names.catalogue, 0)

        async def at() -> int | None:
            found = (await store.checkpoints()).get(partition)
            return None if found is None else found.next_offset

        await store.begin({partition: 7})
        assert await at() == 7
        letter = DeadLetter(Stored(partition.topic, 0, 7, b"b-1", b"{"), "bad")
        await store.apply(None, {partition: Move(7, 8)}, [letter])
        assert await at() == 8
        assert await store.parked_keys([partition]) == {(partition, b"b-1")}
        # A pause of nobody has no effect, thus writes no data.
        await store.apply(projection.fold([paused("b-unknown", 1)]), {partition: Move(8, 9)})
        assert await at() == 9
        await store.apply(projection.fold([Traffic(1).bidder("b-2", "Two")]), {partition: Move(9, 10)})
        assert await at() == 10
        await read_side.redis.delete(read_side.names.catalogue_entities)
        assert await at() is None
        assert await store.parked_keys([partition]) == set()
        await store.begin({partition: 7})
        assert await at() == 7


async def test_rebuilding_the_cache(read_side: ReadSide) -> None:
    """What does not follow from the log is gone, what does is there."""
    await read_side.log.append([Traffic(1).bidder("b-1", "One")])
    async with read_side.running("catalogue_cache"):
        await read_side.caught_up("catalogue_cache")
        await read_side.redis.hset(read_side.names.catalogue_entities, "bidder:ghost", "{}")
        await rebuild(read_side.addresses, "catalogue_cache")
    assert await cached(read_side) == {"bidder:b-1": (1, "active", "One")}


async def test_bidders_come_in_pages(read_side: ReadSide) -> None:
    """The pages together are the list."""
    ids = [f"b-{number}" for number in range(7)]
    await read_side.log.append([Traffic(1).bidder(each, each) for each in ids])
    await read_side.run_to_the_end("catalogue")
    found: list[str] = []
    cursor = None
    while True:
        page = await list_entities(read_side.db, "bidder", cursor=cursor, limit=3)
        found += [each.id for each in page.items]
        cursor = page.next_cursor
        if cursor is None:
            break
    assert found == ids
