"""The generations that one process works on: it looks once a second which there are, and runs a projector for each.

So a rebuild is shared by all processes that run the projection, and survives whoever began it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import structlog

from domain.errors import Conflict, Unavailable
from projections import generations
from projections.generation import RUN, Generation
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


class Workforce:
    """Runs the generations of some projections that are building, ready, active or previous, unless they are paused.

    A projection that is built in place is run from the start, without asking Postgres, which may be away.
    One whose active generation was built by another version of the code gets a generation of this one's layout, which
    becomes the active one by itself (see `upkeep.py`).
    """

    def __init__(self, registrations: Sequence[Registration], servers: Servers, run: Run) -> None:
        self._registrations = {each.name: each for each in registrations}
        self._servers = servers
        self._run = run
        self._stops: dict[Key, asyncio.Event] = {}
        self._paused: set[str] = set()
        self._known: list[Generation] = []
        self._told: dict[str, str] = {}
        """Why no generation of this version could be begun, by projection."""

    def __repr__(self) -> str:
        return f"Workforce({sorted(self._stops)})"

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
            for each in self._stops.values():
                each.set()

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
        """A generation for each projection that has none which this version of the code could read or build."""
        for registration in self._registrations.values():
            of_it = [each for each in found if each.projection == registration.name and each.status in RUN]
            if any(each.layout == registration.layout for each in of_it):
                continue
            ends = await self._servers.watermarks.ends(registration.topics_of(self._servers.names))
            try:
                begun = await generations.begin(connection, registration, ends, swaps_itself=True)
            except Conflict as refused:
                self._warn_once(registration.name, str(refused))
                continue
            log.warning("built anew for this version", projection=registration.name, generation=begun.number)

    def _warn_once(self, projection: str, reason: str) -> None:
        if self._told.get(projection) != reason:
            log.error("not built anew for this version", projection=projection, reason=reason)
        self._told[projection] = reason

    def _assign(self, tasks: asyncio.TaskGroup) -> None:
        """Starts and ends projectors."""
        wanted = {(each.projection, each.number) for each in self._known if each.layout}
        wanted |= {(name, 1) for name, each in self._registrations.items() if not each.tables}
        wanted = {key for key in wanted if key[0] not in self._paused}
        for key in self._stops.keys() - wanted:
            self._stops.pop(key).set()
        for name, number in sorted(wanted - self._stops.keys()):
            stop = self._stops[name, number] = asyncio.Event()
            tasks.create_task(self._run(self._registrations[name], number, self._servers, stop))
