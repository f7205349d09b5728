"""Gavel's API as a process of its own, one worker, with everything it needs and nothing that its CPU would include."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from http import HTTPStatus
from time import monotonic

import aiohttp

from bench.bid_requests import bid_requests
from bench.installation import PARTITIONS, Installation
from bench.process import POLL_SECONDS, START_SECONDS, Process, free_port, python, running
from domain.names import Names
from gavel.settings import Settings, environment_of
from gavel.topics import ensure_topics
from projections.migrate import migrate

AUCTION_PATH = "/openrtb2/auction"
BIDDERS_KNOWN_SECONDS = 30.0


class GavelApi:
    """A running API, the installation it runs on, and its names there."""

    def __init__(self, process: Process, settings: Settings, installation: Installation) -> None:
        self.process = process
        self.port = settings.port
        self.names = Names(settings.namespace)
        self.settings = settings
        self._installation = installation

    def __repr__(self) -> str:
        return f"GavelApi({self.process}, port {self.port})"

    async def until_ready(self) -> None:
        """Returns once it says that it and all that it needs are ready; raises ProcessFailed if that takes too long."""
        until = monotonic() + START_SECONDS
        async with aiohttp.ClientSession(f"http://127.0.0.1:{self.port}") as session:
            while monotonic() < until:
                async with session.get("/readyz") as answer:
                    if answer.status == HTTPStatus.OK:
                        return
                await asyncio.sleep(POLL_SECONDS)
        raise self.process.failure(f"was not ready within {START_SECONDS:.0f} s")

    async def auctions_logged(self) -> int:
        """Events of auctions in Kafka so far."""
        return await self._installation.logged(self.names.auctions)

    async def register_bidders(self, endpoints: Sequence[str]) -> None:
        """Registers them; returns once an auction asks them all."""
        key = {"Authorization": f"Bearer {self.settings.admin_key}"}
        async with aiohttp.ClientSession(f"http://127.0.0.1:{self.port}", headers=key) as session:
            for number, endpoint in enumerate(endpoints):
                async with session.post(
                    "/v1/bidders", json={"name": f"Bench {number}", "endpoint": endpoint}
                ) as answer:
                    if answer.status != HTTPStatus.CREATED:
                        raise self.process.failure(f"answered {answer.status} to a bidder: {await answer.text()}")
            await self._until_all_are_asked(session, len(endpoints))

    async def _until_all_are_asked(self, session: aiohttp.ClientSession, bidders: int) -> None:
        """An auction leaves one event for the request, one for each bidder asked, and one for its end."""
        (body,) = bid_requests(1)
        until = monotonic() + BIDDERS_KNOWN_SECONDS
        while monotonic() < until:
            before = await self.auctions_logged()
            async with session.post(AUCTION_PATH, data=body, headers={"Content-Type": "application/json"}) as answer:
                status = answer.status
            if status == HTTPStatus.OK and await self.auctions_logged() - before == bidders + 2:
                return
            await asyncio.sleep(0.2)
        raise self.process.failure(f"did not ask all bidders within {BIDDERS_KNOWN_SECONDS:.0f} s")


@asynccontextmanager
async def gavel_api(installation: Installation, namespace: str) -> AsyncIterator[GavelApi]:
    """The API, with the projector beside it that tells it of new bidders."""
    settings = installation.settings(port=free_port(), namespace=namespace)
    await ensure_topics(installation.urls.kafka_url, Names(namespace), PARTITIONS)
    await migrate(installation.urls.postgres_url)
    environment = environment_of(settings)
    async with (
        running("project", python("-m", "gavel", "project", "catalogue", "catalogue_cache"), environment=environment),
        running("gavel", python("-m", "gavel", "api"), environment=environment) as process,
    ):
        await process.listening(settings.port)
        api = GavelApi(process, settings, installation)
        await api.until_ready()
        yield api
