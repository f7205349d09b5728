"""The proof of the audit: a client's records are read in the log again, and each has to be in one batch of the audit.

Of each batch the number of its records and their digest are computed anew. Who has the log and the audit can do so
without any key: nothing is opened.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from hashlib import sha1, sha256

import msgspec

from domain.codec import Decoder
from domain.errors import CorruptEvent
from domain.events import FeedLoadReceived
from projections.batch import Record
from projections.feed_audit import TOPICS
from projections.log_reading import ends_of, partition_of, reading, until
from projections.postgres_store import connected
from projections.servers import Addresses, Servers

ROWS = """
SELECT first_offset, last_offset, digest, adds + overwrites + updates + deletes + stale + rejected + marks AS counted
FROM feed_audit WHERE client = $1 AND topic = $2 AND partition = $3 ORDER BY first_offset
"""
SKIPPED = """
SELECT DISTINCT "offset" FROM dead_letters WHERE topic = $1 AND partition = $2 AND outcome = 'skipped'
"""
LISTED_MAX = 20
CLIENT_ID = "gavel-feeds-audit"

Told = Callable[[int, int], None]
"""Is told how far the log was read, and how far it reaches."""


class TopicProof(msgspec.Struct, frozen=True, kw_only=True):
    """Of what one topic has of the client."""

    topic: str
    partition: int
    logged: int
    """Records and marks in the log, when it was read."""
    sent: int
    """Records of loads, as their senders' uploads counted them at their end."""
    batches: int
    """Those that agree with the log."""
    missing: int
    """In the log, and in no batch: not applied yet, or lost."""
    wrong: int
    """Batches that do not agree with the log."""
    beyond: int
    """Batches of which the log has only a part any more, so that nobody can tell."""
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


async def prove(addresses: Addresses, client: str, told: Told = lambda _read, _end: None) -> list[TopicProof]:
    """Reads the client's partition of both topics to where they end now. Raises LogUnavailable, Unavailable."""
    async with Servers(addresses, client_id=CLIENT_ID) as servers:
        return [await _prove(servers, addresses.kafka_url, client, topic, told) for topic in TOPICS]


async def _prove(servers: Servers, kafka_url: str, client: str, topic: str, told: Told) -> TopicProof:
    name = f"{servers.names.namespace}.feeds.{topic}"
    ends = await ends_of(kafka_url, name, client_id=CLIENT_ID)
    tp = partition_of(client.encode(), name, ends)
    # Before the log, which goes on: what a batch has must be there.
    async with connected(servers.pool) as connection:
        rows = [_Row(*row) for row in await connection.fetch(ROWS, client, topic, tp.partition)]
        skipped = {row["offset"] for row in await connection.fetch(SKIPPED, name, tp.partition)}
    comparison = _Comparison(rows, ends[tp].low, skipped)
    async with reading(kafka_url, {tp: ends[tp].low}, client_id=CLIENT_ID) as consumer:
        async for records in until(consumer, {tp: ends[tp]}):
            for record in records:
                if record.key == client.encode():
                    comparison.read(record)
            told(records[-1].offset + 1 if records else ends[tp].low, ends[tp].high)
    return comparison.outcome(topic, tp.partition)


class _Comparison:
    """Goes along the log and the batches side by side."""

    def __init__(self, rows: Sequence[_Row], low: int, skipped: Collection[int]) -> None:
        self._rows = [row for row in rows if row.first_offset >= low]
        self._beyond = len(rows) - len(self._rows)
        # A batch that has begun before the log does: its end says nothing.
        self._from = max((row.last_offset + 1 for row in rows if row.first_offset < low), default=low)
        self._skipped = skipped
        self._received = Decoder((FeedLoadReceived,))
        self._at = 0
        self._of_row: list[tuple[int, bytes]] = []
        self._logged = self._sent = self._agreeing = self._missing = self._wrong = 0
        self._examples: list[str] = []

    def read(self, record: Record) -> None:
        self._logged += 1
        self._sent += self._sent_of(record)
        if record.offset < self._from:
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
            sent=self._sent,
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

    def _sent_of(self, record: Record) -> int:
        try:
            event = self._received.decode(record.value or b"")
        except CorruptEvent:
            return 0
        return 0 if event is None else event.records

    def _tell(self, example: str) -> None:
        if len(self._examples) < LISTED_MAX:
            self._examples.append(example)


def _agrees(row: _Row, read: Sequence[tuple[int, bytes]]) -> bool:
    return row.counted == len(read) and row.digest == _digest(read)


def _digest(read: Sequence[tuple[int, bytes]]) -> str:
    return sha1(b"".join(digest for _, digest in read), usedforsecurity=False).hexdigest()
