"""Who an upload is of: the feed client of a name, as the catalogue has it now."""

from __future__ import annotations

from contextlib import suppress

import msgspec
from redis.asyncio import Redis
from redis.exceptions import RedisError

from commands.catalogue_head import CatalogueHead
from commands.feeds.intake import Sender
from domain.catalogue import FeedClient
from domain.entity import Entity
from domain.errors import NotFound, NotPossible
from domain.names import Names
from domain.terms.feed_client import feed_client_id

_entity = msgspec.json.Decoder(Entity).decode
_terms = msgspec.json.Decoder(FeedClient).decode


class FeedSenders:
    """Asks the log who may send, and for anything else the catalogue's cache, and the log where that knows no such."""

    def __init__(self, redis: Redis, head: CatalogueHead, names: Names) -> None:
        self._redis = redis
        self._head = head
        self._names = names

    def __repr__(self) -> str:
        return f"FeedSenders({self._names.namespace!r})"

    async def sender(self, name: str) -> Sender:
        """Who may send, as the log says at this moment.

        Raises NotFound, NotPossible for one that is paused or archived, LogUnavailable.
        """
        entity = await self._logged(feed_client_id(name))
        if entity is None:
            raise unknown(name)
        if entity.status != "active":
            raise NotPossible(f"The feed client {name!r} is {entity.status}: nothing is taken from it.")
        return Sender(entity.id, _terms(entity.terms))

    async def check_known(self, name: str) -> None:
        """Raises NotFound for a name that nobody was registered under, LogUnavailable."""
        if await self._known(feed_client_id(name)) is None:
            raise unknown(name)

    async def terms(self, client: str) -> FeedClient | None:
        """Of the feed client of that id; None where there is none. Raises LogUnavailable."""
        entity = await self._known(client)
        return None if entity is None else _terms(entity.terms)

    async def _known(self, client: str) -> Entity | None:
        return await self._cached(client) or await self._logged(client)

    async def _cached(self, client: str) -> Entity | None:
        with suppress(RedisError, OSError, msgspec.DecodeError):
            kept = await self._redis.hget(self._names.catalogue_entities, f"feed_client:{client}")
            return None if kept is None else _entity(kept)
        return None

    async def _logged(self, client: str) -> Entity | None:
        await self._head.read()
        entity = self._head.entities.get(client)
        return entity if entity is not None and entity.kind == "feed_client" else None


def unknown(name: str) -> NotFound:
    """A feed client that is not there, or not for the one who asks."""
    return NotFound(f"There is no feed client {name!r}.")
