"""Where a projection's rows and offsets live together, so that one cannot be had without the other.

StoreFault
├── FenceLost        somebody else has moved the offset, or stopped the projection: drop the batch, read again
└── EventRefused     the rows of these events cannot be stored, however often it is tried
Everything else that a store raises is the fault of a server and passes.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Final, Protocol, TypeVar

import msgspec
from aiokafka import TopicPartition

from projections.batch import DeadLetter, Letter, Move

PARTITION_FETCH_MAX_BYTES: Final = 512 * 1024
"""Of what one answer of a broker has of one partition, compressed."""

Rows_contra = TypeVar("Rows_contra", contravariant=True)


class StoreFault(Exception):
    """Nothing was applied."""


class FenceLost(StoreFault):
    """The offset is no longer the one that the batch starts from."""


class EventRefused(StoreFault):
    """What follows from the events cannot be stored."""


class Checkpoint(msgspec.Struct, frozen=True):
    """How far one partition has come."""

    next_offset: int
    rebuild_until: int = 0
    """Records below it are replayed: they were read before, by an earlier build."""
    hold_at: int | None = None
    """For a while nothing from it on is applied."""
    first_offset: int = 0
    """Where its build began."""


class State(msgspec.Struct, frozen=True):
    """What is known of a generation as a whole."""

    generation: int = 1
    stopped_reason: str | None = None
    rests: bool = False
    """It is paused, or nobody wants it any more: nothing is applied."""
    accepts_dead_letters: bool = False
    """An event that cannot be applied is parked in a replay as well."""


class Store(Protocol[Rows_contra]):
    """All methods raise the server's own errors while it is away."""

    batch_max_records: int
    """So many are applied at once at most."""
    partition_fetch_max_bytes: int
    """So much one answer of a broker has of one partition, compressed: a batch, where only one has a backlog."""
    letters_wait: bool
    """Whether events wait behind an open dead letter of their key; False where each is applied by its place."""

    async def state(self) -> State: ...

    async def checkpoints(self) -> dict[TopicPartition, Checkpoint]:
        """Of all partitions that were ever begun."""
        ...

    async def check(self) -> None:
        """Forgets what is older than a retry of dead letters; keys whose letters were skipped wait no longer."""
        ...

    async def begin(self, starts: Mapping[TopicPartition, int]) -> None:
        """Makes a checkpoint for each partition that has none, for all of these or for none."""
        ...

    async def partitions_read(self, topics: Collection[str]) -> Mapping[str, int]:
        """How many partitions of each topic are read, by any projection that is known of; none of a new topic."""
        ...

    async def parked_keys(self, partitions: Collection[TopicPartition]) -> set[tuple[TopicPartition, bytes]]:
        """Keys of the open dead letters: events that follow them have to wait behind them."""
        ...

    async def skipped(self, partitions: Collection[TopicPartition]) -> set[tuple[TopicPartition, int]]:
        """Offsets of events that somebody has decided to have no effect."""
        ...

    async def apply(
        self, rows: Rows_contra | None, moves: Mapping[TopicPartition, Move], parked: Sequence[DeadLetter] = ()
    ) -> None:
        """Rows, dead letters and offsets, all of it or nothing.

        Raises FenceLost or EventRefused. After any other error it may have happened: read the checkpoints.
        """
        ...

    async def unpark(self, rows: Rows_contra | None, letters: Sequence[Letter], *, by: str) -> None:
        """Rows of the first open dead letters of a key, or of any where none waits, and the end of these.

        All of it or nothing. Raises FenceLost where they are not these any more, and EventRefused. After any other
        error as `apply`.
        """
        ...

    async def release(self, partition: TopicPartition, key: bytes) -> None:
        """Nothing has to wait behind this key, of which no dead letter is open any more. Raises FenceLost."""
        ...

    async def stop(self, reason: str, at: Mapping[TopicPartition, int | None], state: State) -> None:
        """Nothing is applied any more, by nobody, until it is begun anew or told to go on.

        `at` and `state` are what it was decided by: the next offsets of partitions, None where there is no checkpoint.
        Raises FenceLost where they are others by now.
        """
        ...


def in_order(moves: Mapping[TopicPartition, Move]) -> Iterable[tuple[TopicPartition, Move]]:
    """One order for all writers, so that none waits for another in a circle."""
    return sorted(moves.items())
