"""What is folded while the batch before it is being parked waits behind it all the same."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from aiokafka import TopicPartition

from projections.batch import DeadLetter, Move, Record
from projections.delivery import Delivery
from projections.delivery_rows import Rows
from projections.engine import Projector
from projections.postgres_store import PostgresStore
from projections.servers import Servers
from tests.projections.conftest import ReadSide
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
