"""`gavel feeds follow`: a connector's topic becomes changes of a client's records, each of them once."""

from __future__ import annotations

import asyncio
import signal
import sys
import uuid
from collections.abc import AsyncIterator, Iterable
from typing import Any

import msgspec
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from gavel.settings import Settings, environment_of
from tests.api.feed import Feed, fresh_feed
from tests.api.running_api import RunningApi, until
from tests.api.test_catalogue import ask
from tests.gavel.shell import Shell, Told

OF_A_TABLE = ("--key-column", "id", "--until-caught-up")


class Connector:
    """The topic of a table, written as Debezium does, and who follows it."""

    def __init__(self, settings: Settings, feed: Feed) -> None:
        assert settings.kafka_url is not None
        self.settings, self.feed, self.kafka_url = settings, feed, settings.kafka_url
        self.topic = f"shop.public.{uuid.uuid4().hex[:8]}"
        self.group = f"{settings.namespace}.feeds.follow.{feed.client}.{self.topic}"

    async def tell(self, *envelopes: Any, partition: int = 0) -> None:
        """None is a tombstone."""
        producer = AIOKafkaProducer(bootstrap_servers=self.kafka_url)
        await producer.start()
        for each in envelopes:
            value = None if each is None else msgspec.json.encode(each)
            await producer.send_and_wait(self.topic, value, key=b'{"id":0}', partition=partition)
        await producer.stop()

    async def tell_as_one(self, *envelopes: Any, is_kept: bool) -> None:
        """In a transaction, as a connector with `exactly.once.support` does, or one that is taken back."""
        producer = AIOKafkaProducer(bootstrap_servers=self.kafka_url, transactional_id=f"connect-{self.topic}")
        await producer.start()
        await producer.begin_transaction()
        for each in envelopes:
            await producer.send_and_wait(self.topic, msgspec.json.encode(each), key=b'{"id":0}', partition=0)
        await (producer.commit_transaction() if is_kept else producer.abort_transaction())
        await producer.stop()

    async def followed(self, *words: str) -> Told:
        command = ("follow", self.topic, "--client", self.feed.name, *OF_A_TABLE)
        return await Shell("feeds", environment_of(self.settings))(*command, *words)

    async def forget(self, offset: int, partition: int = 0) -> None:
        """The group's place is one of before: as after a crash between the log and the commit."""
        consumer = AIOKafkaConsumer(bootstrap_servers=self.kafka_url, group_id=self.group, enable_auto_commit=False)
        await consumer.start()
        consumer.assign([TopicPartition(self.topic, partition)])
        await consumer.commit({TopicPartition(self.topic, partition): offset})
        await consumer.stop()

    async def members(self) -> int:
        """Of the group, once each of them has its partitions."""
        admin = AIOKafkaAdminClient(bootstrap_servers=self.kafka_url)
        await admin.start()
        (answer,) = await admin.describe_consumer_groups([self.group])
        await admin.close()
        (_, _, state, _, _, members, *_) = answer.groups[0]
        return len(members) if state == "Stable" else 0

    async def stands(self, expected: dict[str, Any]) -> None:
        async def is_so() -> bool:
            return {key: await self.feed.record(key) for key in expected} == expected

        await until(is_so, seconds=30)

    async def totals(self) -> dict[str, int]:
        """Of the audit, once all is in it."""
        code, audit = await Shell("feeds", environment_of(self.settings)).json("audit", self.feed.name)
        assert (code, audit["agrees"]) == (0, True)
        totals: dict[str, int] = audit["totals"]
        return totals


@pytest.fixture
async def connector(empty_api: RunningApi, settings: Settings) -> AsyncIterator[Connector]:
    connector = Connector(settings, await fresh_feed(empty_api))
    admin = AIOKafkaAdminClient(bootstrap_servers=connector.kafka_url)
    await admin.start()
    await admin.create_topics([NewTopic(connector.topic, num_partitions=2, replication_factor=1)])
    yield connector
    await admin.delete_topics([connector.topic])
    await admin.close()


def envelope(op: str, before: Any, after: Any) -> dict[str, Any]:
    return {"before": before, "after": after, "source": {"connector": "postgresql"}, "op": op, "ts_ms": 1}


def rows(ids: Iterable[int], **columns: Any) -> list[dict[str, Any]]:
    return [envelope("c", None, {"id": each, **columns}) for each in ids]


async def test_a_connector_is_followed(connector: Connector) -> None:
    """With its schema or without, tombstones and what is no row: each is applied, or refused and counted."""
    with_schema = {"schema": {"type": "struct"}, "payload": envelope("r", None, {"id": 1, "n": 1})}
    moved = envelope("u", {"id": 1}, {"id": 3, "n": 3})
    await connector.tell(with_schema, *rows([2], n=2), moved, envelope("d", {"id": 2}, None), None, {"status": "up"})
    await connector.tell(*rows([7], n=7), partition=1)
    told = await connector.followed()
    assert told.code == 0, told.err
    assert "Messages read: 7; changes: 5; refused: 1; behind: 0." in told.out
    assert "partition 0, offset 5: the envelope tells of something else than one row" in told.err
    await connector.stands({"1": None, "2": None, "3": {"n": 3}, "7": {"n": 7}})
    totals = await connector.totals()
    assert [totals[each] for each in ("adds", "updates", "deletes", "refused", "stale")] == [3, 1, 1, 1, 0]


@pytest.mark.parametrize("is_kept", [True, False])
async def test_a_topic_of_transactions_has_an_end(connector: Connector, *, is_kept: bool) -> None:
    """Its last offset is no message: the mark of a transaction, kept or taken back, is read and the follower ends."""
    await connector.tell_as_one(*rows([1], n=1), is_kept=True)
    await connector.tell_as_one(*rows([1, 2], n=2), is_kept=is_kept)
    for messages in (3 if is_kept else 1, 0):
        async with asyncio.timeout(60):
            told = await connector.followed()
        assert told.code == 0, told.err
        assert f"Messages read: {messages}; changes: {messages}; refused: 0; behind: 0." in told.out
    await connector.stands({"1": {"n": 2}, "2": {"n": 2}} if is_kept else {"1": {"n": 1}, "2": None})


async def test_what_is_read_again_brings_nothing_back(connector: Connector) -> None:
    """The place is lost after the changes were logged, and others have changed the records: theirs stands."""
    await connector.tell(*rows(range(4), of="the table"), {"status": "up"})
    assert (await connector.followed()).code == 0
    await connector.feed.change({"op": "add", "key": "1", "value": {"of": "somebody"}}, {"op": "delete", "key": "2"})
    await connector.forget(0)
    await connector.tell(*rows([9]))
    told = await connector.followed()
    assert "Messages read: 6; changes: 5; refused: 1" in told.out, told.err
    await connector.stands({"0": {"of": "the table"}, "1": {"of": "somebody"}, "2": None, "9": {}})
    totals = await connector.totals()
    assert [totals[each] for each in ("adds", "overwrites", "deletes", "stale", "refused")] == [5, 1, 1, 4, 1]


async def test_a_place_that_nobody_knows_is_not_guessed(connector: Connector) -> None:
    """A topic that was cut off ends it; by another group it is read from its beginning, and counts."""
    await connector.tell(*rows([1], n=1))
    assert (await connector.followed()).code == 0
    await connector.stands({"1": {"n": 1}})
    await connector.forget(1_000)
    told = await connector.followed()
    assert (told.code, "--group" in told.err) == (1, True)
    await connector.feed.change({"op": "delete", "key": "1"})
    assert (await connector.followed("--group", f"{connector.topic} anew")).code == 0
    await connector.stands({"1": {"n": 1}})


async def test_it_goes_on_until_it_is_told_to_end(connector: Connector) -> None:
    """What is told while it runs is applied, and an interrupt ends it in order."""
    words = ("feeds", "follow", connector.topic, "--client", connector.feed.name, "--key-column", "id")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gavel", *words),
        env=environment_of(connector.settings),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        for number in (1, 2):
            await connector.tell(*rows([number]))
            await connector.stands({str(number): {}})
        process.send_signal(signal.SIGINT)
        out, _ = await process.communicate()
        assert (process.returncode, "Messages read: " in out.decode()) == (0, True)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def test_two_share_a_topic(connector: Connector) -> None:
    """Each has a partition of its own; when one is killed the other goes on with both, and every change counts once."""
    shell = Shell("feeds", environment_of(connector.settings))
    words = ("follow", connector.topic, "--client", connector.feed.name, "--key-column", "id")
    processes = [await shell.started(*words) for _ in range(2)]
    killed, other = processes

    async def are_both_in() -> bool:
        return await connector.members() == len(processes)

    try:
        await until(are_both_in, seconds=60)
        for round_of in range(2):
            for partition in range(2):
                await connector.tell(*rows([10 * round_of + partition], n=round_of), partition=partition)
            await connector.stands({str(10 * round_of + partition): {"n": round_of} for partition in range(2)})
            if killed.returncode is None:
                killed.kill()
                await shell.ended(killed)
        other.send_signal(signal.SIGINT)
        told = await shell.ended(other)
        assert told.code == 0, told.err
    finally:
        for process in processes:
            if process.returncode is None:
                process.kill()
                await process.wait()
    totals = await connector.totals()
    assert [totals[each] for each in ("adds", "overwrites", "updates", "deletes")] == [4, 0, 0, 0]


async def test_nobody_is_followed_by_mistake(connector: Connector) -> None:
    """An unknown client, an unknown topic and a paused client end in one line that says so."""
    shell = Shell("feeds", environment_of(connector.settings))
    told = await shell("follow", connector.topic, "--client", "nobody", "--until-caught-up")
    assert (told.code, told.err.splitlines()[-1]) == (1, "gavel: There is no feed client 'nobody'.")
    told = await shell("follow", "no.such.topic", "--client", connector.feed.name, "--until-caught-up")
    assert (told.code, told.err.splitlines()[-1]) == (1, "gavel: There is no topic 'no.such.topic'.")
    paused = await ask(connector.feed.api, "POST", f"/v1/feed-clients/{connector.feed.client}/pause")
    assert paused.status in {200, 202}
    told = await connector.followed()
    assert (told.code, "paused" in told.err) == (1, True)


async def test_changes_with_a_name_are_sent_again(connector: Connector) -> None:
    """Their second sending has no effect, also where others have changed the records since; other ones are refused."""
    feed, body = connector.feed, b'{"op": "add", "key": "a", "value": {"n": 1}}\nbad\n'
    first = await feed.send("changes", body, Idempotency_Key="night")
    assert (first.status, first.body["rejected"]) == (202, 1)
    await connector.stands({"a": {"n": 1}})
    await feed.change({"op": "delete", "key": "a"})
    again = await feed.send("changes", body, Idempotency_Key="night")
    assert (again.status, again.body) == (202, first.body)
    await connector.stands({"a": None})
    for other in (body + body, b'{"op": "delete", "key": "b"}\nbad\n'):
        refused = await feed.send("changes", other, Idempotency_Key="night")
        assert (refused.status, refused.body["type"]) == (422, "/problems/key-reused")
    totals = await connector.totals()
    assert [totals[each] for each in ("adds", "deletes", "refused")] == [1, 1, 1]
