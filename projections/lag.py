"""How far behind the log a projection is."""

from __future__ import annotations

from collections.abc import Mapping

from aiokafka import TopicPartition


def lag_of(next_offsets: Mapping[TopicPartition, int], high: Mapping[TopicPartition, int]) -> int:
    """Records logged and not applied, over all partitions of `high`; one that was never begun counts in full."""
    return sum(max(0, end - next_offsets.get(tp, 0)) for tp, end in high.items())
