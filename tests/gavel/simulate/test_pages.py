"""The simulated pages: what they ask for, and what their viewers do with the answers."""

from __future__ import annotations

from collections import Counter
from itertools import islice
from typing import Any

import msgspec
import pytest
from aiohttp import web

from api.write.ad_query import ad_query
from gavel.simulate.example_catalogue import NOTHING_STORED, Stored
from gavel.simulate.exchange_client import ExchangeClient
from gavel.simulate.figures import Observations
from gavel.simulate.pages import Pages, page_views
from gavel.simulate.viewers import Viewers

STORED = Stored({}, {("harbourdaily.example", (300, 250)): "pl-1", ("orbitreview.example", (728, 90)): "pl-2"})
VIEWS = 120


def test_the_same_seed_opens_the_same_pages() -> None:
    """Another seed opens others; where nothing is stored there are none."""
    first, again, other = (list(islice(page_views(seed, STORED), VIEWS)) for seed in (1, 1, 2))
    assert first == again
    assert first != other
    assert list(page_views(1, NOTHING_STORED)) == []


def test_every_page_asks_what_the_exchange_understands() -> None:
    """For a stored placement, from a page of its site, with the viewer's choice where there is one to make."""
    for view in islice(page_views(1, STORED), VIEWS):
        asked = ad_query(view.target.partition("?")[2].encode(), {}, ip=view.viewer.ip).asked
        site = {"pl-1": "harbourdaily.example", "pl-2": "orbitreview.example"}[asked.placement_id]
        assert asked.page.startswith(f"https://{site}/articles/")
        assert asked.gdpr == (1 if view.viewer.country.gdpr else None)
        assert view.viewer.country.gdpr or not asked.consent


class Exchange:
    """Answers every third page with an ad, every third with a house ad, and the others with nothing."""

    def __init__(self) -> None:
        self.asked = 0
        self.pixels: Counter[str] = Counter()

    async def ad(self, request: web.Request) -> web.Response:
        self.asked += 1
        if self.asked % 3 == 2:
            return web.Response(status=204)
        auction_id, house = f"a{self.asked}", self.asked % 3 == 1
        pixel = f"http://{request.host}/impression?t={auction_id}"
        answer = {"auction_id": auction_id, "markup": f'<img src="{pixel}">', "house": house}
        return web.Response(body=msgspec.json.encode(answer), content_type="application/json")

    async def impression(self, request: web.Request) -> web.Response:
        self.pixels[request.query["t"]] += 1
        return web.Response()


@pytest.fixture
async def exchange() -> Any:
    """On a real socket; its address beside it."""
    exchange, application = Exchange(), web.Application()
    application.router.add_get("/ad", exchange.ad)
    application.router.add_get("/impression", exchange.impression)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    [address] = runner.addresses
    yield exchange, f"http://127.0.0.1:{address[1]}"
    await runner.cleanup()


async def test_viewers_look_at_what_is_sold(exchange: tuple[Exchange, str]) -> None:
    """Most fetch the pixel; a house ad has none that anybody counts."""
    served, url = exchange
    observations, client = Observations(keep_evidence=False), ExchangeClient(url)
    async with Viewers(client, observations, seed=1) as viewers:
        views = page_views(1, STORED)
        await Pages(client, viewers, observations).open(views, iter([0.0] * VIEWS))
    client.close()
    figures = observations.figures
    assert (figures.sent, figures.answered_200, figures.answered_204) == (VIEWS, VIEWS * 2 // 3, VIEWS // 3)
    sold = {f"a{number}" for number in range(1, VIEWS + 1) if number % 3 == 0}
    assert served.pixels.keys() <= sold
    assert len(served.pixels) > len(sold) / 2
    assert figures.impressions_gross == served.pixels.total()
