"""The generations that one process works on: it looks once a second which there are, and runs a projector for each.

So a rebuild is shared by all processes that run the projection, and survives whoever began it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, NamedTuple

import structlog

from domain.errors import NotPossible, Unavailable
from projections import generations
from projections.generation import RUN, Generation, needed_for_this_version
from projections.postgres_store import Connection, connected
from projections.registry import Registration
from projections.servers import Servers

LOOK_S = 1.0
LOOK_TIMEOUT_S = 15.0
"""A database that swallows connections must not keep projections in Redis from starting."""

log = structlog.stdlib.get_logger(__name__)

Run = Callable[[Registration, int, Servers, asyncio.Event], Coroutine[Any, Any, None]]
Key = tuple[str, int]
"""A projection and the number of a generation."""


class _Post(NamedTuple):
    """A generation that is worked on."""

    stop: asyncio.Event
    work: asyncio.Task[None]


class Workforce:
    """Runs the generations of some projections that are building, ready, active or previous, unless they are paused.

    A projection that is built in place is run from the start, without asking Postgres, which may be away.
    One whose active generation was built by another version of the code gets a generation of this one's layout, which
    becomes the active one by itself (see `upkeep.py`). That is done once: where this version had one before, people
    have swapped, retired or cancelled it, and it is for people to say what queries are to read.
    """

    def __init__(self, registrations: Sequence[Registration], servers: Servers, run: Run) -> None:
        self._registrations = {each.name: each for each in registrations}
        self._servers = servers
        self._run = run
        self._posts: dict[Key, _Post] = {}
        """Each has one task at a time: the next one begins when the one before has ended."""
        self._paused: set[str] = set()
        self._known: list[Generation] = []
        self._told: dict[str, str | None] = {}
        """Why queries of this version will have nothing to read, by projection."""

    def __repr__(self) -> str:
        return f"Workforce({sorted(self._posts)})"

    async def run(self, stop: asyncio.Event) -> None:
        """Until `stop` is set. A server that is away is waited for."""
        async with asyncio.TaskGroup() as tasks:
            while not stop.is_set():
                await self._look()
                self._assign(tasks)
                try:
                    await asyncio.wait_for(stop.wait(), LOOK_S)
                except TimeoutError:
                    continue
            for each in self._posts.values():
                each.stop.set()

    async def _look(self) -> None:
        try:
            async with asyncio.timeout(LOOK_TIMEOUT_S), connected(self._servers.pool) as connection:
                self._paused = await generations.paused(connection)
                self._known = await self._of_this_layout(connection)
        except (Unavailable, TimeoutError) as away:
            log.warning("waiting for a server", error=repr(away))

    async def _of_this_layout(self, connection: Connection) -> list[Generation]:
        found = await generations.of(connection, [*self._registrations])
        if self._registrations.keys() - {each.projection for each in found if each.status == "active"}:
            await generations.establish(connection, [*self._registrations.values()])
            found = await generations.of(connection, [*self._registrations])
        if any(each.status == "building" for each in found):
            await generations.mark_built(connection)
        await self._begin_new_layouts(connection, found)
        return [
            each for each in found if each.status in RUN and each.layout == self._registrations[each.projection].layout
        ]

    async def _begin_new_layouts(self, connection: Connection, found: Sequence[Generation]) -> None:
        """A generation for each projection that never had one of this version of the code."""
        for registration in self._registrations.values():
            key = (registration.name, registration.layout)
            if ours := [each for each in found if (each.projection, each.layout) == key]:
                told = [(each.number, each.status, each.swaps_itself) for each in ours]
                self._tell(registration.name, needed_for_this_version(registration.name, told))
                continue
            ends = await self._servers.watermarks.ends(registration.topics_of(self._servers.names))
            try:
                begun = await generations.begin(connection, registration, ends, swaps_itself=True)
            except NotPossible as refused:
                self._tell(registration.name, str(refused))
                continue
            log.warning("built anew for this version", projection=registration.name, generation=begun.number)

    def _tell(self, projection: str, reason: str | None) -> None:
        """Once."""
        if reason is not None and self._told.get(projection) != reason:
            log.error("this version has no read model of its own", projection=projection, reason=reason)
        self._told[projection] = reason

    def _assign(self, tasks: asyncio.TaskGroup) -> None:
        """Starts and ends projectors."""
        wanted = {(each.projection, each.number) for each in self._known if each.layout}
        wanted |= {(name, 1) for name, each in self._registrations.items() if not each.tables}
        wanted = {key for key in wanted if key[0] not in self._paused}
        self._posts = {key: post for key, post in self._posts.items() if not post.work.done()}
        for key in self._posts.keys() - wanted:
            self._posts[key].stop.set()
        for name, number in sorted(wanted - self._posts.keys()):
            stop = asyncio.Event()
            work = tasks.create_task(self._run(self._registrations[name], number, self._servers, stop))
            self._posts[name, number] = _Post(stop, work)
