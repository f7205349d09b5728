"""The generations that are run: how far each is built, how fast, how long it may take still, and what it waits for."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Row, Select, func, select, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from projections.engine_tables import dead_letters, projection_generations, projection_offsets
from projections.generation import RUN, Status, needed_for_this_version, schema_of
from projections.registry import REGISTRY, registered
from projections.verification import TableComparison, Verification

SIZES = text("""
SELECT nspname, sum(pg_total_relation_size(pg_class.oid))::bigint FROM pg_class
JOIN pg_namespace ON pg_namespace.oid = relnamespace WHERE relkind = 'r' AND nspname = ANY(:schemas) GROUP BY nspname
""")
"""Bytes on disk by schema."""


class ComparisonShown(msgspec.Struct, frozen=True, kw_only=True):
    """The last comparison with the generation that was the active one then."""

    at: datetime
    active: int
    is_equal: bool | None
    """Null where nothing was compared."""
    comparable: bool
    summary: str
    tables: tuple[TableComparison, ...]


class GenerationProgress(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    generation: int
    status: Status
    done: int
    """Events replayed, of `total`: the log as it stood when the generation was begun."""
    total: int
    begun_at: datetime
    dead_letters: int
    """Open ones."""
    disk_bytes: int
    of_this_version: bool
    """Whether its tables are those of the code that tells this; other code has to run it."""
    swaps_itself: bool
    """It becomes the active one once it is built and equal."""
    verifying: bool
    """Somebody has asked for a comparison, which is not made yet."""
    built_at: datetime | None = None
    activated_at: datetime | None = None
    """When queries read it first, or last again."""
    events_per_second: float | None = None
    """While it is built, over all that work on it, since it was begun."""
    seconds_left: float | None = None
    """While it is built, if it goes on as fast."""
    reason: str | None = None
    """Why it has stopped."""
    waits: str | None = None
    """Why what is to become of it has not: it is not the active one yet, or not compared."""
    verification: ComparisonShown | None = None


async def generations_by_projection(connection: AsyncConnection) -> Mapping[str, tuple[GenerationProgress, ...]]:
    """Those of read models that are building, ready, active or kept to be swapped back, the oldest first."""
    rows = (await connection.execute(_progress())).all()
    schemas = {schema_of(row.projection, row.generation) for row in rows}
    sizes = dict[str, int](iter(await connection.execute(SIZES, {"schemas": sorted(schemas)})))
    letters = await open_letters(connection)
    layouts = {each.name: each.layout for each in REGISTRY}
    found: dict[str, tuple[GenerationProgress, ...]] = {}
    for row in rows:
        key = (row.projection, row.generation)
        is_ours = row.layout == layouts.get(row.projection)
        shown = _shown(row, letters.get(key, 0), sizes.get(schema_of(*key), 0), of_this_version=is_ours)
        found[row.projection] = (*found.get(row.projection, ()), shown)
    return {name: _with_what_is_needed(name, generations) for name, generations in found.items()}


async def open_letters(connection: AsyncConnection) -> Mapping[tuple[str, int], int]:
    """How many dead letters of each generation are open; one that has none is not there."""
    letter = dead_letters.c
    query = (
        select(letter.projection, letter.generation, func.count())
        .where(letter.outcome.is_(None))
        .group_by(letter.projection, letter.generation)
    )
    return {(name, number): count for name, number, count in await connection.execute(query)}


async def is_of_this_version(db: AsyncEngine, projection: str) -> bool:
    """Whether the active generation has the tables that this version of the code reads."""
    query = select(projection_generations.c.layout).where(
        projection_generations.c.projection == projection, projection_generations.c.status == "active"
    )
    async with db.connect() as connection:
        layout = (await connection.execute(query)).scalar()
    return layout is None or layout == registered(projection).layout


def _with_what_is_needed(
    projection: str, generations: tuple[GenerationProgress, ...]
) -> tuple[GenerationProgress, ...]:
    """The newest one of this version says it, where queries read none of them and none will be read by itself."""
    ours = [each for each in generations if each.of_this_version]
    needed = needed_for_this_version(projection, [(each.generation, each.status, each.swaps_itself) for each in ours])
    if needed is None:
        return generations
    return tuple(
        msgspec.structs.replace(each, waits=each.waits or needed) if each is ours[-1] else each for each in generations
    )


def _progress() -> Select[Any]:
    built, at = projection_generations.c, projection_offsets.c
    reached = func.least(at.next_offset, at.rebuild_until) - at.first_offset
    wanted = at.rebuild_until > 0
    return (
        select(
            projection_generations,
            func.extract("epoch", func.now() - built.begun_at).label("seconds"),
            func.coalesce(func.sum(reached).filter(wanted), 0).label("done"),
            func.coalesce(func.sum(at.rebuild_until - at.first_offset).filter(wanted), 0).label("total"),
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


def _shown(row: Row[Any], letters: int, size: int, *, of_this_version: bool) -> GenerationProgress:
    done, total, seconds = int(row.done), int(row.total), float(row.seconds)
    is_built = row.status == "building" and row.stopped_reason is None
    rate = done / seconds if is_built and done and seconds else None
    return GenerationProgress(
        generation=row.generation,
        status=row.status,
        done=done,
        total=total,
        begun_at=row.begun_at,
        dead_letters=letters,
        disk_bytes=size,
        of_this_version=of_this_version,
        swaps_itself=row.swaps_itself and row.status in {"building", "ready"},
        verifying=row.verify_asked_at is not None,
        built_at=row.built_at,
        activated_at=row.activated_at,
        events_per_second=rate,
        seconds_left=None if rate is None else (total - done) / rate,
        reason=row.stopped_reason,
        waits=row.waits_because,
        verification=_comparison(row),
    )


def _comparison(row: Row[Any]) -> ComparisonShown | None:
    if row.verification is None:
        return None
    found = msgspec.convert(row.verification, Verification)
    return ComparisonShown(
        at=row.verified_at,
        active=found.active,
        is_equal=found.is_equal,
        comparable=found.comparable,
        summary=found.summary,
        tables=found.tables,
    )
