"""A worker that always has something to write sees all the same what others have decided."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

import pytest
from aiokafka import TopicPartition

from projections import engine
from projections.batch import DeadLetter, Move
from projections.delivery import Delivery
from projections.delivery_rows import Rows
from projections.engine import Projector
from projections.postgres_store import PostgresStore
from projections.servers import Servers
from projections.store import Checkpoint, FenceLost
from tests.projections import audit
from tests.projections.conftest import ReadSide, eventually
from tests.projections.traffic import Traffic

BATCH_RECORDS = 20
HOLD = "UPDATE projection_offsets SET hold_at = next_offset, hold_expires_at = now() + interval '10 minutes'"
RELEASE = "UPDATE projection_offsets SET hold_at = NULL, hold_expires_at = NULL"


async def test_a_hold_is_seen_between_two_batches(read_side: ReadSide, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was read past it is dropped before it is written, and read again once it is let go."""
    monkeypatch.setattr(engine, "CONTROL_S", 0.0)
    held = asyncio.Event()
    looks: list[None] = []
    refused: list[FenceLost] = []

    class HeldMeanwhile(PostgresStore[Rows]):
        batch_max_records = BATCH_RECORDS

        async def checkpoints(self) -> dict[TopicPartition, Checkpoint]:
            looks.append(None)
            return await super().checkpoints()

        async def apply(
            self, rows: Rows | None, moves: Mapping[TopicPartition, Move], letters: Sequence[DeadLetter] = ()
        ) -> None:
            try:
                await super().apply(rows, moves, letters)
            except FenceLost as lost:
                refused.append(lost)
                raise
            if not held.is_set():
                await read_side.fetch(HOLD)
                held.set()

    await read_side.log.append_traffic(Traffic(5), 100)
    stop = asyncio.Event()
    async with Servers(read_side.addresses, client_id="test") as servers, asyncio.TaskGroup() as tasks:
        store = HeldMeanwhile(await servers.pool_of("delivery_g1"), Delivery(), 1)
        group, topics = read_side.names.group("delivery", 1), (read_side.names.auctions, read_side.names.engagements)
        tasks.create_task(Projector(Delivery(), store, topics=topics, group=group, kafka=servers.kafka).run(stop))
        await held.wait()
        applied, before = await read_side.applied("delivery"), len(looks)

        async def has_looked_often() -> bool:
            return len(looks) > before + 5

        await eventually(has_looked_often)
        assert await read_side.applied("delivery") == applied <= BATCH_RECORDS
        await read_side.fetch(RELEASE)
        await read_side.caught_up("delivery")
        stop.set()
    assert not refused
    assert await audit.delivery_in(read_side) == audit.delivery_of(await audit.logged(read_side))
