"""Asks a running API whether it is ready."""

from __future__ import annotations

import asyncio

from gavel.settings import Settings

WILDCARDS = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - nothing is bound to it here
"""Addresses that mean all of a machine's, and where they are reached from itself."""
ANSWER_SECONDS = 5.0


async def status_of_api(settings: Settings) -> int | None:
    """The HTTP status of /readyz; None if nobody answers there."""
    host = WILDCARDS.get(settings.host, settings.host)
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            reader, writer = await asyncio.open_connection(host, settings.port)
            try:
                writer.write(b"GET /readyz HTTP/1.1\r\nHost: gavel\r\nConnection: close\r\n\r\n")
                return int((await reader.readline()).split()[1])
            finally:
                writer.close()
    except (OSError, TimeoutError, IndexError, ValueError):
        return None
