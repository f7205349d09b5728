"""Events to a projection's rows, with whatever that raises told as the fault of an event."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from domain.events import Event
from projections.projection import ByPartition, ByPlace, Placed, Projection

Rows = TypeVar("Rows")


class CannotApply(Exception):
    """The projection has no rows for these events."""


def folded(projection: Projection[Rows], partition: int, events: Sequence[Event], onto: Rows | None) -> Rows:
    """What follows from some events of a batch, added to what followed from those before. Raises CannotApply.

    `partition` is that of all of them where the projection is one `ByPartition`.
    """
    try:
        if isinstance(projection, ByPartition):
            rows: Rows = projection.fold_partition(partition, events, onto)
            return rows
        return projection.fold(events, onto)
    except Exception as error:
        raise CannotApply(f"{type(error).__name__}: {error}") from error


def folded_in_place(projection: ByPlace[Rows], placed: Sequence[Placed], onto: Rows | None) -> Rows:
    """As `folded`, of events with their places."""
    try:
        return projection.fold_placed(placed, onto)
    except Exception as error:
        raise CannotApply(f"{type(error).__name__}: {error}") from error


def told(error: Exception) -> str:
    """An error as a text that a database takes: it may quote the event, and an event may hold what no text can."""
    return str(error).replace("\0", "\ufffd").encode(errors="replace").decode()
