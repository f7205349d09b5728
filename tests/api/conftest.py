"""One exchange for all tests of the API: real servers, two bidders, projections running."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import msgspec
import pytest

from domain.names import Names
from gavel.settings import Settings
from gavel.topics import delete_topics, ensure_topics
from tests.api.running_api import ADMIN_KEY, RunningApi, bidding, free_port, running_api, running_projections, until

HIGH_CPM, LOW_CPM = 2.5, 1.2
CLEARING_CPM = 1.21
"""Second price plus: the lower bid and one increment of 0.01."""
LANDING_URL = "https://shop.example/offer?from=gavel"
TOKEN_KEY = "11" * 16
PSEUDONYM_KEY = "22" * 16


@pytest.fixture(scope="package")
async def api_database(postgres_url: str, template: str) -> AsyncIterator[str]:
    """A migrated database for the tests of the API."""
    name = f"api{uuid.uuid4().hex[:10]}"
    connection = await asyncpg.connect(postgres_url)
    await connection.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
    yield urlunsplit(urlsplit(postgres_url)._replace(path=f"/{name}"))
    await connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
    await connection.close()


@pytest.fixture(scope="package")
async def settings(kafka_url: str, redis_url: str, api_database: str, data_folder: Path) -> AsyncIterator[Settings]:
    """Of an exchange with topics of its own."""
    port = free_port()
    names = Names(f"api{uuid.uuid4().hex[:10]}")
    await ensure_topics(kafka_url, names, 3)
    yield Settings(
        data=data_folder / "api",
        port=port,
        public_url=f"http://127.0.0.1:{port}",
        namespace=names.namespace,
        kafka_url=kafka_url,
        postgres_url=api_database,
        redis_url=redis_url,
        admin_key=ADMIN_KEY,
        token_key=TOKEN_KEY,
        pseudonym_key=PSEUDONYM_KEY,
        allow_private_endpoints=True,
    )
    await delete_topics(kafka_url, names)


@pytest.fixture(scope="package")
async def empty_api(settings: Settings) -> AsyncIterator[RunningApi]:
    """The API, and the projections that feed its queries."""
    async with running_projections(settings), running_api(settings) as api:
        # Brokers take their time over the first write to new topics.
        await until(lambda: _is_logged(api), seconds=30)
        yield api


@pytest.fixture(scope="package")
async def api(empty_api: RunningApi) -> AsyncIterator[RunningApi]:
    """The API with two bidders that auctions already ask."""
    async with bidding(HIGH_CPM, LANDING_URL) as high, bidding(LOW_CPM, LANDING_URL) as low:
        for name, endpoint in (("High", high), ("Low", low)):
            await register(empty_api, {"name": name, "endpoint": endpoint})
        await until(lambda: _both_bid(empty_api))
        yield empty_api


class Auction(NamedTuple):
    """One that was held and won."""

    id: str
    bid: dict[str, Any]

    @property
    def impression_url(self) -> str:
        return _without_host(self.bid["ext"]["gavel"]["impression_url"])

    @property
    def click_url(self) -> str:
        return _without_host(self.bid["ext"]["gavel"]["click_url"])


@pytest.fixture
async def auction(api: RunningApi) -> Auction:
    """A fresh auction that the higher bidder has won."""
    return await hold(api)


def bid_request(**changes: Any) -> dict[str, Any]:
    """A good one; a change to None leaves the member out."""
    request = {
        "id": uuid.uuid4().hex,
        "at": 2,
        "cur": ["USD"],
        "tmax": 5_000,
        "imp": [{"id": "1", "bidfloor": 0.5, "banner": {"format": [{"w": 300, "h": 250}]}}],
        "site": {"domain": "news.example", "page": "https://news.example/today", "publisher": {"id": "pub-1"}},
        "device": {"ua": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0", "ip": "192.0.2.7"},
    } | changes
    return {name: value for name, value in request.items() if value is not None}


async def hold(api: RunningApi, **changes: Any) -> Auction:
    async with api.http.post("/openrtb2/auction", json=bid_request(**changes)) as response:
        assert response.status == 200, await response.text()
        answer = msgspec.json.decode(await response.read())
        return Auction(response.headers["Gavel-Auction"], answer["seatbid"][0]["bid"][0])


async def register(api: RunningApi, terms: dict[str, Any]) -> tuple[dict[str, Any], str]:
    """Registers a bidder; the entity and the token to wait with."""
    async with api.http.post("/v1/bidders", json=terms, headers=api.authorized) as response:
        assert response.status == 201, await response.text()
        return msgspec.json.decode(await response.read()), response.headers["Gavel-Token"]


async def _is_logged(api: RunningApi) -> bool:
    async with api.http.post("/openrtb2/auction", json=bid_request(test=1)) as response:
        return response.status < 500


async def _both_bid(api: RunningApi) -> bool:
    async with api.http.post("/openrtb2/auction", json=bid_request(test=1)) as response:
        answer = msgspec.json.decode(await response.read())
    prices = [bid["price"] for seat in answer.get("seatbid", []) for bid in seat["bid"]]
    return prices == [CLEARING_CPM]


def _without_host(url: str) -> str:
    return urlunsplit(urlsplit(url)._replace(scheme="", netloc=""))
