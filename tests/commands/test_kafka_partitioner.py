"""Keys go where every Kafka client puts them."""

from __future__ import annotations

import pytest
from aiokafka.partitioner import DefaultPartitioner
from hypothesis import given
from hypothesis import strategies as st

from commands.kafka_partitioner import _murmur2, partition_of


@pytest.mark.parametrize(
    ("key", "signed_hash"),
    [
        ("21", -973932308),
        ("foobar", -790332482),
        ("a-little-bit-long-string", -985981536),
        ("a-little-bit-longer-string", -1486304829),
        ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
        ("abc", 479470107),
    ],
)
def test_the_hash_is_kafkas(key: str, signed_hash: int) -> None:
    """The examples of Apache Kafka's own test (UtilsTest.testMurmur2)."""
    assert _murmur2(key.encode()) == signed_hash & 0xFFFFFFFF


@given(key=st.binary(max_size=80), partitions=st.integers(1, 50))
def test_the_partition_is_the_one_of_other_clients(key: bytes, partitions: int) -> None:
    """Any key has the partition that aiokafka's `send` gives it."""
    every = list(range(partitions))
    assert partition_of(key, partitions) == DefaultPartitioner()(key, every, every)
