"""`GET /v1/live`: server-sent events, one object of figures a second.

A stream ends after a while on purpose: the browser comes back by itself, maybe to a less busy process, and a
connection that died without a word is not kept for ever.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import TYPE_CHECKING

from litestar import asgi
from litestar.types import HTTPScope, Receive, Send

from api.raw_http import not_allowed, respond_problem
from domain.errors import Overloaded

if TYPE_CHECKING:
    from litestar.handlers import ASGIRouteHandler

    from api.live.feed import Listener
    from api.services import ApiServices

HEARTBEAT_S = 10.0
STREAM_LIFE_S = 15 * 60.0
RETRY_MS = 2_000
STREAMS_MAX = 256
"""Of one process."""

HEADERS = (
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    # Proxies that buffer answers would hold the figures back.
    (b"x-accel-buffering", b"no"),
)


def live_figures(services: ApiServices) -> ASGIRouteHandler:
    """The route, below the framework, so that the end of the connection is seen at once."""

    @asgi("/live", copy_scope=False, name="live_figures")
    async def stream(scope: HTTPScope, receive: Receive, send: Send) -> None:
        if scope["method"] != "GET":
            await respond_problem(send, not_allowed(scope["method"], "GET"))
            return
        if services.live.listeners >= STREAMS_MAX:
            await respond_problem(send, Overloaded(f"{STREAMS_MAX} browsers are watching this process already."))
            return
        with services.live.listen() as listener:
            await _until_one_ends(_send_figures(listener, send), _hung_up(receive))

    return stream


async def _send_figures(listener: Listener, send: Send) -> None:
    clock = asyncio.get_running_loop().time
    ends = clock() + STREAM_LIFE_S
    await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
    await _send_chunk(send, b"retry: %d\n\n" % RETRY_MS)
    while (left := ends - clock()) > 0:
        try:
            figures = await listener.next(min(HEARTBEAT_S, left))
        except TimeoutError:
            await _send_chunk(send, b": nothing new\n\n")
            continue
        if figures is None:
            break
        lines = b"\ndata: ".join(figures.payload.splitlines())
        await _send_chunk(send, b"id: %d\ndata: %b\n\n" % (figures.number, lines))
    await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _send_chunk(send: Send, chunk: bytes) -> None:
    await send({"type": "http.response.body", "body": chunk, "more_body": True})


async def _hung_up(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _until_one_ends(*parts: Coroutine[None, None, None]) -> None:
    tasks = [asyncio.create_task(part) for part in parts]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
    for result in results:
        if isinstance(result, Exception):
            raise result
