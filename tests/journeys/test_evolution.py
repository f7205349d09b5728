"""`docs/EVOLUTION.md` does what it says: its changes are made in a copy, which then runs on real servers."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.journeys.changed_copy import ChangedCopy, section
from tests.projections.conftest import ReadSide, eventually, read_side
from tests.projections.traffic import Traffic

__all__ = ["read_side"]

DOCUMENT = "docs/EVOLUTION.md"
A_VERSION, A_PROJECTION = "A version more", "A projection more"
LATE_US = 310_250
RETRY = """
import asyncio, sys, msgspec
from projections.dead_letters import DeadLetters
from projections.servers import Addresses
desk = DeadLetters(msgspec.json.decode(sys.argv[1], type=Addresses))
print(asyncio.run(desk.retry_all(sys.argv[2], by="the test")))
"""
RETRIED = "Tried(applied=1, waiting=0, error=None)\n"
CLICKS_OF_THE_DAY = """
import asyncio, sys
from sqlalchemy.ext.asyncio import create_async_engine
from projections.clicks_by_hour import clicks_of_the_day
from projections.connections import sqlalchemy_url
print(asyncio.run(clicks_of_the_day(create_async_engine(sqlalchemy_url(sys.argv[1])))))
"""


@pytest.fixture
def with_a_version(tmp_path: Path) -> ChangedCopy:
    return ChangedCopy(tmp_path / "copy", section(DOCUMENT, A_VERSION))


@pytest.mark.long
def test_a_version_more(with_a_version: ChangedCopy) -> None:
    """With the changes of the document both versions are read, and the corpus finds nothing to complain about."""
    with_a_version.python("-m", "tests.corpus.shapes")
    assert " passed" in with_a_version.python("-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/corpus")
    code = (
        "from pathlib import Path; from domain.codec import decode;"
        "print(*(f'{event.v} {event.latency_us} {event.latency_ms}' for event in map(decode, ("
        "Path(f'tests/corpus/bidder_answered_late.v{v}.json').read_bytes() for v in (1, 2)))), sep=';')"
    )
    assert with_a_version.python("-c", code).strip() == f"2 312500 312.5;2 {LATE_US} {LATE_US / 1000}"


def test_a_version_is_missed(with_a_version: ChangedCopy) -> None:
    """The same change without a new version is refused, and says what would break."""
    events = with_a_version.folder / "domain" / "events.py"
    events.write_text(events.read_text().replace("    v: int = _version(2)\n", ""))
    upcasters = with_a_version.folder / "domain" / "upcasters" / "__init__.py"
    upcasters.write_text(upcasters.read_text().replace('    "bidder_answered_late": bidder_answered_late.CHAIN,\n', ""))
    with pytest.raises(AssertionError, match=r"bidder_answered_late\.v1\.latency_ms: is gone"):
        with_a_version.python("-m", "tests.corpus.shapes")


@pytest.mark.long
async def test_old_and_new_processes(with_a_version: ChangedCopy, read_side: ReadSide) -> None:
    """What an old projector does not understand waits as a dead letter, and is applied once it runs the new code."""
    traffic = Traffic(1)
    payload = (with_a_version.folder / "tests/corpus/bidder_answered_late.v2.json").read_bytes().rstrip()
    late = msgspec.json.decode(payload)
    await read_side.log.append_traffic(traffic, 20)
    await read_side.log.append_bytes(read_side.names.auctions, late["auction_id"], payload)
    await read_side.log.append_traffic(traffic, 20)
    await read_side.run_to_the_end("auction_log", "bidder_health")
    letters = await read_side.fetch("SELECT projection, error FROM dead_letters ORDER BY projection")
    assert [row["projection"] for row in letters] == ["auction_log", "bidder_health"]
    assert all("bidder_answered_late has no version 2" in row["error"] for row in letters)
    lateness = "SELECT latency_ms FROM auction_late_answers WHERE auction_id = $1"
    assert await read_side.fetch(lateness, late["auction_id"]) == []

    async with with_a_version.projecting(read_side.addresses, "auction_log", "bidder_health"):
        for projection in ("auction_log", "bidder_health"):
            addresses = msgspec.json.encode(read_side.addresses).decode()
            assert await asyncio.to_thread(with_a_version.python, "-c", RETRY, addresses, projection) == RETRIED
    assert [row["latency_ms"] for row in await read_side.fetch(lateness, late["auction_id"])] == [LATE_US / 1000]
    counted = "SELECT events FROM bidder_health WHERE bidder_id = $1 AND outcome = 'late'"
    assert [row["events"] for row in await read_side.fetch(counted, late["bidder_id"])] == [1]


async def test_a_projection_more(tmp_path: Path, read_side: ReadSide) -> None:
    """A new read model is one file of less than 60 lines: its first worker builds it, without a migration."""
    copy = ChangedCopy(tmp_path / "copy", section(DOCUMENT, A_PROJECTION))
    assert len(copy.written[0].read_text().splitlines()) < 60
    await read_side.log.append_traffic(Traffic(2), 150)
    logged = [msgspec.json.decode(payload) for payload in await read_side.log.payloads(read_side.names.engagements)]
    clicks = Counter(datetime.fromisoformat(each["at"]).hour for each in logged if is_valid_click(each))
    assert clicks

    async with copy.projecting(read_side.addresses, "clicks_by_hour"):
        await eventually(lambda: is_active(read_side, "clicks_by_hour"))
        expected = [clicks[hour] for hour in range(24)]

        async def agrees() -> bool:
            arguments = ("-c", CLICKS_OF_THE_DAY, read_side.addresses.postgres_url)
            return (await asyncio.to_thread(copy.python, *arguments)).strip() == str(expected)

        await eventually(agrees)
    rows = await read_side.fetch("SELECT hour, clicks FROM clicks_by_hour")
    assert {row["hour"]: row["clicks"] for row in rows} == clicks


def is_valid_click(event: dict[str, Any]) -> bool:
    return event["type"] == "click_recorded" and event["verdict"] == "valid"


async def is_active(read_side: ReadSide, projection: str) -> bool:
    """Whether queries have a generation of it to read."""
    query = "SELECT FROM projections WHERE projection = $1 AND active_generation IS NOT NULL"
    return bool(await read_side.fetch(query, projection))
