"""The catalogue as it stands at the head of the log: what commands decide on.

The topic is read from its beginning when the first command comes, and to its end before every decision. Read models
lag behind; the log does not.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from itertools import chain
from typing import NamedTuple, TypeVar

import msgspec
from aiokafka import TopicPartition
from aiokafka.errors import KafkaError
from aiokafka.helpers import create_ssl_context
from aiokafka.structs import ConsumerRecord

from commands.kafka_consumer import KafkaConsumer
from commands.ports import Position
from domain.catalogue import Status
from domain.codec import decode
from domain.entity import Entity, EntityKind, evolve
from domain.errors import CorruptEvent, LogUnavailable
from domain.events import CatalogueEvent
from domain.holdings import Holdings
from domain.kafka_url import parse_kafka_url
from domain.limits import CATALOGUE_READ_MAX_SECONDS, COMMANDS_REMEMBERED_MAX

Result = TypeVar("Result")

READ_WAIT_MS = 1_000
FETCH_WAIT_MS = 50
READ_RECORDS_MAX = 250
"""Folded without a pause for others."""


class Made(NamedTuple):
    """An entity as an event made it, but for its terms, which may be long: the log has them."""

    kind: EntityKind
    entity_id: str
    version: int
    status: Status
    position: Position
    """Of the event."""
    terms_at: Position
    """Of the event that stated the terms."""


class Known(NamedTuple):
    """An entity, and where in the log it was made so."""

    entity: Entity
    made: Made


class CatalogueHead:
    """All entities as of the end of the topic. Connects at the first question; `close` it."""

    def __init__(self, kafka_url: str, topic: str, *, client_id: str) -> None:
        """Raises InvalidInput for an address that cannot be read."""
        self._url = parse_kafka_url(kafka_url)
        self._topic = topic
        self._client_id = client_id
        self._consumer: KafkaConsumer | None = None
        self._one_at_a_time = asyncio.Lock()
        self._next: dict[TopicPartition, int] = {}
        """Offsets that are still to be folded."""
        self._entities: dict[str, Entity] = {}
        self.holdings = Holdings()
        """Of `entities`."""
        self._positions: dict[str, Position] = {}
        self._terms_at: dict[str, Position] = {}
        """Of entities whose newest event left their terms as they were."""
        self._unreadable: dict[str, CorruptEvent] = {}
        self._made: dict[str, Made] = {}
        """By command, the oldest first."""

    def __repr__(self) -> str:
        return f"CatalogueHead({self._topic}, entities={len(self._entities)})"

    async def close(self) -> None:
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            await consumer.stop()

    @property
    def entities(self) -> Mapping[str, Entity]:
        """By id, as of the last `read`."""
        return self._entities

    def known(self, entity_id: str) -> Known:
        """An entity of `entities`."""
        return Known(self._entities[entity_id], self._made_now(entity_id))

    async def as_made(self, made: Made) -> Known:
        """The entity as it was then. Raises LogUnavailable where the log has to be asked, and does not answer."""
        entity = self._entities.get(made.entity_id)
        if entity is None or entity.version != made.version:
            async with self._one_at_a_time:
                entity = await self._patiently(lambda _: self._read_again(made))
        return Known(entity, made)

    def made_by(self, command_id: str) -> Made | None:
        """What a command had as its effect; None if it had none, or is not among the newest."""
        return self._made.get(command_id)

    def check_readable(self, entity_id: str) -> None:
        """Raises CorruptEvent if an event of this entity cannot be understood: nothing can be decided about it."""
        if error := self._unreadable.get(entity_id):
            raise error

    async def read(self) -> None:
        """Folds everything that was logged before this call. Raises LogUnavailable when the log gives nothing for long.

        A process's first call reads the whole topic, which takes as long as it takes.
        """
        async with self._one_at_a_time:
            await self._patiently(self._read)

    async def _patiently(self, read: Callable[[asyncio.Timeout], Awaitable[Result]]) -> Result:
        try:
            async with asyncio.timeout(CATALOGUE_READ_MAX_SECONDS) as patience:
                return await read(patience)
        except (KafkaError, OSError, TimeoutError) as error:
            await self.close()
            raise LogUnavailable(f"The catalogue cannot be read to its end: {error!r}") from error
        except asyncio.CancelledError:
            # What it has fetched and not handed over would be missing: the next one starts where the fold ended.
            await self.close()
            raise

    async def _read(self, patience: asyncio.Timeout) -> None:
        consumer = self._consumer or await self._connect()
        ends: dict[TopicPartition, int] = await consumer.end_offsets(list(consumer.assignment()))
        behind = {partition for partition, end in ends.items() if self._next.get(partition, 0) < end}
        consumer.resume(*behind)
        while behind:
            fetched = await consumer.getmany(*behind, timeout_ms=READ_WAIT_MS, max_records=READ_RECORDS_MAX)
            for record in chain.from_iterable(fetched.values()):
                self._fold(record)
            # What was fetched already comes without a wait, and auctions want their turn.
            await asyncio.sleep(0)
            if fetched:
                patience.reschedule(asyncio.get_running_loop().time() + CATALOGUE_READ_MAX_SECONDS)
            for partition in tuple(behind):
                self._next[partition] = await consumer.position(partition)
                if self._next[partition] >= ends[partition]:
                    consumer.pause(partition)
                    behind.remove(partition)

    async def _read_again(self, made: Made) -> Entity:
        consumer = self._consumer or await self._connect()
        partition = TopicPartition(made.terms_at.topic, made.terms_at.partition)
        consumer.seek(partition, made.terms_at.offset)
        consumer.resume(partition)
        fetched: dict[TopicPartition, list[ConsumerRecord[bytes, bytes]]] = {}
        while not fetched:
            fetched = await consumer.getmany(partition, timeout_ms=READ_WAIT_MS, max_records=1)
        consumer.pause(partition)
        consumer.seek(partition, self._next.get(partition, 0))
        [record] = fetched[partition]
        event = decode(record.value or b"")
        assert isinstance(event, CatalogueEvent), event
        before = Entity(made.kind, made.entity_id, event.version - 1, made.status, msgspec.Raw(b"{}"))
        entity = evolve(before if before.version else None, event)
        assert entity is not None, event
        return msgspec.structs.replace(entity, version=made.version, status=made.status)

    async def _connect(self) -> KafkaConsumer:
        consumer = KafkaConsumer(
            self._topic,
            **self._url.client_options(),
            ssl_context=create_ssl_context(cafile=self._url.ca_file) if self._url.tls else None,
            client_id=self._client_id,
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            fetch_max_wait_ms=FETCH_WAIT_MS,
        )
        self._consumer = consumer
        await consumer.start()
        # A fetch that waits for more would hold up the next question for the end: they share a connection.
        consumer.pause(*consumer.assignment())
        for partition, offset in self._next.items():
            consumer.seek(partition, offset)
        return consumer

    def _fold(self, record: ConsumerRecord[bytes, bytes]) -> None:
        key = record.key.decode("utf-8", "replace") if record.key else ""
        try:
            event = decode(record.value or b"")
        except CorruptEvent as error:
            self._unreadable[key] = error
            return
        assert isinstance(event, CatalogueEvent), event
        before = self._entities.get(event.aggregate_id)
        after = evolve(before, event)
        if after is None or after is before:
            return
        position = Position(record.topic, record.partition, record.offset)
        self._entities[after.id] = after
        self.holdings.put(after)
        if before is not None and after.terms is before.terms:
            self._terms_at.setdefault(after.id, self._positions[after.id])
        else:
            self._terms_at.pop(after.id, None)
        self._positions[after.id] = position
        self._made[event.causation_id] = self._made_now(after.id)
        if len(self._made) > COMMANDS_REMEMBERED_MAX:
            del self._made[next(iter(self._made))]

    def _made_now(self, entity_id: str) -> Made:
        entity, position = self._entities[entity_id], self._positions[entity_id]
        terms_at = self._terms_at.get(entity_id, position)
        return Made(entity.kind, entity_id, entity.version, entity.status, position, terms_at)
