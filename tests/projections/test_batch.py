"""A batch can be cut in halves down to single records without losing or moving anything."""

from __future__ import annotations

from typing import NamedTuple

from aiokafka import TopicPartition
from hypothesis import given
from hypothesis import strategies as st

from projections.batch import Batch, Move


class Stored(NamedTuple):
    topic: str
    partition: int
    offset: int
    key: bytes | None = None
    value: bytes | None = None


@st.composite
def batches(draw: st.DrawFn) -> Batch:
    """Partitions with records at any offsets, and moves past them; some move without a record."""
    records, moves = {}, {}
    for partition in range(draw(st.integers(1, 4))):
        tp = TopicPartition("topic", partition)
        offsets = sorted(draw(st.sets(st.integers(0, 50), max_size=6)))
        first = draw(st.integers(0, offsets[0])) if offsets else 0
        last = draw(st.integers(offsets[-1] + 1, 60)) if offsets else draw(st.integers(1, 60))
        moves[tp] = Move(first, last)
        if offsets:
            records[tp] = [Stored("topic", partition, offset) for offset in offsets]
    return Batch(records, moves)


def single(batch: Batch) -> list[Batch]:
    if len(batch) < 2:
        return [batch]
    first, second = batch.halves()
    assert len(first) == len(batch) // 2
    return [*single(first), *single(second)]


@given(batches())
def test_halves_of_halves_do_what_the_whole_does(batch: Batch) -> None:
    """Every record comes once, in order, and the moves of each partition join without a gap."""
    parts = single(batch)
    records = [record for part in parts for record in part]
    assert sorted(records) == sorted(batch)
    for tp, move in batch.moves.items():
        of_tp = [part for part in parts if tp in part.moves]
        at = move.expected
        for part in of_tp:
            assert part.moves[tp].expected == at
            at = part.moves[tp].next
            assert all(part.moves[tp].expected <= each.offset < at for each in part.records.get(tp, ()))
        assert at == move.next
