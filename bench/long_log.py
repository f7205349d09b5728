"""A log of millions of events, filled as fast as a broker takes them: generated auctions, each several times over.

What costs time is making an event, so every auction is made once and logged under COPIES ids: a copy differs in
twelve bits of its ids, those behind a UUIDv7's version, and in nothing else. Copies stand a window of the log apart.
"""

from __future__ import annotations

import asyncio
import re
from collections import deque
from collections.abc import Callable, Iterator
from itertools import islice
from typing import NamedTuple

from aiokafka import AIOKafkaProducer
from aiokafka.producer.message_accumulator import BatchBuilder

from bench.generated_events import History, histories
from commands.kafka_partitioner import partition_of
from commands.kafka_producer import new_producer
from domain.codec import encode
from domain.kafka_url import parse_kafka_url
from domain.names import Names

EVENTS_PER_AUCTION = 5.7
"""A little less than `generated_events` makes of one, so that there are enough."""
COPIES = 10
WINDOW_AUCTIONS = 1_000
"""Made, and logged COPIES times, before the next are: a quarter of an hour of the day that the log covers."""
ON_THEIR_WAY_MAX = 24
"""Batches, of all partitions together."""
COPY_BITS = re.compile(rb"(?<=-)7[0-9a-f]{3}(?=-[89ab])")
COPY = b"7%03x"
FIRST_COPY = b"-" + COPY % 0 + b"-"


class Auction(NamedTuple):
    """What one auction leaves in the log, encoded; its ids are those of the first copy."""

    key: bytes
    auctions: tuple[bytes, ...]
    """Events of the topic of that name, and below of the other one."""
    engagements: tuple[bytes, ...]


async def fill(
    kafka_url: str, names: Names, partitions: int, events: int, on_progress: Callable[[int], None] = lambda _: None
) -> int:
    """Logs at least so many events of auctions and engagements; how many it were.

    `on_progress` is called with the number so far after each batch. Order within an auction is kept.
    """
    producer = new_producer(parse_kafka_url(kafka_url), "bench-fill")
    await producer.start()
    try:
        filling = _Filling(producer, partitions, on_progress)
        for auction in _auctions(round(events / EVENTS_PER_AUCTION)):
            for topic, payloads in ((names.auctions, auction.auctions), (names.engagements, auction.engagements)):
                for payload in payloads:
                    await filling.add(topic, auction.key, payload)
        await filling.finish()
    finally:
        await producer.stop()
    return filling.logged


class _Filling:
    """Batches of each partition, sent when they are full."""

    def __init__(self, producer: AIOKafkaProducer, partitions: int, on_progress: Callable[[int], None]) -> None:
        self.logged = 0
        self._producer = producer
        self._partitions = partitions
        self._on_progress = on_progress
        self._open: dict[tuple[str, int], BatchBuilder] = {}
        self._on_their_way: deque[asyncio.Future[object]] = deque()

    async def add(self, topic: str, key: bytes, payload: bytes) -> None:
        self.logged += 1
        place = topic, partition_of(key, self._partitions)
        batch = self._open.get(place)
        if batch is not None and batch.append(key=key, value=payload, timestamp=None) is not None:
            return
        if batch is not None:
            await self._send(place, batch)
        self._open[place] = self._producer.create_batch()
        self._open[place].append(key=key, value=payload, timestamp=None)

    async def finish(self) -> None:
        """Everything is acknowledged by all replicas then."""
        for place, batch in self._open.items():
            await self._send(place, batch)
        await asyncio.gather(*self._on_their_way)

    async def _send(self, place: tuple[str, int], batch: BatchBuilder) -> None:
        batch.close()
        self._on_their_way.append(await self._producer.send_batch(batch, place[0], partition=place[1]))
        while len(self._on_their_way) > ON_THEIR_WAY_MAX:
            await self._on_their_way.popleft()
        self._on_progress(self.logged)


def _auctions(count: int) -> Iterator[Auction]:
    """In the order of their time, but for copies, which come after all others of their window."""
    made = histories(-(-count // COPIES))
    left = count
    while window := [_encoded(each) for each in islice(made, WINDOW_AUCTIONS)]:
        for number in range(COPIES):
            for auction in window[:left]:
                yield _copy(auction, number)
            left -= min(left, len(window))


def _encoded(history: History) -> Auction:
    return Auction(
        _as_first_copy(history.auction_id.encode()),
        tuple(_as_first_copy(encode(event)) for event in history.auction),
        tuple(_as_first_copy(encode(event)) for event in history.engagements),
    )


def _as_first_copy(payload: bytes) -> bytes:
    return COPY_BITS.sub(COPY % 0, payload)


def _copy(auction: Auction, number: int) -> Auction:
    bits = b"-" + COPY % number + b"-"
    return Auction(
        auction.key.replace(FIRST_COPY, bits),
        tuple(payload.replace(FIRST_COPY, bits) for payload in auction.auctions),
        tuple(payload.replace(FIRST_COPY, bits) for payload in auction.engagements),
    )
