"""What is told where queries find the tables of another version of the code."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from projections.engine_tables import projection_generations
from projections.generation import needed_for_this_version
from projections.registry import registered


async def what_this_version_waits_for(db: AsyncEngine, projection: str) -> str:
    """That its own generation is being built, or what an operator is to do about it."""
    built = projection_generations.c
    query = (
        select(built.generation, built.status, built.swaps_itself)
        .where(built.projection == projection, built.layout == registered(projection).layout)
        .order_by(built.generation)
    )
    async with db.connect() as connection:
        ours = [(number, status, swaps) for number, status, swaps in await connection.execute(query)]
    if needed := needed_for_this_version(projection, ours):
        return f"{projection} is read as another version of Gavel has built it; {needed}"
    return f"{projection} is being built for this version of Gavel: try again soon"
