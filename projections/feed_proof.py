"""The proof of the audit: a client's records are read in the log again, and each has to be in one batch of the audit.

Of each batch the number of its records and their digest are computed anew. Who has the log and the audit can do so
without any key: nothing is opened.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from hashlib import sha1, sha256
from typing import NamedTuple

import msgspec
from aiokafka import TopicPartition

from domain.codec import Decoder
from domain.errors import CorruptEvent
from domain.feed_events import FeedLoadReceived
from domain.names import Names
from projections.batch import Record
from projections.feed_audit import TOPICS
from projections.log_reading import ends_of, partition_of, reading, until
from projections.postgres_store import connected
from projections.redis_store import answering, offset_field
from projections.servers import Addresses, Servers
from projections.watermarks import Ends

ROWS = """
SELECT first_offset, last_offset, digest, adds + overwrites + updates + deletes + stale + rejected + marks AS counted
FROM feed_audit WHERE client = $1 AND topic = $2 AND partition = $3 ORDER BY first_offset
"""
SKIPPED = """
SELECT DISTINCT "offset" FROM dead_letters WHERE topic = $1 AND partition = $2 AND outcome = 'skipped'
"""
LISTED_MAX = 20
LOOK_S = 0.2
CLIENT_ID = "gavel-feeds-audit"

Told = Callable[[int, int], None]
"""Is told how much of the log was read, and how much there is, of one topic after the other."""


class TopicProof(msgspec.Struct, frozen=True, kw_only=True):
    """Of what one topic has of the client."""

    topic: str
    partition: int
    logged: int
    """Records and marks in the log, when it was read."""
    sent: int
    """Records of loads, as their senders' uploads counted them at their end; of one that was sent again, once."""
    batches: int
    """Those that agree with the log."""
    missing: int
    """In the log, and in no batch: not applied yet, or lost."""
    wrong: int
    """Batches that do not agree with the log."""
    beyond: int
    """Batches of which the log has only a part any more, or that were made meanwhile: nobody can tell."""
    examples: tuple[str, ...]
    """Of what is missing or wrong."""

    @property
    def agrees(self) -> bool:
        return not self.missing and not self.wrong


class _Row(msgspec.Struct, frozen=True):
    first_offset: int
    last_offset: int
    digest: str
    counted: int


async def prove(
    addresses: Addresses, client: str, *, wait_s: float = 0.0, told: Told = lambda _read, _end: None
) -> list[TopicProof]:
    """Reads the client's partition of both topics to where they end now, once that is applied or `wait_s` is over.

    Raises LogUnavailable, Unavailable.
    """
    async with Servers(addresses, client_id=CLIENT_ID) as servers:
        places = [await _place(addresses.kafka_url, servers.names, client, topic) for topic in TOPICS]
        until_s = time.monotonic() + wait_s
        # What is waited for happens in other processes.
        while not await _is_written(servers, client, places) and time.monotonic() < until_s:  # noqa: ASYNC110
            await asyncio.sleep(LOOK_S)
        return [await _prove(servers, addresses.kafka_url, client, place, told) for place in places]


class _Place(NamedTuple):
    """Where a topic has the client."""

    topic: str
    tp: TopicPartition
    ends: Ends


async def _place(kafka_url: str, names: Names, client: str, topic: str) -> _Place:
    name = f"{names.namespace}.feeds.{topic}"
    ends = await ends_of(kafka_url, name, client_id=CLIENT_ID)
    tp = partition_of(client.encode(), name, ends)
    return _Place(topic, tp, ends[tp])


async def _is_written(servers: Servers, client: str, places: Sequence[_Place]) -> bool:
    """Whether everything up to the ends is applied, and the audit of it has left Redis."""
    async with answering():
        for topic, tp, ends in places:
            next_offset = await servers.redis.hget(servers.names.feed_progress(topic)[0], offset_field(tp))
            if int(next_offset or ends.low) < ends.high:
                return False
        return not await servers.redis.exists(servers.names.feed_audit(client))


async def _prove(servers: Servers, kafka_url: str, client: str, place: _Place, told: Told) -> TopicProof:
    topic, tp, ends = place
    async with connected(servers.pool) as connection:
        rows = [_Row(*row) for row in await connection.fetch(ROWS, client, topic, tp.partition)]
        skipped = {row["offset"] for row in await connection.fetch(SKIPPED, tp.topic, tp.partition)}
    comparison = _Comparison(rows, ends, skipped)
    if ends.low < ends.high:
        async with reading(kafka_url, {tp: ends.low}, client_id=CLIENT_ID) as consumer:
            async for records in until(consumer, {tp: ends}):
                for record in records:
                    if record.key == client.encode():
                        comparison.read(record)
                if records:
                    told(records[-1].offset + 1 - ends.low, ends.high - ends.low)
    return comparison.outcome(topic, tp.partition)


class _Comparison:
    """Goes along the log and the batches side by side."""

    def __init__(self, rows: Sequence[_Row], ends: Ends, skipped: Collection[int]) -> None:
        self._rows = [row for row in rows if row.first_offset >= ends.low and row.last_offset < ends.high]
        self._beyond = len(rows) - len(self._rows)
        # Of a batch that begins before the log does, or ends after what is read of it, there is only a part.
        self._from = max((row.last_offset + 1 for row in rows if row.first_offset < ends.low), default=ends.low)
        self._to = min((row.first_offset for row in rows if row.last_offset >= ends.high), default=ends.high)
        self._skipped = skipped
        self._received = Decoder((FeedLoadReceived,))
        self._at = 0
        self._of_row: list[tuple[int, bytes]] = []
        self._sent_of_run: dict[str, int] = {}
        self._logged = self._agreeing = self._missing = self._wrong = 0
        self._examples: list[str] = []

    def read(self, record: Record) -> None:
        self._logged += 1
        self._read_end(record)
        if not self._from <= record.offset < self._to:
            return
        while self._at < len(self._rows) and self._rows[self._at].last_offset < record.offset:
            self._end_row()
        if self._at < len(self._rows) and self._rows[self._at].first_offset <= record.offset:
            self._of_row.append((record.offset, sha256(record.value or b"").digest()))
        elif record.offset not in self._skipped:
            self._missing += 1
            self._tell(f"the record at {record.offset} is in no batch")

    def outcome(self, topic: str, partition: int) -> TopicProof:
        while self._at < len(self._rows):
            self._end_row()
        return TopicProof(
            topic=topic,
            partition=partition,
            logged=self._logged,
            sent=sum(self._sent_of_run.values()),
            batches=self._agreeing,
            missing=self._missing,
            wrong=self._wrong,
            beyond=self._beyond,
            examples=tuple(self._examples),
        )

    def _end_row(self) -> None:
        row, read = self._rows[self._at], self._of_row
        self._at, self._of_row = self._at + 1, []
        # What somebody has decided to skip is in batches from before, and not in those that were made since.
        if _agrees(row, read) or _agrees(row, [each for each in read if each[0] not in self._skipped]):
            self._agreeing += 1
            return
        self._wrong += 1
        self._tell(
            f"the batch from {row.first_offset} to {row.last_offset} has {row.counted} records of the digest "
            f"{row.digest}, and the log {len(read)} of {_digest(read)}"
        )

    def _read_end(self, record: Record) -> None:
        """Of an upload. Whose answer was lost is sent again, and may end a second time: the first end counts."""
        with suppress(CorruptEvent):
            event = self._received.decode(record.value or b"")
            if event is not None:
                self._sent_of_run.setdefault(event.run_id, event.records)

    def _tell(self, example: str) -> None:
        if len(self._examples) < LISTED_MAX:
            self._examples.append(example)


def _agrees(row: _Row, read: Sequence[tuple[int, bytes]]) -> bool:
    return row.counted == len(read) and row.digest == _digest(read)


def _digest(read: Sequence[tuple[int, bytes]]) -> str:
    return sha1(b"".join(digest for _, digest in read), usedforsecurity=False).hexdigest()
