"""What is folded or decided while a batch is being parked counts all the same."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence

from aiokafka import TopicPartition

from projections.batch import DeadLetter, Move, Record
from projections.delivery import Delivery
from projections.delivery_rows import Rows
from projections.engine import Projector
from projections.orders import Orders, RebuildOptions
from projections.postgres_store import PostgresStore
from projections.servers import Servers
from tests.projections.conftest import ReadSide, eventually
from tests.projections.traffic import Traffic

GARBAGE = b"nothing that anybody could read"


async def test_parked_while_the_next_batch_is_folded(read_side: ReadSide) -> None:
    """The events behind the garbage are folded before it is parked, and ready after."""
    parking, folding, parked = asyncio.Event(), asyncio.Event(), asyncio.Event()

    class FoldsWhileParking(Projector[Rows]):
        async def _rows(self, records: Sequence[Record]) -> Rows | None:
            rows = await super()._rows(records)
            if parking.is_set():
                folding.set()
                await parked.wait()
            return rows

    class ParksWhileFolding(PostgresStore[Rows]):
        async def apply(
            self, rows: Rows | None, moves: Mapping[TopicPartition, Move], letters: Sequence[DeadLetter] = ()
        ) -> None:
            if letters and not letters[0].waits:
                parking.set()
                await folding.wait()
            await super().apply(rows, moves, letters)
            if parking.is_set():
                asyncio.get_running_loop().call_soon(parked.set)

    topic = read_side.names.auctions
    story = Traffic(1).auction(test=False)
    stop = asyncio.Event()
    async with Servers(read_side.addresses, client_id="test") as servers, asyncio.TaskGroup() as tasks:
        store = ParksWhileFolding(await servers.pool_of("delivery_g1"), Delivery(), 1)
        group, topics = read_side.names.group("delivery", 1), (topic, read_side.names.engagements)
        projector = FoldsWhileParking(Delivery(), store, topics=topics, group=group, kafka=servers.kafka)
        tasks.create_task(projector.run(stop))
        await read_side.log.append_bytes(topic, story[0].correlation_id, GARBAGE)
        await parking.wait()
        await read_side.log.append(story)
        await read_side.caught_up("delivery")
        stop.set()
    letters = await read_side.fetch("SELECT key FROM dead_letters WHERE projection = 'delivery'")
    assert [row["key"].decode() for row in letters] == [story[0].correlation_id] * (1 + len(story))


async def test_skipped_just_before_a_rebuild_stops_at_it(read_side: ReadSide) -> None:
    """The decision is taken while the rebuild has the event in hand: it goes on behind it."""

    class SkippedMeanwhile(PostgresStore[Rows]):
        async def skipped(self, partitions: Collection[TopicPartition]) -> set[tuple[TopicPartition, int]]:
            found = await super().skipped(partitions)
            await read_side.fetch("UPDATE dead_letters SET outcome = 'skipped'")
            return found

    topic = read_side.names.auctions
    await read_side.log.append_bytes(topic, "a key", GARBAGE)
    await read_side.log.append(Traffic(2).auction(test=False))
    await read_side.run_to_the_end("delivery")
    await Orders(read_side.addresses).rebuild("delivery", RebuildOptions(swap=False), by="a test")
    stop = asyncio.Event()
    async with Servers(read_side.addresses, client_id="test") as servers, asyncio.TaskGroup() as tasks:
        store = SkippedMeanwhile(await servers.pool_of("delivery_g2"), Delivery(), 2)
        group, topics = read_side.names.group("delivery", 2), (topic, read_side.names.engagements)
        tasks.create_task(Projector(Delivery(), store, topics=topics, group=group, kafka=servers.kafka).run(stop))

        async def is_over() -> bool:
            checkpoints = (await store.checkpoints()).values()
            is_built = all(at.next_offset >= at.rebuild_until for at in checkpoints)
            return is_built or (await store.state()).stopped_reason is not None

        await eventually(is_over)
        stop.set()
        assert (await store.state()).stopped_reason is None
