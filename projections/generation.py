"""A generation: one build of a projection, with tables, offsets and dead letters of its own.

    building ──► ready ──► active ◄──► previous ──► retired
        └──────────┴──► cancelled

Every generation that is building, ready, active or previous is run by the projection's workers, so that each of them
can become the active one, which queries read. A projection that is built in place has generation 1 alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Literal

import msgspec

Status = Literal["building", "ready", "active", "previous", "retired", "cancelled"]
RUN: tuple[Status, ...] = ("building", "ready", "active", "previous")
"""What workers keep up to date."""
COMPARABLE: tuple[Status, ...] = ("ready", "previous")
"""What can be compared with the active one, and become it."""
NUMBER_MAX = 2**31 - 1

COLUMNS = (
    "projection, generation, status, layout, swaps_itself, accepts_dead_letters, begun_at, built_at, activated_at, "
    "stopped_reason, accepts_differences, waits_because, verify_asked_at, removed_at"
)
"""Of `projection_generations`, in the order of a Generation's fields."""


class Generation(msgspec.Struct, frozen=True):
    """What is known of one build."""

    projection: str
    number: int
    status: Status
    layout: str
    """Fingerprint of its tables; empty where a projection is built in place."""
    swaps_itself: bool
    accepts_dead_letters: bool
    begun_at: datetime
    built_at: datetime | None
    """When it had reached the log's end as it stood when it was begun."""
    activated_at: datetime | None
    stopped_reason: str | None
    accepts_differences: bool
    waits_because: str | None
    """Why what workers are to do with it is not done yet, or not done at all."""
    verify_asked_at: datetime | None
    """Since when workers are to compare it with the active one."""
    removed_at: datetime | None
    """When the tables and the consumer group of one that has ended were gone."""

    @property
    def schema(self) -> str:
        """Where its tables stand in Postgres."""
        return schema_of(self.projection, self.number)


def needed_for_this_version(projection: str, ours: Sequence[tuple[int, Status, bool]]) -> str | None:
    """What an operator is to do so that queries can read one of the generations that a version of the code has built.

    `ours` are their numbers, statuses, and whether they swap themselves. None where one is read, or will be by itself.
    """
    if not ours or any(status in {"active", "building"} or (status == "ready" and swaps) for _, status, swaps in ours):
        return None
    kept = [number for number, status, _ in ours if status in COMPARABLE]
    if kept:
        what = f"generation {kept[-1]} is of this version, and not read"
        return f"{what}: `gavel projections swap {projection} {kept[-1]}`"
    number, status, _ = ours[-1]
    return f"generation {number} of this version is {status}: `gavel projections rebuild {projection}` builds it anew"


def schema_of(projection: str, generation: int) -> str:
    """The schema of a generation's tables."""
    return f"{projection}_g{generation}"
