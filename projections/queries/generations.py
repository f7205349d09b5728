"""The generations that are run: how far each is built, how fast, and how long it may take still."""

from __future__ import annotations

from datetime import datetime

import msgspec
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncEngine

from projections.engine_tables import projection_generations, projection_offsets
from projections.generation import RUN, Status
from projections.registry import registered


class GenerationProgress(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    generation: int
    status: Status
    done: int
    """Events replayed, of `total`: the log as it stood when the generation was begun."""
    total: int
    begun_at: datetime
    events_per_second: float | None = None
    """While it is built, over all that work on it, since it was begun."""
    seconds_left: float | None = None
    """While it is built, if it goes on as fast."""
    reason: str | None = None
    """Why it has stopped."""


async def generations_by_projection(db: AsyncEngine) -> dict[str, tuple[GenerationProgress, ...]]:
    """Those of read models that are building, ready, active or kept to be swapped back, the oldest first."""
    built, at = projection_generations.c, projection_offsets.c
    reached = func.least(at.next_offset, at.rebuild_until) - at.first_offset
    query = (
        select(
            built.projection,
            built.generation,
            built.status,
            built.begun_at,
            built.stopped_reason,
            func.extract("epoch", func.now() - built.begun_at).label("seconds"),
            func.coalesce(func.sum(reached).filter(at.rebuild_until > 0), 0).label("done"),
            func.coalesce(func.sum(at.rebuild_until - at.first_offset).filter(at.rebuild_until > 0), 0).label("total"),
        )
        .join_from(
            projection_generations,
            projection_offsets,
            (built.projection == at.projection) & (built.generation == at.generation),
            isouter=True,
        )
        .where(built.status.in_(RUN), built.layout != "")
        .group_by(built.projection, built.generation)
        .order_by(built.projection, built.generation)
    )
    async with db.connect() as connection:
        rows = (await connection.execute(query)).all()
    found: dict[str, tuple[GenerationProgress, ...]] = {}
    for name, number, status, begun_at, reason, seconds, done, total in rows:
        rate = int(done) / float(seconds) if status == "building" and done and seconds else None
        progress = GenerationProgress(
            generation=number,
            status=status,
            done=int(done),
            total=int(total),
            begun_at=begun_at,
            events_per_second=rate,
            seconds_left=None if rate is None else (int(total) - int(done)) / rate,
            reason=reason,
        )
        found[name] = (*found.get(name, ()), progress)
    return found


async def is_of_this_version(db: AsyncEngine, projection: str) -> bool:
    """Whether the active generation has the tables that this version of the code reads."""
    query = select(projection_generations.c.layout).where(
        projection_generations.c.projection == projection, projection_generations.c.status == "active"
    )
    async with db.connect() as connection:
        layout = (await connection.execute(query)).scalar()
    return layout is None or layout == registered(projection).layout
