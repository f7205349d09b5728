"""What a projection is to the engine: which events it takes, and the rows that follow from them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeVar

from domain.events import Event

Rows_co = TypeVar("Rows_co", covariant=True)


class Projection(Protocol[Rows_co]):
    """The part that needs no server; how rows are written is the store's side of it."""

    @property
    def name(self) -> str: ...

    @property
    def events(self) -> tuple[type[Event], ...]:
        """All others of its topics are passed over without being decoded."""
        ...

    def fold(self, events: Sequence[Event]) -> Rows_co:
        """The rows of a batch, at most one per key, sorted by key. Pure.

        Whatever it raises is taken for the fault of an event, which is then found and parked.
        """
        ...
