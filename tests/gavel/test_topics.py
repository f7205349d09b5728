"""The topics of an installation, on a real broker."""

from __future__ import annotations

import uuid

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from domain.names import Names
from gavel.errors import CannotRun
from gavel.topics import delete_topics, describe_brokers, describe_topics, ensure_topics
from tests.conftest import PARTITIONS


async def test_topics_are_created_once(kafka_url: str, names: Names) -> None:
    """A second start finds them and creates nothing."""
    assert await ensure_topics(kafka_url, names, PARTITIONS) == []
    topics = await describe_topics(kafka_url, names)
    assert {topic.partitions for topic in topics.values()} == {PARTITIONS}


async def test_only_missing_topics_are_created(kafka_url: str) -> None:
    """A later version of Gavel may need a topic more; those there are stay as they are."""
    names = Names(f"t{uuid.uuid4().hex[:12]}")
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka_url)
    await admin.start()
    await admin.create_topics([NewTopic(names.catalogue, PARTITIONS, 1)])
    await admin.close()
    created = await ensure_topics(kafka_url, names, PARTITIONS)
    assert set(created) == set(names.topics) - {names.catalogue}
    await delete_topics(kafka_url, names)


async def test_partitions_do_not_grow_silently(kafka_url: str, names: Names) -> None:
    """Another number of partitions would move keys and lose their order: it is refused."""
    with pytest.raises(CannotRun, match=f"{names.auctions} has {PARTITIONS}, .* set GAVEL_PARTITIONS"):
        await ensure_topics(kafka_url, names, PARTITIONS + 3)
    topics = await describe_topics(kafka_url, names)
    assert {topic.partitions for topic in topics.values()} == {PARTITIONS}


async def test_nothing_in_the_log_expires(kafka_url: str, names: Names) -> None:
    """Each topic keeps its records for ever, whatever the broker's default is."""
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka_url)
    await admin.start()
    [answer] = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, names.auctions)])
    await admin.close()
    [(_code, _message, _kind, _name, entries)] = answer.resources
    values = {entry[0]: entry[1] for entry in entries}
    assert (values["retention.ms"], values["retention.bytes"], values["cleanup.policy"]) == ("-1", "-1", "delete")


async def test_brokers_are_listed(kafka_url: str) -> None:
    """The brokers that answer are those of the address."""
    assert await describe_brokers(f"kafka://{kafka_url}") == [kafka_url]


async def test_a_broker_that_is_away_is_one_clear_line() -> None:
    """Where nobody answers, the address is named."""
    with pytest.raises(CannotRun, match=r"no Kafka answers at 127.0.0.1:1"):
        await describe_brokers("127.0.0.1:1")
