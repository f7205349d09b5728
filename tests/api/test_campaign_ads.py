"""A campaign's ad on a page: shown, seen and clicked by way of `GET /ad`, and what its advertiser is told."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from html import unescape
from typing import Any, NamedTuple
from urllib.parse import urlsplit, urlunsplit

import msgspec
import pytest

from tests.api.running_api import RunningApi, until
from tests.api.test_catalogue import ask, registered
from tests.api.test_engagements import BROWSER, verdicts

LANDING_URL = (
    "https://shop.example/${CAMPAIGN_ID}?click=${CLICK_ID}&auction=${AUCTION_ID}&ad=${AD_ID}&at=${PLACEMENT_ID}"
)
PICTURE = "https://cdn.shop.example/summer.png?a=1&b=2"


class Shown(NamedTuple):
    """Ids of a campaign that a placement shows."""

    api: RunningApi
    placement: str
    campaign: str
    ad: str

    async def ask(self) -> dict[str, Any] | None:
        """The ad; None: there is nothing to show."""
        async with self.api.http.get("/ad", params={"placement": self.placement}, headers=BROWSER) as response:
            assert response.status in {200, 204}, await response.text()
            return msgspec.json.decode(await response.read()) if response.status == 200 else None


@pytest.fixture(scope="module")
async def shown(empty_api: RunningApi) -> AsyncIterator[Shown]:
    """On a placement that is too dear for everybody else; over when the tests are."""
    publisher = await registered(empty_api, "publishers", {"name": "D", "domain": "daily.example", "share_bps": 8_000})
    placement = await registered(
        empty_api,
        "placements",
        {"publisher_id": publisher["id"], "name": "Top", "sizes": [[300, 250]], "floor_cpm": "70.00"},
    )
    advertiser = await registered(empty_api, "advertisers", {"name": "Shop", "domain": "shop.example"})
    campaign = await registered(
        empty_api,
        "campaigns",
        {
            "advertiser_id": advertiser["id"],
            "name": "Summer",
            "bid_cpm": "80.00",
            "budget": "100.00",
            "pacing": "asap",
            "targeting": {"placement_ids": [placement["id"]]},
        },
    )
    looks = {"width": 300, "height": 250, "image_url": PICTURE, "landing_url": LANDING_URL}
    ad = await registered(empty_api, "ads", {"campaign_id": campaign["id"], "name": "Beach", **looks})
    shown = Shown(empty_api, placement["id"], campaign["id"], ad["id"])
    await until(shown.ask, seconds=30)
    yield shown
    assert (await ask(empty_api, "POST", f"/v1/campaigns/{campaign['id']}/archive")).status == 200


def path_of(url: str) -> str:
    return urlunsplit(urlsplit(url)._replace(scheme="", netloc=""))


async def test_a_campaigns_picture(shown: Shown) -> None:
    """It is a link to the click address, and the pixel stands beside it."""
    found = await shown.ask()
    assert found is not None
    assert (found["width"], found["height"], found["house"]) == (300, 250, False)
    [picture] = re.findall(r'<img src="([^"]+)" width="300" height="250"', found["markup"])
    assert unescape(picture) == PICTURE
    assert f'<a href="{found["click_url"]}"' in found["markup"]
    before = verdicts(shown.api)["valid"]
    async with shown.api.http.get(path_of(found["impression_url"]), headers=BROWSER) as response:
        assert response.status == 200
    assert verdicts(shown.api)["valid"] == before + 1


async def test_the_advertiser_is_told_what_was_clicked(shown: Shown) -> None:
    """Campaign, ad, placement, auction, and an id that only this click has."""
    found = await shown.ask()
    assert found is not None
    async with shown.api.http.get(path_of(found["click_url"]), headers=BROWSER, allow_redirects=False) as response:
        assert response.status == 302
        location = response.headers["Location"]
    told = re.fullmatch(r"https://shop\.example/(.+)\?click=([0-9a-f-]{36})&auction=(.+)&ad=(.+)&at=(.+)", location)
    assert told is not None, location
    assert (told[1], told[3], told[4], told[5]) == (shown.campaign, found["auction_id"], shown.ad, shown.placement)
