"""Turns: of all processes one at a time works on a projection, and nobody waits for one that is suspended.

A turn is an advisory lock, which Postgres takes back when the connection ends. Whoever has it says a word on that
connection every few seconds: one that has been silent for long is suspended, or its network is gone, and whoever wants
the turn ends its connection. A turn saves work and nothing else: what is done in it harms nobody if two do it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from projections.postgres_store import Connection

WORD_S = 5.0
SILENT_S = 30.0

TAKE = "SELECT pg_try_advisory_lock($1, hashtext($2))"
END = "SELECT pg_advisory_unlock($1, hashtext($2))"
END_SILENT = """
SELECT pg_terminate_backend(pid) FROM pg_locks JOIN pg_stat_activity USING (pid)
WHERE locktype = 'advisory' AND objsubid = 2 AND granted
  AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND classid = $1::int::oid AND objid = hashtext($2)::oid
  AND state <> 'active' AND state_change < now() - make_interval(secs => $3)
"""
"""The connection of whoever has the turn, where nothing was asked on it for so long."""


async def taken(connection: Connection, kind: int, projection: str) -> bool:
    """Whether the turn is this connection's now. If not, the next try may have it."""
    if await connection.fetchval(TAKE, kind, projection):
        return True
    await connection.execute(END_SILENT, kind, projection, SILENT_S)
    return False


async def end(connection: Connection, kind: int, projection: str) -> None:
    """The next one may have it."""
    await connection.execute(END, kind, projection)


@asynccontextmanager
async def kept(connection: Connection) -> AsyncIterator[None]:
    """While inside, whose turn it is says its word on this connection, which is used for nothing else."""
    done = asyncio.Event()
    speaking = asyncio.create_task(_speak(connection, done))
    try:
        yield
    finally:
        # A word that is being said is not cut off: the connection could not be used at once for anything else.
        done.set()
        # One whose turn was taken away ends what it does all the same.
        await asyncio.gather(speaking, return_exceptions=True)


async def _speak(connection: Connection, done: asyncio.Event) -> None:
    while not done.is_set():
        with suppress(TimeoutError):
            async with asyncio.timeout(WORD_S):
                await done.wait()
                return
        await connection.execute("SELECT 1", timeout=SILENT_S)
