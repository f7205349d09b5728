"""The catalogue as this process knows it: a copy of the Redis cache, kept current by its announcements."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from typing import Final, NamedTuple

import msgspec
import structlog
from redis.asyncio import Redis
from redis.asyncio.client import PubSub
from redis.exceptions import RedisError
from redis.utils import str_if_bytes

from commands.access_keys import AccessKeys
from domain.catalogue import Bidder, CurrencyRate, Deal, Placement, Publisher, Status, Terms
from domain.currency import Rates
from domain.entity import Entity, EntityKind
from domain.market import Market, RegisteredBidder, RegisteredPlacement
from domain.names import Names

RECONNECT_SECONDS: Final = 0.5
CANCEL_AGAIN_SECONDS: Final = 0.1
LISTEN_SECONDS: Final = 5.0
"""Past it without an announcement the whole cache is read again: one may have been lost with a connection."""

_TRADED: Final[dict[EntityKind, type[Terms]]] = {
    "bidder": Bidder,
    "placement": Placement,
    "publisher": Publisher,
    "deal": Deal,
    "currency_rate": CurrencyRate,
}
"""What auctions trade on."""

_entity = msgspec.json.Decoder(Entity).decode
_fields = msgspec.json.Decoder(list[str]).decode

_log = structlog.get_logger(__name__)


class _Known(NamedTuple):
    """An entity, and its terms as they are traded on; None: by nobody, or they cannot be read."""

    entity: Entity
    terms: Terms | None


class CatalogueView:
    """Implements `ports.Catalogue`. While Redis is away the last known state stays in force."""

    def __init__(self, redis: Redis, names: Names) -> None:
        self._redis = redis
        self._names = names
        self._entities: dict[str, _Known] = {}
        self._market = Market()
        self.access_keys = AccessKeys()
        """Who may use `/v1`."""
        self._task: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return f"CatalogueView(entities={len(self._entities)}, bidders={len(self._market.bidders)})"

    @property
    def market(self) -> Market:
        return self._market

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
        self.access_keys.are_known = True
        if found or not self._entities:
            self._replace(_understood({str_if_bytes(field): value for field, value in found.items()}))
        # An empty cache beside a known catalogue is a Redis that lost its memory: it is being filled again.

    async def _read(self, fields: list[str]) -> None:
        if not fields:
            return
        values = await self._redis.hmget(self._names.catalogue_entities, fields)
        changed = {field: value for field, value in zip(fields, values, strict=True) if value is not None}
        newer = {
            field: known
            for field, known in _understood(changed).items()
            if field not in self._entities or known.entity.version > self._entities[field].entity.version
        }
        if newer:
            self._replace({**self._entities, **newer})

    def _replace(self, entities: dict[str, _Known]) -> None:
        if entities == self._entities:
            return
        self.access_keys.learn(known.entity for known in entities.values())
        self._entities = entities
        self._market = _market_of(entities)


def _understood(values: Mapping[str, bytes | str]) -> dict[str, _Known]:
    """The entities that this version knows how to read: one that it does not must not take the others away."""
    entities = {}
    for field, value in values.items():
        try:
            entity = _entity(value)
        except msgspec.DecodeError as error:
            _log.error("an entity of the catalogue cannot be read", field=field, error=str(error))
        else:
            entities[field] = _Known(entity, _terms_of(entity))
    return entities


def _terms_of(entity: Entity) -> Terms | None:
    kind = _TRADED.get(entity.kind)
    if kind is None:
        return None
    try:
        return msgspec.json.decode(entity.terms, type=kind)
    except msgspec.DecodeError as error:
        _log.error("the terms of an entity cannot be read", kind=entity.kind, entity_id=entity.id, error=str(error))
        return None


def _market_of(entities: Mapping[str, _Known]) -> Market:
    """What auctions trade on; bidders oldest first, because their ids are UUIDv7."""
    bidders: list[RegisteredBidder] = []
    placements: dict[str, RegisteredPlacement] = {}
    publishers: dict[str, Publisher] = {}
    deals: dict[str, Deal] = {}
    rates: list[CurrencyRate] = []
    for entity, terms in sorted(entities.values(), key=lambda known: known.entity.id):
        is_active = entity.status == "active"
        match terms:
            case _ if entity.status == "archived":
                pass
            case Bidder() if is_active:
                bidders.append(RegisteredBidder(entity.id, entity.version, entity.status, terms))
            case Placement():
                status = _status_beside(entities.get(f"publisher:{terms.publisher_id}"), entity)
                placements[entity.id] = RegisteredPlacement(entity.id, status, terms)
            case Publisher():
                publishers[entity.id] = terms
            case Deal() if is_active:
                deals[entity.id] = terms
            case CurrencyRate():
                rates.append(terms)
    return Market(tuple(bidders), placements, publishers, deals, Rates(rates))


def _status_beside(publisher: _Known | None, placement: Entity) -> Status:
    """A placement of a publisher that is paused or archived sells nothing either."""
    return placement.status if publisher is None or publisher.entity.status == "active" else "paused"
