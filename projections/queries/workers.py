"""The worker processes that have told of themselves: what each works on, how fast, and how often it failed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import msgspec
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from projections.engine_tables import projection_workers

SILENT_S = 10
"""Who has said nothing for so long is taken for dead, or stands still; a worker reports every two seconds."""


class WorkerShown(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One process and one generation."""

    worker: str
    """Its host, and its number there."""
    generation: int
    partitions: int
    events_per_second: float
    restarts: int
    """Consumers of it that had a successor in this process."""
    reported_at: datetime
    restarted_because: str | None = None
    """Why the last one had."""


class Worker(msgspec.Struct, frozen=True):
    """With what nobody is told by itself."""

    projection: str
    is_alive: bool
    partitions: frozenset[str]
    """Each as topic, slash and number."""
    shown: WorkerShown


async def known_workers(connection: AsyncConnection) -> Sequence[Worker]:
    """By projection and name; of two that claim a partition, who has said so last stands last.

    The last words of the dead are among them as long as they are kept.
    """
    at = projection_workers.c
    is_alive = at.reported_at > text(f"now() - interval '{SILENT_S} seconds'")
    query = select(projection_workers, is_alive.label("is_alive")).order_by(
        at.projection, at.generation, at.reported_at, at.worker
    )
    return [
        Worker(
            row.projection,
            row.is_alive,
            frozenset(row.partitions),
            WorkerShown(
                worker=row.worker,
                generation=row.generation,
                partitions=len(row.partitions),
                events_per_second=row.events_per_second,
                restarts=row.restarts,
                restarted_because=row.restarted_because,
                reported_at=row.reported_at,
            ),
        )
        for row in await connection.execute(query)
    ]
