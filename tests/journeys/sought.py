"""Where a value could stand in the clear: what the log, Redis and the files of an installation hold, as bytes."""

from __future__ import annotations

import base64
import re
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from redis.asyncio import Redis

from domain import codec
from domain.feed_events import FeedRecord, FeedRecordLoaded
from domain.feeds.sealing import BULK, CHANGES, FeedTopic, Unreadable
from domain.names import Names
from gavel.feed_keys import FeedKeyFile
from gavel.settings import load
from tests.journeys.running_exchange import RunningExchange
from tests.projections.traffic import Log

REGION = re.compile(r"(?P<start>[0-9a-f]+)-(?P<end>[0-9a-f]+) rw")
"""Of memory that its process writes, in /proc/PID/maps."""
PIECE_BYTES = 16 * 1024 * 1024


def forms(secret: bytes) -> list[bytes]:
    """As it is, and the letters of base64 that are its alone, for each of the three places where it may begin."""
    letters = []
    for before in range(3):
        encoded = base64.b64encode(b"\0" * before + secret)
        letters.append(encoded[-(-8 * before // 6) : 8 * (before + len(secret)) // 6])
    return [secret, *letters]


def has(content: bytes, secret: bytes) -> bool:
    return any(form in content for form in forms(secret))


def files_with(secret: bytes, folder: Path) -> list[Path]:
    """Of all that the installation has written: Redis's files, Postgres's tables, logs. Kafka's are compressed."""
    return [path for path in folder.rglob("*") if path.is_file() and has(path.read_bytes(), secret)]


class Logged(NamedTuple):
    """The topics of feeds as a consumer gets them, so unpacked."""

    payloads: list[bytes]
    sealed: list[tuple[FeedTopic, FeedRecord]]

    def opened_by(self, data: Path, client: str) -> list[bytes]:
        """Values of the client's that any data key opens which the installation in the folder has."""
        file = FeedKeyFile.of(load(data=data))
        keys = [file.opened(owner, each) for owner, wrapped in file.read().clients.items() for each in wrapped]
        opened = []
        for topic, record in self.sealed:
            for key in keys if record.client == client else ():
                try:
                    opened.append(key.unseal(record.ciphertext, client=client, topic=topic, key=record.key))
                except Unreadable:
                    continue
        return opened


async def logged(exchange: RunningExchange) -> Logged:
    names = Names()
    async with Log(exchange.installation["kafka_url"], names) as log:
        payloads = [each for topic in (names.feeds_bulk, names.feeds_changes) for each in await log.payloads(topic)]
    return Logged(payloads, [*_sealed(payloads)])


def _sealed(payloads: Iterable[bytes]) -> Iterable[tuple[FeedTopic, FeedRecord]]:
    for event in map(codec.decode, payloads):
        if isinstance(event, FeedRecord):
            yield BULK if isinstance(event, FeedRecordLoaded) else CHANGES, event


async def redis_has(exchange: RunningExchange, secret: bytes) -> bool:
    """In a dump, which it writes for this, uncompressed; and where Linux lets it be read, in all of its memory."""
    redis = Redis.from_url(exchange.installation["redis_url"])
    try:
        await redis.config_set("rdbcompression", "no")
        await redis.save()
        folder, name = [(await redis.config_get(each))[each] for each in ("dir", "dbfilename")]
        dump = _dump(folder, name)
        process = (await redis.info("server"))["process_id"]
    finally:
        await redis.aclose()
    assert b"gavel" in dump, "the dump is of this Redis"
    return has(dump, secret) or (sys.platform == "linux" and _memory_has(process, secret))


def _dump(folder: str, name: str) -> bytes:
    return Path(folder, name).read_bytes()


def _memory_has(process: int, secret: bytes) -> bool:
    regions = [REGION.match(line) for line in Path(f"/proc/{process}/maps").read_text().splitlines()]
    with Path(f"/proc/{process}/mem").open("rb", buffering=0) as memory:
        for region in filter(None, regions):
            start, end = int(region["start"], 16), int(region["end"], 16)
            for at in range(start, end, PIECE_BYTES):
                memory.seek(at)
                # A little more, for what stands on the border of two pieces.
                if has(memory.read(min(end - at, PIECE_BYTES + 4 * len(secret))), secret):
                    return True
    return False
