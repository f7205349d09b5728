"""The catalogue as this process knows it: a copy of the Redis cache, kept current by its announcements."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Final

import msgspec
import structlog
from redis.asyncio import Redis
from redis.asyncio.client import PubSub
from redis.exceptions import RedisError
from redis.utils import str_if_bytes

from commands.ports import RegisteredBidder
from domain.catalogue import Bidder
from domain.entity import Entity
from domain.names import Names

RECONNECT_SECONDS: Final = 0.5
CANCEL_AGAIN_SECONDS: Final = 0.1
LISTEN_SECONDS: Final = 5.0
"""Past it without an announcement the whole cache is read again: one may have been lost with a connection."""

_entity = msgspec.json.Decoder(Entity).decode
_bidder = msgspec.json.Decoder(Bidder).decode
_fields = msgspec.json.Decoder(list[str]).decode

_log = structlog.get_logger(__name__)


class CatalogueView:
    """Implements `ports.Catalogue`. While Redis is away the last known state stays in force."""

    def __init__(self, redis: Redis, names: Names) -> None:
        self._redis = redis
        self._names = names
        self._entities: dict[str, Entity] = {}
        self._bidders: tuple[RegisteredBidder, ...] = ()
        self._task: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return f"CatalogueView(entities={len(self._entities)}, bidders={len(self._bidders)})"

    @property
    def bidders(self) -> Sequence[RegisteredBidder]:
        """Active bidders, oldest first: their ids are UUIDv7."""
        return self._bidders

    async def start(self) -> None:
        """Reads the cache once, if Redis answers, and stays current from then on."""
        with suppress(RedisError, OSError):
            await self._read_all()
        self._task = asyncio.create_task(self._keep_current(), name="catalogue view")

    async def close(self) -> None:
        while self._task is not None and not self._task.done():
            # More than once: Python 3.11's `wait_for`, inside the client, forgets a cancellation that meets its result.
            self._task.cancel()
            await asyncio.wait({self._task}, timeout=CANCEL_AGAIN_SECONDS)

    async def _keep_current(self) -> None:
        while True:
            try:
                async with self._redis.pubsub(ignore_subscribe_messages=True) as subscription:
                    await subscription.subscribe(self._names.catalogue_channel)
                    await self._follow(subscription)
            except (RedisError, OSError) as error:
                _log.warning("the catalogue's cache is away", error=str(error), retry_in_s=RECONNECT_SECONDS)
                await asyncio.sleep(RECONNECT_SECONDS)

    async def _follow(self, subscription: PubSub) -> None:
        # Subscribed first and read then: a change in between is announced, so none is missed.
        await self._read_all()
        while True:
            message = await subscription.get_message(timeout=LISTEN_SECONDS)
            if message is None:
                await self._read_all()
            elif message["type"] == "message":
                await self._read(_fields(message["data"]))

    async def _read_all(self) -> None:
        found = await self._redis.hgetall(self._names.catalogue_entities)
        if found or not self._entities:
            self._replace(_understood({str_if_bytes(field): value for field, value in found.items()}))
        # An empty cache beside a known catalogue is a Redis that lost its memory: it is being filled again.

    async def _read(self, fields: list[str]) -> None:
        if not fields:
            return
        values = await self._redis.hmget(self._names.catalogue_entities, fields)
        changed = {field: value for field, value in zip(fields, values, strict=True) if value is not None}
        newer = {
            field: entity
            for field, entity in _understood(changed).items()
            if field not in self._entities or entity.version > self._entities[field].version
        }
        if newer:
            self._replace({**self._entities, **newer})

    def _replace(self, entities: dict[str, Entity]) -> None:
        if entities == self._entities:
            return
        self._entities = entities
        self._bidders = tuple(_active_bidders(entities))


def _understood(values: Mapping[str, bytes | str]) -> dict[str, Entity]:
    """The entities that this version knows how to read: one that it does not must not take the others away."""
    entities = {}
    for field, value in values.items():
        try:
            entities[field] = _entity(value)
        except msgspec.DecodeError as error:
            _log.error("an entity of the catalogue cannot be read", field=field, error=str(error))
    return entities


def _active_bidders(entities: Mapping[str, Entity]) -> Iterator[RegisteredBidder]:
    for entity in sorted(entities.values(), key=lambda entity: entity.id):
        if entity.kind != "bidder" or entity.status != "active":
            continue
        try:
            yield RegisteredBidder(entity.id, entity.version, entity.status, _bidder(entity.terms))
        except msgspec.DecodeError as error:
            _log.error("the terms of a bidder cannot be read", bidder_id=entity.id, error=str(error))
