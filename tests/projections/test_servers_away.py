"""Servers that are away are waited for, never blamed on an event."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path

import asyncpg
import msgspec
import pytest
from structlog.testing import capture_logs

from domain.errors import Unavailable
from projections.postgres_store import connected
from projections.registry import registered
from projections.run import run_projectors
from projections.servers import Servers
from tests.projections import audit
from tests.projections.conftest import ReadSide, eventually
from tests.projections.traffic import Traffic

NOWHERE = "127.0.0.1:1"


@pytest.mark.parametrize(
    ("away", "complaint"),
    [
        ({"kafka_url": NOWHERE}, "the consumer broke and is replaced"),
        ({"postgres_url": f"postgresql://gavel@{NOWHERE}/gavel"}, "waiting for a server"),
        ({"redis_url": f"redis://{NOWHERE}/0"}, "waiting for a server"),
    ],
)
async def test_a_server_that_is_not_there(read_side: ReadSide, away: dict[str, str], complaint: str) -> None:
    """Projectors start without it, say what they wait for, and can be stopped while they do."""
    await read_side.log.append_traffic(Traffic(1), 5)
    stop = asyncio.Event()
    with capture_logs() as logs:
        running = asyncio.create_task(
            run_projectors(
                msgspec.structs.replace(read_side.addresses, **away), ["delivery", "catalogue_cache", "live"], stop
            )
        )
        await eventually(said(logs, complaint))
        stop.set()
        async with asyncio.timeout(30):
            await running
    assert await read_side.fetch("SELECT FROM dead_letters") == []


def said(logs: Sequence[Mapping[str, object]], complaint: str) -> Callable[[], Awaitable[bool]]:
    async def is_there() -> bool:
        return any(line["event"] == complaint for line in logs)

    return is_there


async def test_a_connection_that_cannot_be_made_is_no_events_fault(
    read_side: ReadSide, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A certificate that is missing where the projector runs is waited for: the client calls it a ValueError."""
    monkeypatch.setenv("HOME", str(tmp_path))
    url = f"postgresql://gavel@{NOWHERE}/gavel?sslmode=verify-full"
    async with Servers(msgspec.structs.replace(read_side.addresses, postgres_url=url), client_id="test") as servers:
        _, store = await registered("delivery").opened(servers, 1)
        with pytest.raises(Unavailable, match="root certificate"):
            await store.apply(None, {})


async def test_a_client_that_has_lost_its_way_is_no_defect_of_ours(read_side: ReadSide) -> None:
    """A connection that is cut between two states of the client is one that was cut."""
    async with Servers(read_side.addresses, client_id="test") as servers:
        with pytest.raises(Unavailable, match="cannot switch"):
            async with connected(servers.pool):
                raise asyncpg.InternalClientError("cannot switch to state 12; another operation (2) is in progress")
        async with connected(servers.pool) as connection:
            assert await connection.fetchval("SELECT 1") == 1


async def test_a_database_that_is_not_migrated_yet(read_side: ReadSide) -> None:
    """Tables that are missing are a server's fault, too: once they are there, everything is counted."""
    await read_side.log.append_traffic(Traffic(2), 20)
    await read_side.fetch("ALTER TABLE projection_offsets RENAME TO not_yet")
    with capture_logs() as logs:
        async with read_side.running("delivery"):
            await eventually(said(logs, "waiting for a server"))
            await read_side.fetch("ALTER TABLE not_yet RENAME TO projection_offsets")
            await read_side.caught_up("delivery")
    assert await audit.delivery_in(read_side) == audit.delivery_of(await audit.logged(read_side))
    assert await read_side.fetch("SELECT FROM dead_letters") == []
