"""A consumer whose records cost a third: aiokafka makes an object of eleven fields of each, through four calls.

All else is aiokafka's: groups, fetches, positions, errors. Only what a fetch has brought is unpacked here, when it is
put where `getmany` looks for it. That place is no public interface: a consumer does not start where it is not found as
expected, and `tests/projections/test_lean_fetch.py` holds it against the ordinary consumer.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from typing import Any, NamedTuple

from aiokafka import TopicPartition
from aiokafka.consumer.fetcher import FetchResult, PartitionRecords
from aiokafka.errors import CorruptRecordException
from aiokafka.record.memory_records import MemoryRecords

from projections.kafka_consumer import KafkaConsumer

PROBE = TopicPartition("probe", 0)
PROBE_OFFSET = 7
ALL = "read_uncommitted"
"""aiokafka's isolation level by default."""


class FetchedRecord(NamedTuple):
    """What is used of a record; a `batch.Record`."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    timestamp: int
    """When Kafka took it, in Unix milliseconds."""


class LeanConsumer(KafkaConsumer):
    """Gives `FetchedRecord`s, those of transactions under way as well, as an ordinary one does by default."""

    async def start(self) -> None:
        """Raises NotAsExpected where the library is another one inside."""
        _probe()
        if self._isolation_level != ALL or self._key_deserializer or self._value_deserializer:
            raise NotAsExpected("neither an isolation level nor deserializers are supported")
        await super().start()
        fetcher = self._fetcher
        held = getattr(fetcher, "_records", None)
        if not isinstance(held, OrderedDict):
            raise NotAsExpected(f"aiokafka keeps what it has fetched in {held!r}")
        fetcher._records = _Fetched()  # noqa: SLF001 - as above
        for partition, result in held.items():
            fetcher._records[partition] = result  # noqa: SLF001 - as above


class NotAsExpected(RuntimeError):
    """Another release of aiokafka, or an option that is not supported."""


def _probe() -> None:
    """Raises NotAsExpected if what a fetch brings cannot be unpacked."""
    try:
        packed = PartitionRecords(PROBE, MemoryRecords(b""), [], PROBE_OFFSET, None, None, True, 0)
        result = FetchResult(PROBE, assignment=None, partition_records=packed, backoff=0)
        fetched = _Fetched()
        fetched[PROBE] = result
        unpacked = result._partition_records  # noqa: SLF001 - see the module's docstring
        is_empty = not list(unpacked) and unpacked.next_fetch_offset == PROBE_OFFSET
    except (AttributeError, TypeError) as error:
        raise NotAsExpected(f"aiokafka is another one inside: {error}") from error
    if not is_empty:
        raise NotAsExpected("aiokafka unpacks nothing to something")


class _Fetched(OrderedDict[TopicPartition, Any]):
    """By partition what was fetched and not taken yet."""

    def __setitem__(self, partition: TopicPartition, result: Any) -> None:
        if isinstance(result, FetchResult):
            result._partition_records = _Unpacked(result._partition_records)  # noqa: SLF001 - as above
        super().__setitem__(partition, result)


class _Unpacked:
    """Stands in for aiokafka's own unpacking, which has not begun yet."""

    def __init__(self, packed: PartitionRecords) -> None:
        self.next_fetch_offset: int = packed.next_fetch_offset
        self._tp: TopicPartition = packed._tp  # noqa: SLF001 - as above
        self._batches = packed._records  # noqa: SLF001 - as above
        self._records = self._unpack()

    def __iter__(self) -> Iterator[FetchedRecord]:
        return self._records

    def __next__(self) -> FetchedRecord:
        return next(self._records)

    def _unpack(self) -> Iterator[FetchedRecord]:
        (topic, partition), new = self._tp, tuple.__new__
        while self._batches.has_next():
            batch = self._batches.next_batch()
            if not batch.validate_crc():
                raise CorruptRecordException(f"a batch of {topic}/{partition} is not as it was sent")
            if not batch.is_control_batch:
                for record in batch:
                    offset = record.offset
                    # Fetches begin with the batch that holds the offset asked for.
                    if offset >= self.next_fetch_offset:
                        self.next_fetch_offset = offset + 1
                        yield new(FetchedRecord, (topic, partition, offset, record.key, record.value, record.timestamp))
            # Behind its last record, which may have been removed.
            self.next_fetch_offset = batch.next_offset
