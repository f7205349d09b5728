"""What is stated over `/v1` counts in the next auctions: floors, deals, rates, targeting, pauses."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, NamedTuple

import msgspec
import pytest

from tests.api.conftest import LANDING_URL, bid_request
from tests.api.running_api import RunningApi, bidding, until
from tests.api.test_catalogue import ask, registered

CPM = 50.0
"""Above what any other bidder of these tests would pay, and so are the floors."""


class Space(NamedTuple):
    """A placement that one bidder alone buys."""

    api: RunningApi
    publisher: str
    placement: str
    bidder: str

    async def price(self) -> float | None:
        """What a test auction for the placement clears at; None when nobody buys."""
        offered = {"id": "1", "tagid": self.placement, "banner": {"format": [{"w": 300, "h": 250}]}}
        request = bid_request(test=1, imp=[offered], site={"domain": "daily.example"})
        async with self.api.http.post("/openrtb2/auction", json=request) as response:
            assert response.status in {200, 204}, await response.text()
            if response.status == 204:
                return None
            answer = msgspec.json.decode(await response.read())
        prices = [bid["price"] for seat in answer.get("seatbid", []) for bid in seat["bid"]]
        return prices[0] if prices else None

    async def comes_to_cost(self, price: float | None) -> None:
        """Waits until the process' view of the catalogue has it."""

        async def costs() -> bool:
            return await self.price() == price

        await until(costs)

    async def change(self, kind: str, entity_id: str, **terms: Any) -> None:
        answer = await ask(self.api, "PATCH", f"/v1/{kind}/{entity_id}", terms)
        assert answer.status == 200, answer.body

    async def move(self, kind: str, entity_id: str, move: str) -> None:
        answer = await ask(self.api, "POST", f"/v1/{kind}/{entity_id}/{move}")
        assert answer.status == 200, answer.body


@pytest.fixture
async def space(empty_api: RunningApi) -> AsyncIterator[Space]:
    """With a floor of 40; its bidder is gone afterwards."""
    publisher = await registered(empty_api, "publishers", {"name": "D", "domain": "daily.example", "share_bps": 8_000})
    placement = await registered(
        empty_api,
        "placements",
        {"publisher_id": publisher["id"], "name": "Top", "sizes": [[300, 250]], "floor_cpm": "40.00"},
    )
    async with bidding(CPM, LANDING_URL) as endpoint:
        bidder = await registered(
            empty_api, "bidders", {"name": "Only", "endpoint": endpoint, "placement_ids": [placement["id"]]}
        )
        space = Space(empty_api, publisher["id"], placement["id"], bidder["id"])
        await space.comes_to_cost(40.0)
        yield space
        await space.move("bidders", bidder["id"], "archive")
        await space.comes_to_cost(None)


async def test_a_floor_that_is_changed(space: Space) -> None:
    """The next auctions clear at it; above the bid nothing is sold."""
    await space.change("placements", space.placement, floor_cpm="45.50")
    await space.comes_to_cost(45.5)
    await space.change("placements", space.placement, floor_cpm="50.01")
    await space.comes_to_cost(None)
    await space.change("placements", space.placement, floor_cpm="60.00", floor_rules=[{"floor_cpm": "30.00"}])
    await space.comes_to_cost(30.0)


@pytest.mark.parametrize("whose", ["publishers", "placements", "bidders"])
async def test_a_pause(space: Space, whose: str) -> None:
    """Whoever is paused takes no part, and takes part again once it is resumed."""
    entity_id = {"publishers": space.publisher, "placements": space.placement, "bidders": space.bidder}[whose]
    await space.move(whose, entity_id, "pause")
    await space.comes_to_cost(None)
    await space.move(whose, entity_id, "resume")
    await space.comes_to_cost(40.0)


async def test_targeting(space: Space) -> None:
    """A bidder that no longer buys the size is not asked for it."""
    await space.change("bidders", space.bidder, sizes=[[728, 90]])
    await space.comes_to_cost(None)
    await space.change("bidders", space.bidder, sizes=None, price_adjustment_bps=9_000)
    await space.comes_to_cost(40.0)
    await space.change("placements", space.placement, auction="first_price")
    request = bid_request(
        at=None, test=1, site={"domain": "daily.example"},
        imp=[{"id": "1", "tagid": space.placement, "banner": {"format": [{"w": 300, "h": 250}]}}],
    )  # fmt: skip

    async def pays_what_competed() -> bool:
        async with space.api.http.post("/openrtb2/auction", json=request) as response:
            answer = msgspec.json.decode(await response.read() or b"{}")
        return [bid["price"] for seat in answer.get("seatbid", []) for bid in seat["bid"]] == [45.0]

    await until(pays_what_competed)


async def test_a_rate(space: Space) -> None:
    """A floor in another currency counts once there is a rate, and by that rate."""
    await space.change("placements", space.placement, currency="SEK", floor_cpm="400.00")
    await space.comes_to_cost(None)
    for rate, floor in (("0.1", 40.0), ("0.11", 44.0)):
        stated = await ask(space.api, "POST", "/v1/currency-rates", {"base": "SEK", "quote": "USD", "rate": rate})
        assert stated.status in {200, 201}
        await space.comes_to_cost(floor)
