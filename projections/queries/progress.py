"""How far each projection has come: status, position against the log's end, and waiting for a position."""

from __future__ import annotations

from typing import Literal, Protocol

import msgspec
from redis.asyncio import Redis
from sqlalchemy.ext.asyncio import AsyncEngine

from domain.names import Names
from projections.watermarks import Watermarks

Status = Literal["running", "paused", "stopped", "rebuilding"]


class LogPosition(Protocol):
    """Where an event stands in the log."""

    @property
    def topic(self) -> str: ...
    @property
    def partition(self) -> int: ...
    @property
    def offset(self) -> int: ...


class PartitionProgress(msgspec.Struct, frozen=True, kw_only=True):
    topic: str
    partition: int
    next_offset: int
    """The first offset that is not applied yet."""
    high_watermark: int | None
    """Where the log ends; null when Kafka does not say."""


class ProjectionStatus(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    name: str
    generation: int
    status: Status
    lag: int | None
    """Events logged and not applied, over all partitions; null when Kafka does not say."""
    partitions: tuple[PartitionProgress, ...]
    reason: str | None = None
    """Why it is stopped."""


async def projection_status(
    db: AsyncEngine, watermarks: Watermarks, *, names: Names, redis: Redis
) -> list[ProjectionStatus]:
    """Every projection that keeps an offset, in the registry's order."""
    raise NotImplementedError


async def lag(db: AsyncEngine, watermarks: Watermarks, projection: str, *, names: Names) -> int | None:
    """How many logged events a projection in Postgres has not applied; None when Kafka does not say."""
    raise NotImplementedError


async def wait_for(db: AsyncEngine, projection: str, position: LogPosition, timeout: float) -> bool:
    """Waits until a projection in Postgres has applied the event at `position`; False after `timeout` seconds."""
    raise NotImplementedError
