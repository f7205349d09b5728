"""Real Kafka, Postgres and Redis: what is in them stays, and what dies comes back."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import asyncpg
import psutil
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from redis.asyncio import Redis

from domain.names import Names
from gavel.embedded import EmbeddedServers, Urls
from gavel.embedded.folder import DataFolder
from gavel.embedded.orphans import running
from gavel.embedded.redis import choose_redis
from gavel.errors import CannotRun
from gavel.settings import Settings
from gavel.topics import describe_topics, ensure_topics
from tests.embedded.conftest import read_record

NAMES = Names("kept")


async def write_everywhere(urls: Urls) -> None:
    """One record, one row, one key."""
    assert urls.kafka_url is not None
    await ensure_topics(urls.kafka_url, NAMES, 1)
    async with AIOKafkaProducer(bootstrap_servers=urls.kafka_url, acks="all") as producer:
        await producer.send_and_wait(NAMES.auctions, b"kept")
    connection = await asyncpg.connect(urls.postgres_url)
    await connection.execute("CREATE TABLE kept AS SELECT 'kept' AS word")
    await connection.close()
    async with Redis.from_url(urls.redis_url or "") as redis:
        await redis.set("kept", "kept")


async def read_everywhere(urls: Urls) -> tuple[bytes, str, bytes]:
    consumer = AIOKafkaConsumer(bootstrap_servers=urls.kafka_url, auto_offset_reset="earliest")
    await consumer.start()
    consumer.assign([TopicPartition(NAMES.auctions, 0)])
    record = await asyncio.wait_for(consumer.getone(), 20)
    await consumer.stop()
    connection = await asyncpg.connect(urls.postgres_url)
    row = await connection.fetchval("SELECT word FROM kept")
    await connection.close()
    async with Redis.from_url(urls.redis_url or "") as redis:
        return record.value, row, await redis.get("kept")


async def test_a_second_start_goes_on_with_the_same_data_at_the_same_addresses(data: Path) -> None:
    """What was written before an orderly stop is there after it, whatever a start that was cut short has left."""
    async with EmbeddedServers(Settings(data=data)) as first:
        await write_everywhere(first)
    leave_half_done(data)
    async with EmbeddedServers(Settings(data=data)) as second:
        assert second == first
        assert await read_everywhere(second) == (b"kept", "kept", b"kept")


def leave_half_done(data: Path) -> None:
    """Half-formatted logs, half-made clusters and stale process ids, beside what is whole."""
    record = read_record(data)
    place = Path(record.postgres_data) if record.postgres_data else data / "postgres" / "data"
    (place / "postmaster.pid").write_text(f"{os.getpid()}\n{place}\n")
    for half in (data / "kafka-1" / "log.new", place.with_name("data.new")):
        half.mkdir()
        (half / "meta.properties").write_text("half")
    (data / "servers.json.new").write_text('{"half')


async def test_a_killed_server_comes_back_with_its_data(data: Path) -> None:
    """SIGKILL of each server: it is started again at the same address and has lost nothing.

    That their first start was cut short, before they had any data, is healed.
    """
    for half in (data / "kafka-1" / "log.new", data / "postgres" / "data.new"):
        half.mkdir(parents=True)
        (half / "PG_VERSION").write_text("")
    lines: asyncio.Queue[str] = asyncio.Queue()
    servers = EmbeddedServers(Settings(data=data), announce=lines.put_nowait)
    async with servers as urls:
        await write_everywhere(urls)
        killed = servers.pids
        for pid in killed.values():
            os.kill(pid, signal.SIGKILL)
        missing = {f"{name} is back" for name in killed}
        async with asyncio.timeout(60):
            while missing:
                missing.discard(await lines.get())
        assert not set(killed.values()) & set(servers.pids.values())
        assert await read_everywhere(urls) == (b"kept", "kept", b"kept")


async def test_a_server_can_be_away_for_a_while(data: Path) -> None:
    """One that is taken down stays away until it is brought back, at the same address."""
    servers = EmbeddedServers(Settings(data=data), only={"redis"})
    async with servers as urls:
        await servers.take_down("redis")
        assert servers.pids == {}
        await servers.bring_back("redis")
        async with Redis.from_url(urls.redis_url or "") as redis:
            assert await redis.ping()


@pytest.mark.long
async def test_three_brokers_bear_the_loss_of_one(data: Path) -> None:
    """With one of three brokers away, a record is still acknowledged by all replicas that are in sync."""
    servers = EmbeddedServers(Settings(data=data, brokers=3), only={"kafka"})
    async with servers as urls:
        assert urls.kafka_url is not None
        await ensure_topics(urls.kafka_url, NAMES, 3)
        assert {topic.replicas for topic in (await describe_topics(urls.kafka_url, NAMES)).values()} == {3}
        await servers.take_down("kafka-2")
        async with AIOKafkaProducer(bootstrap_servers=urls.kafka_url, acks="all", enable_idempotence=True) as producer:
            for partition in range(3):
                written = producer.send_and_wait(NAMES.auctions, b"kept", partition=partition)
                assert (await asyncio.wait_for(written, 60)).offset == 0


async def test_the_number_of_brokers_cannot_change(data: Path) -> None:
    """A log spread over one broker is not started as if it were on three."""
    async with EmbeddedServers(Settings(data=data), only={"kafka"}):
        pass
    with pytest.raises(CannotRun, match="start it with --brokers 1"):
        async with EmbeddedServers(Settings(data=data, brokers=3), only={"kafka"}):
            pass


async def test_two_brokers_are_refused(data: Path) -> None:
    """Of two brokers none may fail: that is no installation."""
    with pytest.raises(CannotRun, match="1, or 3 of which one may fail"):
        async with EmbeddedServers(Settings(data=data, brokers=2), only={"kafka"}):
            pass


async def test_a_server_named_by_a_setting_is_used(data: Path) -> None:
    """What a URL names is not started, and is told apart from what is."""
    lines: list[str] = []
    settings = Settings(data=data, redis_url="redis://elsewhere:6379/0")
    servers = EmbeddedServers(settings, only={"redis"}, announce=lines.append)
    async with servers as urls:
        assert urls == Urls(None, None, "redis://elsewhere:6379/0")
        assert servers.pids == {}
    assert lines == ["redis: the one that GAVEL_REDIS_URL names"]


async def test_a_busy_port_is_replaced(data: Path) -> None:
    """A kept port that somebody else has taken in the meantime is given up for another."""
    async with EmbeddedServers(Settings(data=data), only={"redis"}) as first:
        pass
    port = read_record(data).ports["redis"]
    taken = await asyncio.start_server(lambda _reader, writer: writer.close(), "127.0.0.1", port)
    async with taken, EmbeddedServers(Settings(data=data), only={"redis"}) as second:
        assert second.redis_url != first.redis_url
        async with Redis.from_url(second.redis_url or "") as redis:
            assert await redis.ping()


async def test_a_server_that_outlived_its_run_is_ended(data: Path) -> None:
    """An orphan of an earlier run is recognised and ended; a process that merely has its id is not."""
    orphan = await asyncio.create_subprocess_exec(
        choose_redis().executable, "--port", "0", "--save", "", stdout=asyncio.subprocess.DEVNULL
    )
    folder = DataFolder(data)
    folder.open()
    process = running(orphan.pid)
    assert process is not None
    mistaken = running(os.getpid())
    assert mistaken is not None
    folder.record.running = {"redis": process, "postgres": type(process)(mistaken.pid, "long ago")}
    folder.save()
    folder.close()
    lines: list[str] = []
    async with EmbeddedServers(Settings(data=data), only={"redis"}, announce=lines.append):
        await asyncio.wait_for(orphan.wait(), 5)
    assert lines[0] == "redis was still running from an earlier start; it was ended"


async def test_one_folder_belongs_to_one_run(data: Path) -> None:
    """A second start on data in use is refused and names who uses them."""
    async with EmbeddedServers(Settings(data=data), only={"redis"}):
        with pytest.raises(CannotRun, match=rf"in use by another Gavel \(process {os.getpid()}\)"):
            async with EmbeddedServers(Settings(data=data), only={"redis"}):
                pass


async def test_a_folder_that_cannot_be_written_is_one_clear_line() -> None:
    """Without permission nothing is started, and the message says what to do."""
    with pytest.raises(CannotRun, match=r"cannot keep data in /sys/gavel: no permission .* choose another folder"):
        async with EmbeddedServers(Settings(data=Path("/sys/gavel"))):
            pass


async def test_a_server_that_cannot_start_leaves_the_others_not_running(data: Path) -> None:
    """Where one server fails, its last words are told and the others are stopped."""
    (data / "redis").mkdir(parents=True)
    (data / "redis" / "appendonlydir").write_text("not a folder")
    before = set(psutil.Process().children(recursive=True))
    with pytest.raises(CannotRun, match=r"redis ended with exit code 1 while starting: .*its log: .*redis.log"):
        async with EmbeddedServers(Settings(data=data), only={"redis", "postgres"}):
            pass
    assert set(psutil.Process().children(recursive=True)) <= before
