"""One API process's application behind a real HTTP server, with its projections beside it."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

import aiohttp
from aiohttp import web
from granian.constants import HTTPModes, Interfaces
from granian.server.embed import Server

from api.app import create_app
from api.services import ApiServices
from gavel.embedded.ports import choose_port
from gavel.read_side import read_side
from gavel.settings import Settings, environment_of
from gavel.wiring import ApiProcess
from projections.registry import RUNNABLE
from projections.run import run_projectors

ADMIN_KEY = "an-admin-key-of-the-tests"
START_SECONDS = 60.0
POLL_SECONDS = 0.02
MARKUP = "<a href='${GAVEL_CLICK_URL}'>An ad</a>" + " " * 2_000


@dataclass(frozen=True, kw_only=True)
class RunningApi:
    """Where it listens, and what it is made of."""

    http: aiohttp.ClientSession
    """Relative addresses lead to the API; redirects are to be asked for not to be followed."""
    base_url: str
    services: ApiServices

    @property
    def authorized(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {ADMIN_KEY}"}

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        """A connection of its own, for what no HTTP client would send; aborted at the end."""
        host, _, port = self.base_url.removeprefix("http://").partition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        try:
            yield reader, writer
        finally:
            writer.transport.abort()
            with suppress(ConnectionError):
                await writer.wait_closed()


@asynccontextmanager
async def running_api(settings: Settings) -> AsyncIterator[RunningApi]:
    """The application over these settings, listening on a free port."""
    process = ApiProcess(settings, multiprocess_metrics=None)
    app = create_app(process.services, lifespan=[process.opened])
    server = Server(
        app,
        address="127.0.0.1",
        port=settings.port,
        interface=Interfaces.ASGI,
        http=HTTPModes.http1,
        websockets=False,
        log_enabled=False,
    )
    serving = asyncio.create_task(server.serve())
    try:
        base_url = f"http://127.0.0.1:{settings.port}"
        async with aiohttp.ClientSession(base_url) as http:
            await until(lambda: _answers(http), seconds=START_SECONDS)
            yield RunningApi(http=http, base_url=base_url, services=process.services)
    finally:
        server.stop()
        await serving


@asynccontextmanager
async def api_process(settings: Settings) -> AsyncIterator[asyncio.subprocess.Process]:
    """`gavel api` as a process of its own, answering; in the end it is asked to stop, if nobody has."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "gavel", "api", env=environment_of(settings), stderr=asyncio.subprocess.PIPE
    )
    try:
        async with aiohttp.ClientSession(f"http://127.0.0.1:{settings.port}") as http:
            await until(lambda: _answers(http), seconds=START_SECONDS)
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
        assert process.stderr is not None
        log = await process.stderr.read()
        await process.wait()
    assert b"Traceback" not in log, log.decode()


@asynccontextmanager
async def running_projections(settings: Settings) -> AsyncIterator[None]:
    """All projections, until the end of the block."""
    stop = asyncio.Event()
    projecting = asyncio.create_task(run_projectors(read_side(settings), RUNNABLE, stop))
    try:
        yield
    finally:
        stop.set()
        await projecting


def free_port() -> int:
    return choose_port(None, set())


async def until(ask: Callable[[], Awaitable[object]], *, seconds: float = 10.0) -> None:
    """Asks again until the answer is yes; raises TimeoutError when it is not in time."""
    async with asyncio.timeout(seconds):
        while True:
            if await ask():
                return
            await asyncio.sleep(POLL_SECONDS)


async def _answers(http: aiohttp.ClientSession) -> bool:
    try:
        async with http.get("/livez"):
            return True
    except aiohttp.ClientConnectionError:
        return False


@asynccontextmanager
async def bidding(cpm: float, landing_url: str, markup: str = MARKUP) -> AsyncIterator[str]:
    """A bidder on a real socket that bids the same for every imp; its endpoint."""

    async def bid(request: web.Request) -> web.Response:
        asked = await request.json()
        bids = [
            {
                "id": f"bid-{imp['id']}",
                "impid": imp["id"],
                "price": cpm,
                "adm": markup,
                "adomain": ["shop.example"],
                "crid": "creative-1",
                "w": 300,
                "h": 250,
                "ext": {"landing_url": landing_url},
            }
            for imp in asked["imp"]
        ]
        return web.json_response({"id": asked["id"], "cur": "USD", "seatbid": [{"bid": bids}]})

    application = web.Application()
    application.router.add_post("/", bid)
    runner = web.AppRunner(application)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        [address] = runner.addresses
        yield f"http://127.0.0.1:{address[1]}/"
    finally:
        await runner.cleanup()
