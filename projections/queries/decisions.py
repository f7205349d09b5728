"""What operators have decided about projections lately: what, who and when."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from projections.decisions import Command
from projections.engine_tables import projection_decisions

TOLD = 5


class Decision(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    command: Command
    by: str
    at: datetime
    generation: int | None = None
    options: dict[str, Any] | None = None
    """What was stated beside it."""


async def decisions_by_projection(connection: AsyncConnection) -> Mapping[str, tuple[Decision, ...]]:
    """The last few of each projection, the newest first."""
    made = projection_decisions.c
    rank = func.row_number().over(partition_by=made.projection, order_by=made.id.desc()).label("rank")
    ranked = select(projection_decisions, rank).subquery()
    query = select(ranked).where(ranked.c.rank <= TOLD).order_by(ranked.c.projection, ranked.c.rank)
    found: dict[str, tuple[Decision, ...]] = {}
    for row in await connection.execute(query):
        decision = Decision(
            command=row.command, by=row.decided_by, at=row.decided_at, generation=row.generation, options=row.options
        )
        found[row.projection] = (*found.get(row.projection, ()), decision)
    return found
