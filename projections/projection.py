"""What a projection is to the engine: which events it takes, and the rows that follow from them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol, TypeVar, runtime_checkable

from domain.events import Event
from domain.excerpt import Excerpt
from projections.batch import Record

Rows = TypeVar("Rows")


class Projection(Protocol[Rows]):
    """The part that needs no server; how rows are written is the store's side of it."""

    @property
    def name(self) -> str: ...

    @property
    def events(self) -> tuple[type[Event], ...]:
        """All others of its topics are passed over without being decoded."""
        ...

    def fold(self, events: Sequence[Any], onto: Rows | None = None) -> Rows:
        """What follows from some events of a batch, added to what followed from those before. No I/O, no clock.

        A batch is folded in pieces, so that its events are gone before they leave the processor's cache.
        Whatever this raises is taken for the fault of an event, which is then found and parked.
        """
        ...


@runtime_checkable
class ByPartition(Protocol[Rows]):
    """A projection to which it matters what stands before what in a partition of its one topic."""

    def fold_partition(self, partition: int, events: Sequence[tuple[int, Any]], onto: Rows | None = None) -> Rows:
        """As `Projection.fold`, which then is never called; each event comes with its offset, in the order of the log.

        A dead letter that is tried again comes alone, behind what stands behind it in the log.
        """
        ...


class Placed(NamedTuple):
    """An event, and the record that it stands in."""

    record: Record
    event: Event


@runtime_checkable
class ByPlace(Protocol[Rows]):
    """A projection to which the place of an event in the log says what it stands over: so none waits for another."""

    def fold_placed(self, placed: Sequence[Placed], onto: Rows | None = None) -> Rows:
        """As `Projection.fold`, which then is never called."""
        ...


@runtime_checkable
class ByExcerpt(Protocol):
    """A projection that reads a few fields of its events, and so has less to decode."""

    @property
    def excerpts(self) -> tuple[type[Excerpt], ...]:
        """Of all its `events`: these are what it folds."""
        ...
