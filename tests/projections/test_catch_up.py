"""A generation that was built while the log grew is waited for, and meanwhile nobody who reads is held."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from projections import hold
from projections.catalogue import Catalogue
from projections.orders import Orders
from projections.postgres_store import PostgresStore
from projections.rebuild import RebuildOptions, RebuildProgress, rebuild
from projections.registry import registered
from projections.servers import Servers
from projections.swap import StillBehind
from projections.verification import verify
from tests.projections.conftest import ReadSide
from tests.projections.test_generations import statuses
from tests.projections.traffic import Traffic

FEW = 50
MANY = 1_500
GAP = "SELECT max(next_offset) - min(next_offset) FROM projection_offsets WHERE projection = $1 GROUP BY partition"


async def built_long_ago(read_side: ReadSide) -> None:
    """Generation 2 of the catalogue has read what was there when it was begun, and much was logged since."""
    traffic = Traffic(1)
    await read_side.log.append([traffic.bidder(f"b-{n}", "early") for n in range(FEW)])
    await read_side.run_to_the_end("catalogue")
    await Orders(read_side.addresses).rebuild("catalogue", RebuildOptions(), by="a test")
    await read_side.fetch("UPDATE projection_generations SET swaps_itself = false WHERE generation = 2")
    await read_side.fetch("UPDATE projection_offsets SET rebuild_until = 0 WHERE generation = 2")
    await read_side.fetch(
        "UPDATE projection_offsets SET hold_at = 0, hold_expires_at = 'infinity' WHERE generation = 2"
    )
    await read_side.log.append([traffic.bidder(f"c-{n}", "late") for n in range(MANY)])
    await read_side.run_to_the_end("catalogue")
    await read_side.fetch("UPDATE projection_offsets SET hold_at = NULL, hold_expires_at = NULL")


async def test_a_rebuild_waits_until_it_has_caught_up(read_side: ReadSide, monkeypatch: pytest.MonkeyPatch) -> None:
    """However long that takes; it is held beside the active one only when that can last no longer than a moment."""
    await built_long_ago(read_side)
    monkeypatch.setattr(PostgresStore, "batch_max_records", FEW)
    monkeypatch.setattr(hold, "REACHED_S", 1.0)
    write, holds, gaps = Catalogue.write, hold._hold, list[int]()

    async def slow(self: Catalogue, connection: Any, rows: Any) -> None:
        await asyncio.sleep(0.2)
        await write(self, connection, rows)

    async def noted(connection: Any, projection: str, numbers: Any) -> None:
        gaps.extend(row[0] for row in await connection.fetch(GAP, projection))
        await holds(connection, projection, numbers)

    monkeypatch.setattr(Catalogue, "write", slow)
    monkeypatch.setattr(hold, "_hold", noted)
    seen: list[RebuildProgress] = []
    await rebuild(read_side.addresses, "catalogue", on_progress=seen.append)
    assert await statuses(read_side, "catalogue") == {1: "previous", 2: "active"}
    assert max(each.behind for each in seen) > FEW
    assert gaps
    assert max(gaps) == 0


async def test_who_is_far_behind_is_not_compared(read_side: ReadSide, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody is held for it, and the reason says how far it is."""
    await built_long_ago(read_side)
    await read_side.fetch("UPDATE projection_generations SET status = 'ready' WHERE generation = 2")
    monkeypatch.setattr(hold, "REACHED_S", 0.1)
    async with Servers(read_side.addresses, client_id="test") as servers:
        with pytest.raises(StillBehind, match=r"is 1,5\d\d events behind generation 1 still"):
            await verify(servers.pool, registered("catalogue"), 2)


async def test_two_who_rebuild_at_once(read_side: ReadSide) -> None:
    """Both build the same generation, and both hear that it is the active one."""
    await read_side.log.append_traffic(Traffic(1), 40)
    await read_side.run_to_the_end("delivery")
    ends = await asyncio.gather(*(rebuild(read_side.addresses, "delivery") for _ in range(2)))
    assert [each.generation for each in ends] == [2, 2]
    assert await statuses(read_side) == {1: "previous", 2: "active"}
