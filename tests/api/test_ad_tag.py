"""The tag in a real browser: a page of another origin shows the ad, and the ad gets no hold of the page."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from html import escape
from typing import NamedTuple

import pytest
from aiohttp import web
from playwright.async_api import Browser, Frame, Page, Response, expect

from tests.api.running_api import RunningApi, bidding, until
from tests.api.test_catalogue import ask, registered

LANDING_URL = "https://shop.example/offer"
CPM = 60.0
CLOSES_EVERYTHING = """<meta http-equiv="Content-Security-Policy" content="img-src 'none'">
"'></iframe></body></html><script>
for (const attempt of [
  () => { top.document.title = "taken over"; },
  () => { parent.document.body.remove(); },
  () => { top.location = "https://evil.example/"; },
  () => { localStorage.setItem("x", "y"); },
  () => { parent.parent.postMessage({ gavel: { width: 5000, height: 5000 } }, "*"); },
]) {
  try { attempt(); } catch (error) { document.title += `${error.name}!`; }
}
</script><a id="buy" href="${GAVEL_CLICK_URL}">Buy now</a>"""


class Site(NamedTuple):
    """Two placements of a publisher whose pages are on an origin of their own."""

    api: RunningApi
    hostile: str
    """Sold to an ad that tries to break out."""
    house: str
    """Sold to nobody."""


@pytest.fixture(scope="module")
async def site(empty_api: RunningApi) -> AsyncIterator[Site]:
    """Its bidder is gone afterwards."""
    publisher = await registered(empty_api, "publishers", {"name": "D", "domain": "daily.example", "share_bps": 8_000})
    space = {"publisher_id": publisher["id"], "sizes": [[300, 250], [728, 90]], "floor_cpm": "50.00"}
    house_ad = {
        "width": 728,
        "height": 90,
        "landing_url": "https://daily.example/join",
        "html": '<div style="width:728px;height:90px;background:#fe0;font:32px sans-serif">Join the Daily</div>',
    }
    hostile = await registered(empty_api, "placements", {**space, "name": "Top"})
    house = await registered(
        empty_api, "placements", {**space, "name": "Foot", "floor_cpm": "900.00", "house_ads": [house_ad]}
    )
    async with bidding(CPM, LANDING_URL, CLOSES_EVERYTHING) as endpoint:
        bidder = await registered(
            empty_api, "bidders", {"name": "Hostile", "endpoint": endpoint, "placement_ids": [hostile["id"]]}
        )
        for placement in (hostile["id"], house["id"]):
            await until(lambda placement=placement: _is_shown(empty_api, placement))
        yield Site(empty_api, hostile["id"], house["id"])
        assert (await ask(empty_api, "POST", f"/v1/bidders/{bidder['id']}/archive")).status == 200
        await until(lambda: _is_gone(empty_api, hostile["id"]))


async def _is_shown(api: RunningApi, placement: str) -> bool:
    async with api.http.get("/ad", params={"placement": placement, "test": 1}, headers=BROWSER) as response:
        return response.status == 200


async def _is_gone(api: RunningApi, placement: str) -> bool:
    return not await _is_shown(api, placement)


BROWSER = {"User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"}


class Opened(NamedTuple):
    """A publisher's page in a browser."""

    page: Page
    answers: list[Response]
    """Of all that it has asked for."""

    async def answered(self, part: str) -> Response:
        """The first answer to an address that holds this."""

        async def is_there() -> bool:
            return any(part in each.url for each in self.answers)

        await until(is_there, seconds=30)
        return next(each for each in self.answers if part in each.url)


@asynccontextmanager
async def opened(browser: Browser, html: str) -> AsyncIterator[Opened]:
    """The page is served from another port: another origin."""

    async def answer(request: web.Request) -> web.Response:
        return web.Response(text=f"<!doctype html><title>The Daily</title>{html}", content_type="text/html")

    application = web.Application()
    application.router.add_get("/news", answer)
    runner = web.AppRunner(application)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        [address] = runner.addresses
        context = await browser.new_context(user_agent=BROWSER["User-Agent"], viewport={"width": 900, "height": 500})
        page = await context.new_page()
        answers: list[Response] = []

        def hear(response: Response) -> None:
            answers.append(response)

        page.on("response", hear)
        await page.goto(f"http://127.0.0.1:{address[1]}/news?id=1#top")
        yield Opened(page, answers)
        await context.close()
    finally:
        await runner.cleanup()


def tag(site: Site, placement: str, attributes: str = "") -> str:
    address = f"{site.api.base_url}/ad.js"
    return f'<h1>News</h1><script async src="{address}" data-placement="{placement}" {attributes}></script>'


async def ad_frame(page: Page, is_it: Callable[[Frame], bool] = lambda frame: frame.url == "about:srcdoc") -> Frame:
    """The innermost frame, where the ad's own markup stands, once it is loaded."""

    async def is_there() -> bool:
        return any(is_it(frame) for frame in page.frames)

    await until(is_there, seconds=30)
    frame = next(frame for frame in page.frames if is_it(frame))
    await frame.wait_for_load_state("load")
    return frame


async def test_an_ad_cannot_leave_its_frame(browser: Browser, site: Site) -> None:
    """Markup that closes every tag, forbids all images and reaches out changes nothing there, and still counts."""
    async with opened(browser, tag(site, site.hostile)) as tab:
        page = tab.page
        frame = await ad_frame(page)
        assert (await tab.answered("/impression?t=")).status == 200
        await expect(frame.locator("#buy")).to_have_text("Buy now")
        assert await page.title() == "The Daily"
        assert page.url.endswith("/news?id=1#top")
        assert await frame.title() == "SecurityError!" * 4
        assert await frame.evaluate("window.origin") == "null"
        outer = page.locator("iframe")
        await expect(outer).to_have_count(1)
        await expect(outer).to_have_attribute("width", "300")
        await expect(outer).to_have_attribute("height", "250")
        assert "allow-same-origin" not in (await outer.get_attribute("sandbox") or "")


async def test_a_click_opens_the_landing_page_in_a_window_of_its_own(browser: Browser, site: Site) -> None:
    """It goes by the exchange, which sends it on; the publisher's page stays."""
    async with opened(browser, tag(site, site.hostile)) as (page, _):
        await page.context.route(f"{LANDING_URL}**", lambda route: route.fulfill(body="The shop"))
        frame = await ad_frame(page)
        async with page.context.expect_page() as opening:
            await frame.locator("#buy").click()
        shop = await opening.value
        await shop.wait_for_url(f"{LANDING_URL}**")
        assert await shop.locator("body").inner_text() == "The shop"
        assert await page.title() == "The Daily"


async def test_a_house_ad_takes_the_room_that_it_needs(browser: Browser, site: Site) -> None:
    """The frame gets the size of the ad that is shown, beside what the tag's own page says."""
    async with opened(browser, tag(site, site.house)) as (page, _):
        frame = await ad_frame(page)
        await expect(frame.locator("a")).to_have_attribute("href", "https://daily.example/join")
        box = await page.locator("iframe").bounding_box()
        assert box is not None
        assert (box["width"], box["height"]) == (728, 90)
        assert await page.locator("script").evaluate("it => it.nextElementSibling.tagName") == "IFRAME"


async def test_a_size_keeps_its_room(browser: Browser, site: Site) -> None:
    """Stated, it is there before the ad is, and stays where there is none."""
    async with opened(browser, tag(site, site.house, 'data-width="300" data-height="250"')) as tab:
        response = await tab.answered("/ad?")
        assert response.status == 204
        assert "w=300&h=250" in response.url
        box = await tab.page.locator("iframe").bounding_box()
        assert box is not None
        assert (box["width"], box["height"]) == (300, 250)


async def test_the_tag_says_what_the_page_knows(browser: Browser, site: Site) -> None:
    """The page's address without its fragment, and what its attributes state."""
    stated = 'data-gdpr="1" data-consent="CQbOE4A" data-us-privacy="1YNN" data-gpp-sid="2" data-country="DEU"'
    async with opened(browser, tag(site, site.house, stated)) as tab:
        url = (await tab.answered("/ad?")).url
    expected = ("gdpr=1", "consent=CQbOE4A", "us_privacy=1YNN", "gpp_sid=2", "country=DEU", "format=html")
    assert all(each in url for each in expected), url
    assert "news%3Fid%3D1&" in url


async def test_a_tag_in_a_frame_without_an_address_says_none(browser: Browser, site: Site) -> None:
    """The ad is shown all the same."""
    async with opened(browser, f'<iframe srcdoc="{escape(tag(site, site.house))}"></iframe>') as tab:
        answer = await tab.answered("/ad?")
    assert answer.status == 200
    assert "url=" not in answer.url


async def test_the_tag_waits_for_the_persons_choice(browser: Browser, site: Site) -> None:
    """While the page's consent dialogue is open nothing is asked; its answer goes along."""
    dialogue = """<script>
      window.__tcfapi = (command, version, tell) => {
        tell({ eventStatus: "cmpuishown" }, true);
        const chosen = { eventStatus: "useractioncomplete", gdprApplies: true, tcString: "CQchosen" };
        window.answer = () => tell(chosen, true);
      };
    </script>"""
    async with opened(browser, dialogue + tag(site, site.house)) as tab:
        await tab.page.wait_for_function("window.answer !== undefined")
        assert await tab.page.locator("iframe").count() == 0
        await tab.page.evaluate("window.answer()")
        url = (await tab.answered("/ad?")).url
    assert "gdpr=1" in url
    assert "consent=CQchosen" in url
