"""The topic that a connector writes itself, read by a consumer group of the client that follows it."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Final, NamedTuple

from aiokafka import ConsumerRebalanceListener, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import (
    CommitFailedError,
    IllegalStateError,
    KafkaError,
    NoOffsetForPartitionError,
    OffsetOutOfRangeError,
)
from aiokafka.helpers import create_ssl_context

from commands.kafka_consumer import KafkaConsumer
from domain.errors import Conflict, GavelError, LogUnavailable, NotFound
from domain.kafka_url import KafkaUrl, parse_kafka_url

FETCH_WAIT_MS: Final = 500
FETCH_RECORDS_MAX: Final = 500
PLACE_WAIT_S: Final = 0.5
"""For the place of a partition that was only just given to this member."""
SHOWN_CHARS: Final = 16

WasMet = Callable[[str], Awaitable[bool]]
"""Whether changes of that source are in the log. Raises Unavailable."""


class Message(NamedTuple):
    """One message of the connector."""

    partition: int
    offset: int
    value: bytes | None


class Fetched(NamedTuple):
    """What came next, by partition."""

    messages: Mapping[int, Sequence[Message]]
    goes_on: Mapping[int, int]
    """The offset behind them; and behind the end of a transaction, or one that was taken back, which are no messages.
    """

    @property
    def message_count(self) -> int:
        return sum(map(len, self.messages.values()))


class Followed(NamedTuple):
    """Which topic, and by which group."""

    kafka_url: str
    topic: str
    group: str


class _Described(NamedTuple):
    cluster_id: str
    partitions: Sequence[int]


class ConnectorTopic:
    """Opened by `connector_topic`."""

    def __init__(self, consumer: KafkaConsumer, described: _Described, followed: Followed, was_met: WasMet) -> None:
        self._consumer = consumer
        self._topic = followed.topic
        self._partitions = [TopicPartition(followed.topic, number) for number in described.partitions]
        about = f"{described.cluster_id} {followed.group} {followed.topic}"
        self._mark = hashlib.sha256(about.encode()).hexdigest()[:SHOWN_CHARS]
        self._beginning = _Beginning(self, consumer, followed, was_met)

    def __repr__(self) -> str:
        return f"ConnectorTopic({self._topic!r})"

    def source(self, partition: int) -> str:
        """Another one for every cluster, group and topic: their offsets have nothing to do with each other."""
        return f"kafka/{self._mark}/{self._topic}/{partition}"

    def subscribe(self) -> None:
        self._consumer.subscribe([self._topic], listener=self._beginning)

    async def fetch(self) -> Fetched:
        """What comes next; no messages where none come for a while.

        Raises Conflict where it cannot go on from where it was, LogUnavailable.
        """
        try:
            fetched = await self._consumer.getmany(timeout_ms=FETCH_WAIT_MS, max_records=FETCH_RECORDS_MAX)
        except OffsetOutOfRangeError as error:
            raise Conflict(
                f"The topic {self._topic!r} was cut off or made anew beyond where it was read: what is missing is lost "
                "here. Have the connector take a snapshot, and follow it by another `--group`."
            ) from error
        except NoOffsetForPartitionError:
            fetched = {}
        self._beginning.raise_fault()
        goes_on = await self._places()
        messages = {tp.partition: [Message(tp.partition, r.offset, r.value) for r in rs] for tp, rs in fetched.items()}
        return Fetched(messages, goes_on)

    async def _places(self) -> Mapping[int, int]:
        """Where it goes on, of the partitions that are known to be this member's."""
        places: dict[int, int] = {}
        for tp in self._consumer.assignment():
            try:
                async with asyncio.timeout(PLACE_WAIT_S):
                    places[tp.partition] = await self._consumer.position(tp)
            except (IllegalStateError, NoOffsetForPartitionError, TimeoutError):
                continue
        return places

    async def commit(self, offsets: Mapping[int, int]) -> None:
        """The next offset by partition. Lost to another member of the group, it is that one's to go on."""
        try:
            await self._consumer.commit({TopicPartition(self._topic, each): at for each, at in offsets.items()})
        except (CommitFailedError, IllegalStateError):
            return

    async def ends(self) -> Mapping[int, int]:
        """Where each partition ends now, of those that there were at the beginning. Raises LogUnavailable."""
        return {tp.partition: end for tp, end in (await self._consumer.end_offsets(self._partitions)).items()}

    async def committed(self, partitions: Collection[int]) -> Mapping[int, int]:
        """How far the group is, whoever of it."""
        tps = [TopicPartition(self._topic, each) for each in partitions]
        return {tp.partition: await self._consumer.committed(tp) or 0 for tp in tps}


class _Beginning(ConsumerRebalanceListener):  # type: ignore[misc] # the library has no types
    """A partition is begun at its first message, once, and its place kept from then on."""

    def __init__(self, topic: ConnectorTopic, consumer: KafkaConsumer, followed: Followed, was_met: WasMet) -> None:
        self._topic = topic
        self._consumer = consumer
        self._followed = followed
        self._was_met = was_met
        self._fault: Exception | None = None

    def raise_fault(self) -> None:
        """What the library would only have logged."""
        if self._fault is not None:
            raise self._fault

    async def on_partitions_revoked(self, revoked: Collection[TopicPartition]) -> None:
        """Whoever gets them reads again what was not committed, which changes nothing."""

    async def on_partitions_assigned(self, assigned: Collection[TopicPartition]) -> None:
        try:
            for tp in assigned:
                if await self._consumer.committed(tp) is None:
                    await self._begin(tp)
        except (GavelError, KafkaError, OSError) as error:
            self._fault = error

    async def _begin(self, tp: TopicPartition) -> None:
        """Begun twice in ignorance, all that the source says at known places would be passed over: so it is refused."""
        if await self._was_met(self._topic.source(tp.partition)):
            raise Conflict(
                f"Kafka has forgotten how far the group {self._followed.group!r} has read {tp.topic!r}, or the topic "
                "was made anew: follow it by another `--group`, which reads it from its beginning."
            )
        first = (await self._consumer.beginning_offsets([tp]))[tp]
        await self._consumer.commit({tp: first})
        self._consumer.seek(tp, first)


@asynccontextmanager
async def connector_topic(followed: Followed, was_met: WasMet, *, client_id: str) -> AsyncIterator[ConnectorTopic]:
    """Connected, and a member of the group. Raises InvalidInput for a bad address, NotFound, LogUnavailable."""
    options = _options(parse_kafka_url(followed.kafka_url), client_id)
    consumer = KafkaConsumer(
        **options,
        group_id=followed.group,
        enable_auto_commit=False,
        auto_offset_reset="none",
        # What a connector has taken back was never said.
        isolation_level="read_committed",
    )
    try:
        described = await _described(options, followed.topic)
        await consumer.start()
        topic = ConnectorTopic(consumer, described, followed, was_met)
        topic.subscribe()
        yield topic
    except (KafkaError, OSError) as error:
        raise LogUnavailable(f"The topic {followed.topic!r} cannot be read: {error!r}") from error
    finally:
        await consumer.stop()


async def _described(options: Mapping[str, object], topic: str) -> _Described:
    """Raises NotFound."""
    admin = AIOKafkaAdminClient(**options)
    await admin.start()
    try:
        cluster, topics = await admin.describe_cluster(), await admin.describe_topics()
    finally:
        await admin.close()
    for each in topics:
        if each["topic"] == topic:
            return _Described(str(cluster["cluster_id"]), [part["partition"] for part in each["partitions"]])
    raise NotFound(f"There is no topic {topic!r}.")


def _options(url: KafkaUrl, client_id: str) -> dict[str, object]:
    context = create_ssl_context(cafile=url.ca_file) if url.tls else None
    return {**url.client_options(), "ssl_context": context, "client_id": client_id}
