"""Feed clients' keys from the command line, beside an API that runs or without one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

from commands.catalogue_head import CatalogueHead
from commands.feeds.erase_client import ErasedClient, EraseFeedClient
from domain.errors import NotFound
from domain.terms.feed_client import feed_client_id
from gavel.catalogue_desk import catalogue_desk
from gavel.feed_keys import FeedKeyFile, WrappedKey
from gavel.process_clock import SystemClock, fresh_id
from gavel.settings import Settings


class FeedDesk:
    """The commands about feed clients, of one installation; clients are named by their names."""

    def __init__(self, *, head: CatalogueHead, keys: FeedKeyFile, erase: EraseFeedClient) -> None:
        self._head = head
        self._keys = keys
        self._erase = erase

    async def rotate(self, name: str) -> tuple[WrappedKey, int]:
        """The client's fresh data key, in force at once, and how many it has now.

        Raises NotFound, Conflict for one that is erased, LogUnavailable, CannotRun.
        """
        client = await self._known(name)
        new = self._keys.rotate(client, datetime.now(UTC))
        return new, len(self._keys.read().clients[client])

    async def erase(self, name: str) -> ErasedClient:
        """For good. Raises NotFound, Conflict, LogUnavailable, CannotRun."""
        return await self._erase(await self._known(name), command_id=fresh_id())

    async def _known(self, name: str) -> str:
        await self._head.read()
        client = feed_client_id(name)
        if client not in self._head.entities:
            raise NotFound(f"There is no feed client {name!r}.")
        return client


@asynccontextmanager
async def feed_desk(settings: Settings) -> AsyncIterator[FeedDesk]:
    """Connected to the installation's log. Raises InvalidInput where no Kafka is set, or a bad wrapping key is."""
    keys = FeedKeyFile.of(settings)
    async with catalogue_desk(settings, client_id="gavel-feeds") as desk:
        erase = EraseFeedClient(
            change_catalogue=desk.change,
            destroy_keys=lambda client: keys.erase(client, datetime.now(UTC)),
            log=desk.log,
            names=desk.names,
            clock=SystemClock(),
            ids=fresh_id,
        )
        yield FeedDesk(head=desk.head, keys=keys, erase=erase)
