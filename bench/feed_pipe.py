"""The limit of any way into Redis: commands made beforehand, written as `redis-cli --pipe` writes them.

Run as `python -m bench.feed_pipe PLAN`; prints a `Filled` as JSON. The same records as the consumer's, under the same
keys and with the same bytes as values, are set one by one, without waiting for answers, which are counted meanwhile. It
is what `redis-cli --pipe` does; not every installation of Redis brings that along.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import urlsplit

import uvloop
from redis.asyncio import Redis

from bench.feed_replay import FeedPlan, Filled, Meter, print_filled
from bench.installation import Installation, Servers
from domain.codec import Decoder
from domain.feed_events import FeedRecordLoaded
from projections.collector import calm_the_collector
from projections.feed_value import packed

WRITTEN_AT_ONCE_BYTES = 64 * 1024
READ_AT_ONCE_BYTES = 64 * 1024
STAMP = bytes(8)
OK = b"+OK\r\n"


async def pipe(plan: FeedPlan) -> Filled:
    """Sets every record that the topic has."""
    address = urlsplit(plan.redis_url)
    commands, records = await _commands(plan)
    async with Redis.from_url(plan.redis_url) as redis:
        reader, writer = await asyncio.open_connection(address.hostname, address.port)
        await _selected(reader, writer, address.path.lstrip("/"))
        meter = await Meter.of_emptied(redis)
        await meter.start()
        writing = asyncio.create_task(_write(writer, commands))
        left = records * len(OK)
        while left:
            answers = await reader.read(READ_AT_ONCE_BYTES)
            if not answers or b"-" in answers:
                raise ConnectionError(f"Redis did not take it: {answers[:200]!r}")
            left -= len(answers)
        await writing
        filled = await meter.filled(records, records)
        writer.close()
        await writer.wait_closed()
        return filled


async def _commands(plan: FeedPlan) -> tuple[list[bytes], int]:
    """As pieces to write, and how many there are in them."""
    decode = Decoder((FeedRecordLoaded,)).decode
    pieces: list[bytes] = []
    piece = bytearray()
    records = 0
    installation = Installation(Servers(plan.kafka_url, plan.postgres_url, plan.redis_url), Path())
    async for value in installation.values(plan.names.feeds_bulk):
        event = decode(value)
        if isinstance(event, FeedRecordLoaded):
            records += 1
            piece += _set(f"{plan.namespace}:{event.key}".encode(), STAMP + packed(event))
            if len(piece) >= WRITTEN_AT_ONCE_BYTES:
                pieces.append(bytes(piece))
                piece.clear()
    return [*pieces, bytes(piece)], records


def _set(key: bytes, value: bytes) -> bytes:
    return b"*3\r\n$3\r\nSET\r\n$%d\r\n%b\r\n$%d\r\n%b\r\n" % (len(key), key, len(value), value)


async def _selected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, database: str) -> None:
    writer.write(f"SELECT {database}\r\n".encode())
    assert await reader.readexactly(len(OK)) == OK


async def _write(writer: asyncio.StreamWriter, commands: Iterable[bytes]) -> None:
    for piece in commands:
        writer.write(piece)
        await writer.drain()


if __name__ == "__main__":
    calm_the_collector()
    print_filled(uvloop.run(pipe(FeedPlan.from_command_line())))
