"""A batch: records off the log, how far they move each partition, and what is to be parked of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple, Protocol

import msgspec
from aiokafka import TopicPartition


class Record(Protocol):
    """What is needed of a Kafka record."""

    @property
    def topic(self) -> str: ...
    @property
    def partition(self) -> int: ...
    @property
    def offset(self) -> int: ...
    @property
    def key(self) -> bytes | None: ...
    @property
    def value(self) -> bytes | None: ...


class Move(NamedTuple):
    """A partition's next offset before and after a batch."""

    expected: int
    next: int
    logged_ms: int = 0
    """When Kafka took the last record of it, in Unix milliseconds; 0 where that is not known."""


class DeadLetter(NamedTuple):
    """A record that could not be applied, and why."""

    record: Record
    error: str


class Batch(msgspec.Struct, frozen=True):
    """Records of several partitions, those of one in the order of the log."""

    records: Mapping[TopicPartition, Sequence[Record]]
    moves: Mapping[TopicPartition, Move]
    """May move a partition without a record: the log has gaps where transactions ended."""

    def __len__(self) -> int:
        return sum(map(len, self.records.values()))

    def __iter__(self) -> Iterator[Record]:
        for records in self.records.values():
            yield from records

    def halves(self) -> tuple[Batch, Batch]:
        """Two batches that, applied one after the other, do what this one does. It holds two records or more."""
        middle = len(self) // 2
        first: dict[TopicPartition, Sequence[Record]] = {}
        second: dict[TopicPartition, Sequence[Record]] = {}
        for partition, records in self.records.items():
            part = max(0, min(len(records), middle - sum(map(len, first.values()))))
            first[partition], second[partition] = records[:part], records[part:]
        met = {partition: self._next_after(partition, first[partition]) for partition in self.records}
        return (
            Batch(_present(first), {p: Move(self.moves[p].expected, met[p]) for p in _present(first)}),
            Batch(
                _present(second),
                {
                    p: Move(met.get(p, move.expected), move.next, move.logged_ms)
                    for p, move in self.moves.items()
                    if met.get(p) != move.next
                },
            ),
        )

    def _next_after(self, partition: TopicPartition, records: Sequence[Record]) -> int:
        if len(records) == len(self.records[partition]):
            return self.moves[partition].next
        return records[-1].offset + 1 if records else self.moves[partition].expected


def _present(records: Mapping[TopicPartition, Sequence[Record]]) -> dict[TopicPartition, Sequence[Record]]:
    return {partition: some for partition, some in records.items() if some}
