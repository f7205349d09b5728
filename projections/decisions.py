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
