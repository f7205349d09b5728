"""Records to a projection's rows, with whatever that raises told as the fault of an event."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeVar

from domain.codec import Decoder
from projections.batch import Record
from projections.decoding import decoded, placed
from projections.projection import ByPartition, ByPlace, Projection

Rows = TypeVar("Rows")


class CannotApply(Exception):
    """The projection has no rows for these events."""


def folded(
    projection: Projection[Rows], decoder: Decoder[Any], records: Sequence[Record], onto: Rows | None
) -> Rows | None:
    """What follows from some records of a batch, added to `onto`, which followed from those before.

    They are of one partition where the projection is one `ByPartition`. Raises CorruptEvent and CannotApply.
    """
    events, fold = _to_fold(projection, decoder, records)
    if not events:
        return onto
    try:
        return fold(events, onto)
    except Exception as error:
        raise CannotApply(f"{type(error).__name__}: {error}") from error


def _to_fold(
    projection: Projection[Rows], decoder: Decoder[Any], records: Sequence[Record]
) -> tuple[Sequence[Any], Callable[[Sequence[Any], Rows | None], Rows]]:
    """The events with what the projection wants to know of them, and what folds them."""
    if isinstance(projection, ByPlace):
        return placed(decoder, records), projection.fold_placed
    if isinstance(projection, ByPartition):
        events = [(record.offset, event) for record, event in placed(decoder, records)]
        return events, partial(projection.fold_partition, records[0].partition)
    return decoded(decoder, records), projection.fold


def told(error: Exception) -> str:
    """An error as a text that a database takes: it may quote the event, and an event may hold what no text can."""
    return str(error).replace("\0", "\ufffd").encode(errors="replace").decode()
