"""A process that stands still ends itself, and its successor goes on."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import msgspec

from gavel.gavel_process import GavelProcess
from gavel.settings import Settings
from gavel.supervisor import Supervisor
from tests.projections.conftest import ReadSide, read_side
from tests.projections.traffic import Traffic

__all__ = ["read_side"]
STILL_S = 5.0
AT_WORK = """
import asyncio
from gavel.standstill import ending_at_a_standstill
asyncio.run(ending_at_a_standstill(asyncio.sleep(3), still_s=2))
"""


async def test_a_handler_that_computes_for_ever(read_side: ReadSide, tmp_path: Path) -> None:
    """The worker says where it stood still and ends; it is started again, and nothing is missing."""
    said: list[str] = []
    addresses = msgspec.json.encode(read_side.addresses).decode()
    arguments = ["tests.gavel.blocked_worker", str(tmp_path / "was blocked"), addresses, str(STILL_S)]
    worker = GavelProcess("projector", arguments, Settings(data=tmp_path), write=said.append)
    supervisor = Supervisor(said.append)
    await read_side.log.append([Traffic(1).bidder("b-1", "One")])
    await supervisor.start(worker)
    try:
        await read_side.caught_up("catalogue")
    finally:
        await supervisor.stop()
    assert [row["id"] for row in await read_side.fetch("SELECT id FROM entities")] == ["b-1"]
    assert any("projector ended with exit code 1; it is started again" in line for line in said), said
    assert any("in blocked_once" in line for line in said), said


async def test_a_process_that_goes_on() -> None:
    """Work that takes longer than a standstill may, and lets the loop go on, comes to its end."""
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", AT_WORK)
    assert await process.wait() == 0
