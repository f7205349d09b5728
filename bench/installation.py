"""An installation of the bench: real servers in a folder of their own, and Gavel's processes on them."""

from __future__ import annotations

import secrets
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import NamedTuple

import msgspec
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from bench.process import Process, free_port, python, running
from domain.tokens import TokenKey
from gavel.embedded import EmbeddedServers
from gavel.settings import Settings
from projections.watermarks import Watermarks

PARTITIONS = 6
WARM_UP_WRITES = 600


class Servers(NamedTuple):
    """Where the servers are."""

    kafka_url: str
    postgres_url: str
    redis_url: str


class Installation:
    """Servers with nothing on them, and what it takes to run Gavel and its peers there."""

    def __init__(self, urls: Servers, folder: Path) -> None:
        self.urls = urls
        self._folder = folder
        self._token_secret = secrets.token_bytes(32)

    def __repr__(self) -> str:
        return f"Installation({self.urls})"

    @property
    def token_key(self) -> TokenKey:
        """What Gavel signs its tokens with."""
        return TokenKey.of(self._token_secret)

    def settings(self, *, port: int, namespace: str) -> Settings:
        """Settings of Gavel's processes."""
        return Settings(
            data=self._folder,
            port=port,
            namespace=namespace,
            partitions=PARTITIONS,
            kafka_url=self.urls.kafka_url,
            postgres_url=self.urls.postgres_url,
            redis_url=self.urls.redis_url,
            admin_key=secrets.token_urlsafe(32),
            token_key=self._token_secret.hex(),
            pseudonym_key=secrets.token_hex(32),
            allow_private_endpoints=True,
        )

    async def warm_up(self) -> None:
        """Lets the broker meet its first writes: a Java process just started takes seconds over them."""
        await self.create_topic("warm-up")
        async with AIOKafkaProducer(bootstrap_servers=self.urls.kafka_url, acks="all") as producer:
            for number in range(WARM_UP_WRITES):
                await producer.send_and_wait("warm-up", b"warm-up", partition=number % PARTITIONS)

    async def create_topic(self, name: str) -> None:
        """A topic for a peer, partitioned like Gavel's."""
        admin = AIOKafkaAdminClient(bootstrap_servers=self.urls.kafka_url)
        await admin.start()
        try:
            await admin.create_topics([NewTopic(name, PARTITIONS, 1)])
        finally:
            await admin.close()

    async def logged(self, topic: str) -> int:
        """How many records the topic has been given so far."""
        async with Watermarks(self.urls.kafka_url, client_id="bench") as watermarks:
            return sum((await watermarks.high([topic])).values())

    async def values(self, topic: str) -> AsyncIterator[bytes]:
        """What every record of the topic says, as far as it reached when this was asked."""
        left = await self.logged(topic)
        partitions = [TopicPartition(topic, number) for number in range(PARTITIONS)]
        async with AIOKafkaConsumer(bootstrap_servers=self.urls.kafka_url, auto_offset_reset="earliest") as consumer:
            consumer.assign(partitions)
            while left > 0:
                for records in (await consumer.getmany(timeout_ms=1_000)).values():
                    left -= len(records)
                    for record in records:
                        yield record.value


@contextmanager
def fresh_folder() -> Iterator[Path]:
    """A folder for an installation's data, removed in the end."""
    with tempfile.TemporaryDirectory(prefix="gavel-bench-") as name:
        folder = Path(name)
        folder.chmod(0o755)  # the user that Postgres runs as has to reach its own folder in there
        yield folder


@asynccontextmanager
async def installed() -> AsyncIterator[Installation]:
    """Fresh servers, gone with their data when the block ends."""
    with fresh_folder() as folder:
        async with EmbeddedServers(Settings(data=folder)) as urls:
            assert all(urls), "all three were asked for"
            installation = Installation(Servers(*map(str, urls)), folder)
            await installation.warm_up()
            yield installation


@asynccontextmanager
async def peer_api(
    installation: Installation, module: str, *, topic: str, bidders: Sequence[str] = ()
) -> AsyncIterator[tuple[Process, int]]:
    """A Litestar peer with a topic of its own; yields its process and port."""
    environment = {
        "KAFKA": installation.urls.kafka_url,
        "REDIS": installation.urls.redis_url,
        "TOPIC": topic,
        "BIDDERS": ",".join(bidders),
    }
    await installation.create_topic(topic)
    async with peer_server(module, environment) as served:
        yield served


@asynccontextmanager
async def peer_server(module: str, environment: Mapping[str, str]) -> AsyncIterator[tuple[Process, int]]:
    """A Litestar peer on the same server as Gavel: one worker, uvloop. Yields its process and port."""
    port = free_port()
    command = python("-m", "bench.peer_server", module, str(port))
    async with running(module, command, environment=environment) as process:
        await process.listening(port)
        yield process, port


@asynccontextmanager
async def cheap_bidders() -> AsyncIterator[list[str]]:
    """Three bidders in a process of their own; yields their endpoints."""
    async with running("bidders", python("-m", "bench.bidders")) as process:
        ports = msgspec.json.decode(await process.first_line(), type=list[int])
        yield [f"http://127.0.0.1:{port}/bid" for port in ports]
