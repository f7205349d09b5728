"""The topics of an installation: created where missing, never changed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import (
    GroupCoordinatorNotAvailableError,
    KafkaConnectionError,
    KafkaError,
    TopicAlreadyExistsError,
    for_code,
)
from aiokafka.protocol.metadata import MetadataRequest

from domain.names import Names
from gavel.errors import CannotRun
from projections.connections import kafka_options

REQUEST_TIMEOUT_MS = 30_000
LEADERS_SECONDS = 30.0
POLL_SECONDS = 0.02
GROUPS_POLL_SECONDS = 0.2
REPLICAS_MAX = 3
BATCH_MAX_BYTES = 8 * 1024 * 1024
"""The events of an auction with many imps and long markups fit."""


class Topic(NamedTuple):
    """A topic as it is on the brokers."""

    partitions: int
    replicas: int
    has_leaders: bool


async def ensure_topics(kafka_url: str, names: Names, partitions: int, replication: int | None = None) -> list[str]:
    """Creates the topics that are missing, and returns their names once every broker knows a leader of each partition.

    Without `replication`, as many copies as there are brokers, three at most. Raises CannotRun for a topic that has
    another number of partitions: a key's events would move to another partition and lose their order.
    """
    async with _admin(kafka_url) as admin:
        present = await _describe(admin, names.topics)
        _refuse_other_sizes(present, partitions)
        missing = [topic for topic in names.topics if topic not in present]
        replicas = replication or min(REPLICAS_MAX, await _count_brokers(admin))
        created = await _create(admin, missing, partitions, replicas)
        await _until_led(kafka_url, names.topics)
        await _until_groups_are_coordinated(admin, names)
    return created


async def describe_topics(kafka_url: str, names: Names) -> Mapping[str, Topic]:
    """The installation's topics that exist. Raises CannotRun if no broker answers."""
    async with _admin(kafka_url) as admin:
        return await _describe(admin, names.topics)


async def describe_brokers(kafka_url: str) -> list[str]:
    """Addresses of the brokers that are there. Raises CannotRun if none answers."""
    async with _admin(kafka_url) as admin:
        brokers = (await admin.describe_cluster())["brokers"]
    return sorted(f"{broker['host']}:{broker['port']}" for broker in brokers)


async def delete_topics(kafka_url: str, names: Names) -> None:
    """Removes an installation's topics and all their events."""
    async with _admin(kafka_url) as admin:
        await admin.delete_topics(list(names.topics))


@asynccontextmanager
async def _admin(kafka_url: str) -> AsyncIterator[AIOKafkaAdminClient]:
    options = kafka_options(kafka_url, "gavel-topics")
    admin = AIOKafkaAdminClient(**options, request_timeout_ms=REQUEST_TIMEOUT_MS)
    try:
        await admin.start()
        yield admin
    except KafkaConnectionError as error:
        raise CannotRun(f"no Kafka answers at {','.join(options['bootstrap_servers'])}") from error
    except KafkaError as error:
        raise CannotRun(f"Kafka does not do what it is asked: {error}") from error
    finally:
        await admin.close()


async def _describe(admin: AIOKafkaAdminClient, wanted: Iterable[str]) -> dict[str, Topic]:
    # Asked for all of them: a broker answers a question about a missing topic with an error.
    return _pick(await admin.describe_topics(), wanted)


def _pick(topics: Iterable[Mapping[str, Any]], wanted: Iterable[str]) -> dict[str, Topic]:
    described = {topic["topic"]: topic["partitions"] for topic in topics}
    return {
        name: Topic(
            partitions=len(described[name]),
            replicas=min((len(partition["replicas"]) for partition in described[name]), default=0),
            has_leaders=all(partition["leader"] >= 0 for partition in described[name]),
        )
        for name in wanted
        if name in described
    }


def _refuse_other_sizes(present: Mapping[str, Topic], partitions: int) -> None:
    others = {name: topic.partitions for name, topic in present.items() if topic.partitions != partitions}
    if others:
        sizes = ", ".join(f"{name} has {count}" for name, count in others.items())
        raise CannotRun(
            f"{partitions} partitions were asked for, but {sizes}: the number cannot change without moving keys "
            "to other partitions and losing their order; set GAVEL_PARTITIONS to what is there, unless somebody has "
            "added partitions to a topic in use: then see docs/PARTITIONS.md"
        )


async def _count_brokers(admin: AIOKafkaAdminClient) -> int:
    return len((await admin.describe_cluster())["brokers"])


async def _create(admin: AIOKafkaAdminClient, missing: Iterable[str], partitions: int, replicas: int) -> list[str]:
    """Those of them that nobody else has created in the meantime."""
    # Said for each topic, because a broker that is not ours forgets after a week and accepts one megabyte.
    configs = {
        "cleanup.policy": "delete",
        "retention.ms": "-1",
        "retention.bytes": "-1",
        "max.message.bytes": str(BATCH_MAX_BYTES),
        "min.insync.replicas": str(max(1, replicas - 1)),
    }
    answer = await admin.create_topics(
        [NewTopic(name, partitions, replicas, topic_configs=configs) for name in missing]
    )
    for name, code, *reason in answer.topic_errors:
        error = for_code(code)
        if code != 0 and error is not TopicAlreadyExistsError:
            raise CannotRun(f"Kafka does not create topic {name}: {reason[0] if reason else error.__name__}")
    return [name for name, code, *_ in answer.topic_errors if code == 0]


async def _until_led(kafka_url: str, wanted: tuple[str, ...]) -> None:
    """Each broker learns of a new topic by itself: a client may ask any of them next."""
    deadline = time.monotonic() + LEADERS_SECONDS
    client = AIOKafkaClient(**kafka_options(kafka_url, "gavel-topics"))
    try:
        await client.bootstrap()
        for broker in client.cluster.brokers():
            while not await _knows_leaders(client, broker.nodeId, wanted):
                if time.monotonic() > deadline:
                    raise CannotRun(f"after {LEADERS_SECONDS:.0f} s not every partition of {', '.join(wanted)} is led")
                await asyncio.sleep(POLL_SECONDS)
    finally:
        await client.close()


async def _until_groups_are_coordinated(admin: AIOKafkaAdminClient, names: Names) -> None:
    """The first question for a coordinator makes a new cluster create the topic that groups are kept in."""
    deadline = time.monotonic() + LEADERS_SECONDS
    while True:
        try:
            await admin.find_coordinator(names.group("catalogue"))
        except GroupCoordinatorNotAvailableError:
            if time.monotonic() > deadline:
                raise
            await asyncio.sleep(GROUPS_POLL_SECONDS)
        else:
            return


async def _knows_leaders(client: AIOKafkaClient, node_id: int, wanted: tuple[str, ...]) -> bool:
    try:
        metadata = await client.send(node_id, MetadataRequest(None))
    except KafkaError:
        return True  # a broker that does not answer sends no client astray
    present = _pick(metadata.to_object()["topics"], wanted)
    return len(present) == len(wanted) and all(topic.has_leaders for topic in present.values())
