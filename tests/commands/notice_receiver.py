"""A bidder's server for notices, on this machine: it keeps what it is told, and answers as a test wants it to."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import NamedTuple

from aiohttp import web

Behaviour = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Told(NamedTuple):
    """One call, as it came over the wire."""

    path: str
    headers: dict[str, str]


class NoticeReceiver:
    """Answers 204, or what `behaviour` gives."""

    def __init__(self, behaviour: Behaviour | None = None) -> None:
        self._behaviour = behaviour
        self.calls: list[Told] = []
        self.url = ""

    @property
    def paths(self) -> list[str]:
        return sorted(each.path for each in self.calls)

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[NoticeReceiver]:
        application = web.Application()
        application.router.add_route("*", "/{any:.*}", self._answer)
        runner = web.AppRunner(application, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        try:
            yield self
        finally:
            await runner.cleanup()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        self.calls.append(Told(request.raw_path, dict(request.headers)))
        return web.Response(status=204) if self._behaviour is None else await self._behaviour(request)
