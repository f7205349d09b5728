"""Keeps services running: starts them together, starts again what died, stops them in the opposite order."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Protocol

from gavel.errors import CannotRun
from projections.ending import ended

FIRST_PAUSE_SECONDS = 0.2
LONGEST_PAUSE_SECONDS = 15.0
CANCEL_AGAIN_SECONDS = 30.0
"""What is about to be started may have to be stopped first; Kafka's client, which asks it, may forget."""
STEADY_SECONDS = 30.0
"""A service that has run that long is not failing to start: its next restart comes quickly again."""


class Service(Protocol):
    """Something that runs as a child process."""

    @property
    def name(self) -> str: ...

    async def start(self) -> None:
        """Returns when it is ready to be used. Raises CannotRun, leaving nothing behind."""
        ...

    async def ended(self) -> str:
        """Returns how it ended, once it has."""
        ...

    async def stop(self) -> None:
        """Ends it; does nothing if it is not running."""
        ...

    def kill(self) -> None:
        """Ends it the hard way; `stop` still has to be awaited."""
        ...


class Supervisor:
    """A set of services. Whoever starts some stops them all in the end."""

    def __init__(self, report: Callable[[str], None]) -> None:
        self._report = report
        self._started: list[Sequence[Service]] = []
        self._keepers: dict[str, asyncio.Task[None]] = {}

    async def start(self, *services: Service) -> None:
        """Starts services at the same time and keeps them running. Raises the first CannotRun."""
        self._started.append(services)
        results = await asyncio.gather(*(service.start() for service in services), return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException):
                raise result
        for service in services:
            self._keepers[service.name] = asyncio.create_task(self._keep(service))

    async def take_down(self, service: Service) -> None:
        """Stops one service and leaves it so."""
        keeper = self._keepers.pop(service.name, None)
        if keeper is not None:
            await ended(keeper, again_s=CANCEL_AGAIN_SECONDS)
        await service.stop()

    async def bring_back(self, service: Service) -> None:
        """Starts one service that was taken down."""
        await service.start()
        self._keepers[service.name] = asyncio.create_task(self._keep(service))

    def kill(self) -> None:
        """Hurries a stop that is under way: what still runs is killed."""
        for services in self._started:
            for service in services:
                service.kill()

    async def stop(self) -> None:
        """Stops what was started last first; everything within its own bound."""
        for keeper in self._keepers.values():
            await ended(keeper, again_s=CANCEL_AGAIN_SECONDS)
        self._keepers.clear()
        failures: list[BaseException] = []
        while self._started:
            stops = (service.stop() for service in self._started[-1])
            results = await asyncio.gather(*stops, return_exceptions=True)
            self._started.pop()
            failures += [result for result in results if isinstance(result, BaseException)]
        if failures:
            raise failures[0]

    async def _keep(self, service: Service) -> None:
        pause = FIRST_PAUSE_SECONDS
        while True:
            since = time.monotonic()
            how = await service.ended()
            if time.monotonic() - since > STEADY_SECONDS:
                pause = FIRST_PAUSE_SECONDS
            self._report(f"{service.name} {how}; it is started again in {pause:.1f} s")
            pause = await self._restart(service, pause)

    async def _restart(self, service: Service, pause: float) -> float:
        """Tries until the service runs; returns the pause before the next restart."""
        while True:
            await asyncio.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE_SECONDS)
            try:
                await service.start()
            except CannotRun as error:
                self._report(f"{service.name} did not start: {error}; next attempt in {pause:.1f} s")
            else:
                self._report(f"{service.name} is back")
                return pause
