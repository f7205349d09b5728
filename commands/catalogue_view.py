"""The catalogue as this process knows it: a copy of the Redis cache, kept current by its announcements."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Final, cast

import msgspec
import structlog
from redis.asyncio import Redis
from redis.asyncio.client import PubSub
from redis.exceptions import RedisError
from redis.utils import str_if_bytes

from commands.access_keys import AccessKeys
from domain.catalogue import Campaign
from domain.entity import Entity
from domain.market import Market
from domain.marketplace import Marketplace
from domain.names import Names

RECONNECT_SECONDS: Final = 0.5
CANCEL_AGAIN_SECONDS: Final = 0.1
LISTEN_SECONDS: Final = 5.0
"""Past it without an announcement the cache's offsets are looked at: one may have been lost."""
SCAN_COUNT: Final = 500
"""Entities that are read and understood without a pause for auctions."""

_entity = msgspec.json.Decoder(Entity).decode
_fields = msgspec.json.Decoder(list[str]).decode

_log = structlog.get_logger(__name__)


class CatalogueView:
    """Implements `ports.Catalogue`. While Redis is away, or is being filled again, the last known state stays in force.

    A change costs what it touches. The whole cache is read at the start and after a lost connection only, piece by
    piece; an entity never goes back to an older version, so nothing that happens meanwhile is undone.
    """

    def __init__(self, redis: Redis, names: Names) -> None:
        self._redis = redis
        self._names = names
        self._marketplace = Marketplace()
        self.access_keys = AccessKeys()
        """Who may use `/v1`."""
        self._offsets: Mapping[bytes | str, bytes | str] = {}
        """Of the cache, when this view had all of it."""
        self._task: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return f"CatalogueView(entities={len(self._marketplace)}, bidders={len(self.market.bidders)})"

    @property
    def market(self) -> Market:
        return self._marketplace.market

    def campaign(self, campaign_id: str) -> Campaign | None:
        """Its newest terms, whatever its status; None if it is not known."""
        return self._marketplace.campaign(campaign_id)

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
                if await self._redis.hgetall(self._names.catalogue_offsets) != self._offsets:
                    await self._read_all()
                continue
            fields = _fields(message["data"])
            # What has come meanwhile goes into the same new market.
            while len(fields) < SCAN_COUNT and (message := await subscription.get_message()) is not None:
                fields += _fields(message["data"])
            await self._read(fields)

    async def _read_all(self) -> None:
        # The offsets first: what is written during the scan makes them differ again, and is announced as well.
        offsets = await self._redis.hgetall(self._names.catalogue_offsets)
        cursor = None
        while cursor != 0:
            cursor, found = await self._redis.hscan(self._names.catalogue_entities, cursor or 0, count=SCAN_COUNT)
            self._take(cast("dict[bytes | str, bytes | str]", found))
        self._marketplace.publish()
        self.access_keys.are_known = True
        self._offsets = offsets

    async def _read(self, fields: list[str]) -> None:
        if not fields:
            return
        async with self._redis.pipeline(transaction=True) as together:
            together.hmget(self._names.catalogue_entities, fields)
            together.hgetall(self._names.catalogue_offsets)
            values, offsets = await together.execute()
        self._take({field: value for field, value in zip(fields, values, strict=True) if value is not None})
        self._marketplace.publish()
        # Other changes up to these offsets have been announced on this connection: they are still to be read from it.
        self._offsets = offsets

    def _take(self, values: Mapping[bytes | str, bytes | str]) -> None:
        entities = [*_understood(values)]
        self.access_keys.learn(entities)
        for unreadable in self._marketplace.take(entities):
            _log.error("the terms of an entity cannot be read", **unreadable._asdict())


def _understood(values: Mapping[bytes | str, bytes | str]) -> Iterator[Entity]:
    """The entities that this version knows how to read: one that it does not must not take the others away."""
    for field, value in values.items():
        try:
            yield _entity(value)
        except msgspec.DecodeError as error:
            _log.error("an entity of the catalogue cannot be read", field=str_if_bytes(field), error=str(error))
