"""Erase a feed client: nobody can read any more what it has brought, neither in the log nor elsewhere."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from commands.change_catalogue import ChangeCatalogue
from commands.ports import Clock, EventLog, Ids
from domain.feed_events import FeedClientErased
from domain.names import Names


class DestroyedKeys(Protocol):
    """What became of a client's data keys."""

    @property
    def keys(self) -> int:
        """How many there were: none where they had been destroyed before."""
        ...


class DestroyKeys(Protocol):
    """Destroys all data keys of a client, so that it never gets another one; done again it changes nothing."""

    def __call__(self, client: str) -> DestroyedKeys: ...


class ErasedClient(NamedTuple):
    """A feed client that is no more."""

    id: str
    keys: int
    """How many data keys were destroyed this time."""


class EraseFeedClient:
    """The command of `gavel feeds erase`. Run again, also after it came to no end, it does what is left to do."""

    def __init__(
        self,
        *,
        change_catalogue: ChangeCatalogue,
        destroy_keys: DestroyKeys,
        log: EventLog,
        names: Names,
        clock: Clock,
        ids: Ids,
    ) -> None:
        self._change_catalogue = change_catalogue
        self._destroy_keys = destroy_keys
        self._log = log
        self._names = names
        self._clock = clock
        self._ids = ids

    async def __call__(self, client: str, *, command_id: str) -> ErasedClient:
        """Raises NotFound, Conflict, LogUnavailable, Overloaded, and what `destroy_keys` raises.

        What was read before is not taken back: a process forgets a key half a second after it was destroyed.
        """
        # Archived first: nothing is taken from it any more. Its keys next: from here on it is irrevocable, and the rest
        # is clearing up. The mark last: behind it stands nothing that a reader of the log could have believed. It has
        # its place among the changes, as loads have theirs.
        await self._change_catalogue.move("feed_client", client, "archived", expected=None, command_id=command_id)
        destroyed = self._destroy_keys(client)
        await self._log.append(self._names.feeds_changes, client, [self._mark(client, command_id)])
        return ErasedClient(client, destroyed.keys)

    def _mark(self, client: str, command_id: str) -> FeedClientErased:
        return FeedClientErased(
            id=self._ids(),
            at=self._clock.now(),
            correlation_id=client,
            causation_id=command_id,
            client=client,
        )
