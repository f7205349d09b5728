"""`GET /ad` on the wire: what a page gets, what it leads to, and what is left of it in the log."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime
from html import unescape
from typing import Any, NamedTuple
from urllib.parse import urlsplit, urlunsplit

import msgspec
import pytest

from domain.limits import ADS_PER_IP_MINUTE_MAX
from domain.privacy import pseudonym
from tests.api.running_api import RunningApi, bidding, until
from tests.api.test_catalogue import ask, registered

BROWSER = {"User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"}
LANDING_URL = "https://shop.example/offer?click=${CLICK_ID}&auction=${AUCTION_ID}&at=${PLACEMENT_ID}"
CPM = 50.0
UNKNOWN = "01936f2a-5c1e-7cc3-98c4-dc0c0c07398f"
HOUSE_AD = {"width": 300, "height": 250, "landing_url": "https://daily.example/join", "html": "<b>Join us</b>"}


class Response(NamedTuple):
    status: int
    headers: Mapping[str, str]
    content: bytes

    @property
    def json(self) -> Any:
        return msgspec.json.decode(self.content)


class Page(NamedTuple):
    """A website with two placements: one that a bidder buys, and one that nobody does."""

    api: RunningApi
    sold: str
    unsold: str

    async def ad(self, placement: str, headers: Mapping[str, str] = BROWSER, **parameters: str | int) -> Response:
        query = {"placement": placement, **parameters}
        async with self.api.http.get("/ad", params=query, headers=headers) as response:
            return Response(response.status, response.headers, await response.read())

    async def comes_to_answer(self, placement: str, status: int) -> None:
        """Waits until the process' view of the catalogue has it."""

        async def answers() -> bool:
            return (await self.ad(placement, test=1)).status == status

        await until(answers)

    async def logged(self, topic: str) -> int:
        """How many events the topic holds."""
        return sum((await self.api.services.watermarks.high([topic])).values())


@pytest.fixture(scope="module")
async def page(empty_api: RunningApi) -> AsyncIterator[Page]:
    """Its bidder is gone afterwards."""
    publisher = await registered(empty_api, "publishers", {"name": "D", "domain": "daily.example", "share_bps": 8_000})
    space = {"publisher_id": publisher["id"], "sizes": [[300, 250], [728, 90]], "floor_cpm": "40.00"}
    sold = await registered(empty_api, "placements", {**space, "name": "Top"})
    unsold = await registered(empty_api, "placements", {**space, "name": "Foot", "floor_cpm": "900.00"})
    async with bidding(CPM, LANDING_URL) as endpoint:
        bidder = await registered(
            empty_api, "bidders", {"name": "Only", "endpoint": endpoint, "placement_ids": [sold["id"], unsold["id"]]}
        )
        page = Page(empty_api, sold["id"], unsold["id"])
        await page.comes_to_answer(sold["id"], 200)
        await page.comes_to_answer(unsold["id"], 204)
        yield page
        assert (await ask(empty_api, "POST", f"/v1/bidders/{bidder['id']}/archive")).status == 200
        await page.comes_to_answer(sold["id"], 204)


async def test_an_ad_as_json(page: Page) -> None:
    """Its size, its markup with the pixel in it, and the addresses that count; any page's script may read it."""
    before = await page.logged(page.api.services.names.auctions)
    answer = await page.ad(page.sold, url="https://daily.example/news")
    assert answer.status == 200
    ad = answer.json
    assert (ad["width"], ad["height"], ad["house"]) == (300, 250, False)
    assert ad["auction_id"] == answer.headers["Gavel-Auction"]
    assert ad["impression_url"] in ad["markup"]
    assert ad["click_url"] in ad["markup"]
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert await page.logged(page.api.services.names.auctions) > before


async def test_a_click_tells_the_landing_page_what_it_was(page: Page) -> None:
    """Each click has an id of its own, the one that it has in the log; auction and placement are named."""
    ad = (await page.ad(page.sold)).json
    told = []
    for _ in range(2):
        async with page.api.http.get(_path(ad["click_url"]), headers=BROWSER, allow_redirects=False) as response:
            assert response.status == 302
            told.append(response.headers["Location"])
    form = rf"https://shop\.example/offer\?click=([0-9a-f-]{{36}})&auction={ad['auction_id']}&at={page.sold}"
    ids = [found[1] for location in told if (found := re.fullmatch(form, location))]
    assert len(set(ids)) == 2, told

    async def is_read() -> bool:
        story = await ask(page.api, "GET", f"/v1/auctions/{ad['auction_id']}")
        return story.status == 200 and len(story.body["engagements"]) == 2

    await until(is_read, seconds=30)


async def test_an_ad_as_a_frames_page(page: Page) -> None:
    """The markup stands in a sandboxed frame, and the page around it is sandboxed by its own header."""
    answer = await page.ad(page.sold, format="html")
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    policy = answer.headers["Content-Security-Policy"]
    assert policy.startswith("sandbox allow-scripts")
    assert "allow-same-origin" not in policy
    assert "allow-top-navigation" not in policy
    html = answer.content.decode()
    [markup] = re.findall(r'srcdoc="([^"]*)"', html)
    assert "/click?t=" in unescape(markup)
    assert "/impression?t=" not in unescape(markup), "an ad could keep its own pixel from loading"
    assert re.findall(r'<img src="[^"]*(/impression[?]t=)', html) == ["/impression?t="]


async def test_a_long_ad_is_packed(page: Page) -> None:
    """For whoever takes gzip."""
    plain = await page.ad(page.sold, {**BROWSER, "Accept-Encoding": "identity"})
    packed = await page.ad(page.sold, {**BROWSER, "Accept-Encoding": "gzip"})
    assert "Content-Encoding" not in plain.headers
    assert packed.headers["Content-Encoding"] == "gzip"
    assert packed.json["markup"][:40] == plain.json["markup"][:40]


async def test_nothing_sold(page: Page) -> None:
    """204 without a house ad; the auction is in the log all the same."""
    before = await page.logged(page.api.services.names.auctions)
    answer = await page.ad(page.unsold)
    assert (answer.status, answer.content) == (204, b"")
    assert answer.headers["Gavel-Auction"]
    assert await page.logged(page.api.services.names.auctions) > before


async def test_a_house_ad_where_nothing_is_sold(page: Page) -> None:
    """It leads to its own page, nobody counts it, and the auction stays unsold; a pause does not hide it."""
    path = f"/v1/placements/{page.unsold}"
    assert (await ask(page.api, "PATCH", path, {"house_ads": [HOUSE_AD]})).status == 200
    await page.comes_to_answer(page.unsold, 200)
    ad = (await page.ad(page.unsold)).json
    assert (ad["house"], ad["impression_url"], ad["click_url"]) == (True, None, HOUSE_AD["landing_url"])
    assert "Join us" in ad["markup"]
    assert "Join us" in (await page.ad(page.unsold, format="html")).content.decode()
    assert (await page.ad(page.unsold, w=728, h=90)).status == 204, "it has another size"
    assert not (await page.ad(page.sold)).json["house"]

    async def is_unsold() -> bool:
        story = await ask(page.api, "GET", f"/v1/auctions/{ad['auction_id']}")
        return story.status == 200 and story.body["status"] == "unsold"

    await until(is_unsold, seconds=30)
    assert (await ask(page.api, "POST", f"{path}/pause")).status == 200
    assert (await page.ad(page.unsold)).json["house"]
    assert (await ask(page.api, "POST", f"{path}/resume")).status == 200
    assert (await ask(page.api, "PATCH", path, {"house_ads": []})).status == 200
    await page.comes_to_answer(page.unsold, 204)


async def test_a_placement_that_is_not_there(page: Page) -> None:
    """404, and no auction."""
    before = await page.logged(page.api.services.names.auctions)
    for placement in (UNKNOWN, "top", "../ad", "pl%00"):
        answer = await page.ad(placement)
        assert (answer.status, answer.json["type"]) == (404, "/problems/not-found")
    assert await page.logged(page.api.services.names.auctions) == before


@pytest.mark.parametrize("form", ["html", "json"])
async def test_a_page_without_an_address_gets_its_ad(page: Page, form: str) -> None:
    """It stands on the publisher's domain then."""
    answer = await page.ad(page.sold, url="about:srcdoc", format=form)
    assert answer.status == 200
    auction_id = answer.headers["Gavel-Auction"]

    async def is_listed() -> bool:
        listed = (await ask(page.api, "GET", "/v1/auctions?site=daily.example")).body["items"]
        return any(each["id"] == auction_id for each in listed)

    await until(is_listed, seconds=30)


@pytest.mark.parametrize(
    ("parameters", "path"),
    [
        ({"format": "xml"}, "format"),
        ({"w": 160, "h": 600}, "w"),
        ({"w": 300}, "h"),
        ({"gdpr": "maybe"}, "gdpr"),
        ({"placement": ""}, "placement"),
    ],
)
async def test_a_wrong_parameter(page: Page, parameters: dict[str, str | int], path: str) -> None:
    """400 with its name; nothing is logged."""
    before = await page.logged(page.api.services.names.auctions)
    answer = await page.ad(**{"placement": page.sold, **parameters})
    assert (answer.status, answer.json["type"]) == (400, "/problems/invalid-input")
    assert [fault["path"] for fault in answer.json["errors"]] == [path]
    assert await page.logged(page.api.services.names.auctions) == before


async def test_only_get(page: Page) -> None:
    """The answer to a wrong method names the right one."""
    async with page.api.http.post("/ad", params={"placement": page.sold}) as response:
        assert (response.status, response.headers["Allow"]) == (405, "GET")


async def test_an_address_that_asks_too_often(page: Page) -> None:
    """It is told to wait; others get their ads."""
    names, redis = page.api.services.names, page.api.services.redis
    address = "203.0.113.77"
    minute = int(datetime.now(UTC).timestamp()) // 60
    for near in (minute, minute + 1):
        key = names.rate_key("ads", pseudonym(b"\x22" * 16, address), near)
        await redis.set(key, ADS_PER_IP_MINUTE_MAX)
    limited = await page.ad(page.sold, {**BROWSER, "X-Forwarded-For": address})
    assert (limited.status, limited.json["type"]) == (429, "/problems/too-many-requests")
    assert 1 <= int(limited.headers["Retry-After"]) <= 60, "the next minute counts anew"
    blank = await page.ad(page.sold, {**BROWSER, "X-Forwarded-For": address}, format="html")
    assert (blank.status, blank.headers["Content-Type"]) == (429, "text/html; charset=utf-8")
    assert re.sub(b"<[^>]*>|Advertisement", b"", blank.content) == b"", "viewers see no error in the frame"
    assert (await page.ad(page.sold, {**BROWSER, "X-Forwarded-For": "203.0.113.78"})).status == 200


async def test_robots_are_sold_to_nobody(page: Page) -> None:
    """They get what is there without bidders."""
    assert (await page.ad(page.sold, {"User-Agent": "Googlebot/2.1"})).status == 204


async def test_the_tag(page: Page) -> None:
    """A script that any page may load, kept for some minutes."""
    async with page.api.http.get("/ad.js") as response:
        assert response.status == 200
        assert response.headers["Content-Type"].startswith("text/javascript")
        assert response.headers["Cross-Origin-Resource-Policy"] == "cross-origin"
        assert response.headers["Cache-Control"] == "public, max-age=300"
        script = await response.text()
    assert "sandbox" in script


def _path(url: str) -> str:
    return urlunsplit(urlsplit(url)._replace(scheme="", netloc=""))
