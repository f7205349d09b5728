"""What operators decide about projections, kept with who and when, in the transaction in which it takes effect."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

import msgspec

if TYPE_CHECKING:
    from projections.postgres_store import Connection

Command = Literal["rebuild", "verify", "swap", "retire", "cancel", "pause", "resume"]
SOMEBODY = "the command line"
"""Who decides there, where it is not said."""

RECORD = """
INSERT INTO projection_decisions (projection, generation, command, options, decided_by) VALUES ($1, $2, $3, $4, $5)
"""
LAST_BUILD = """
SELECT coalesce(max(generation), 1) FROM projection_decisions WHERE projection = $1 AND command = 'rebuild'
"""


async def record(
    connection: Connection,
    command: Command,
    projection: str,
    generation: int | None,
    *,
    by: str,
    options: Mapping[str, Any] | None = None,
) -> None:
    """Keeps a decision; `options` are what was stated beside it."""
    told = msgspec.json.encode(options).decode() if options else None
    await connection.execute(RECORD, projection, generation, command, told, by)


async def last_build(connection: Connection, projection: str) -> int:
    """The number of the last build in place that somebody has decided; 1, the very first one's, where nobody has."""
    return int(await connection.fetchval(LAST_BUILD, projection))
