"""`GET /impression` and `GET /click` on the wire."""

from __future__ import annotations

import aiohttp
import pytest

from domain.tokens import TokenKey, sign, verify
from tests.api.conftest import LANDING_URL, TOKEN_KEY, Auction
from tests.api.running_api import RunningApi

BROWSER = {"User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"}
GIF_BYTES = 43


async def logged_engagements(api: RunningApi) -> int:
    return sum((await api.services.watermarks.high([api.services.names.engagements])).values())


def assert_is_pixel(response: aiohttp.ClientResponse, content: bytes) -> None:
    assert response.status == 200
    assert response.headers["Content-Type"] == "image/gif"
    assert response.headers["Cache-Control"] == "no-store, no-cache, must-revalidate, max-age=0"
    assert response.headers["Pragma"] == "no-cache"
    assert response.headers["Expires"] == "0"
    assert (len(content), content[:6]) == (GIF_BYTES, b"GIF89a")


async def test_the_pixel_is_logged_before_it_is_answered(api: RunningApi, auction: Auction) -> None:
    """The GIF that no cache keeps comes after the impression is in the log."""
    before = await logged_engagements(api)
    async with api.http.get(auction.impression_url, headers=BROWSER) as response:
        assert_is_pixel(response, await response.read())
    assert await logged_engagements(api) == before + 1


async def test_looking_at_the_pixels_headers_is_no_impression(api: RunningApi, auction: Auction) -> None:
    """A HEAD tells the size and records nothing."""
    before = await logged_engagements(api)
    async with api.http.head(auction.impression_url, headers=BROWSER) as response:
        assert (response.status, response.headers["Content-Length"]) == (200, str(GIF_BYTES))
    assert await logged_engagements(api) == before


def of_another_installation(address: str) -> str:
    """The address with all that it says, signed with a key that is not this exchange's."""
    path, _, token = address.partition("?t=")
    claims = verify(token, [TokenKey.of(bytes.fromhex(TOKEN_KEY))])
    return f"{path}?t={sign(claims, TokenKey.of(b'of another installation'))}"


@pytest.mark.parametrize("change", ["forged", "cut", "empty", "missing", "a click's", "another installation's"])
async def test_a_pixel_that_was_tampered_with_is_still_a_pixel(api: RunningApi, auction: Auction, change: str) -> None:
    """A page never shows a broken image; nothing is logged for a token that cannot be believed."""
    before = await logged_engagements(api)
    address = {
        "forged": auction.impression_url[:-6] + "AAAAAA",
        "cut": auction.impression_url[:-20],
        "empty": "/impression?t=",
        "missing": "/impression",
        "a click's": auction.click_url.replace("/click", "/impression"),
        "another installation's": of_another_installation(auction.impression_url),
    }[change]
    async with api.http.get(address, headers=BROWSER) as response:
        assert_is_pixel(response, await response.read())
    assert await logged_engagements(api) == before


async def test_a_click_leads_to_the_landing_page(api: RunningApi, auction: Auction) -> None:
    """The redirect is not cached, tells the advertiser nothing of the page, and comes after the click is logged."""
    before = await logged_engagements(api)
    async with api.http.get(auction.click_url, headers=BROWSER, allow_redirects=False) as response:
        assert (response.status, response.headers["Location"]) == (302, LANDING_URL)
        assert response.headers["Cache-Control"] == "no-store"
        assert response.headers["Referrer-Policy"] == "no-referrer"
    assert await logged_engagements(api) == before + 1


@pytest.mark.parametrize(
    "said",
    [
        {"Sec-Purpose": "prefetch"},
        {"Sec-Purpose": "prefetch;prerender"},
        {"Purpose": "prefetch"},
        {"X-Purpose": "preview"},
        {"X-Moz": "prefetch"},
    ],
)
async def test_what_is_only_fetched_ahead_of_time(api: RunningApi, auction: Auction, said: dict[str, str]) -> None:
    """Pixel and redirect are what they always are, but nobody has seen the ad or clicked on it yet."""
    bots, counted = verdicts(api)["bot"], verdicts(api)["valid"]
    for _ in range(2):
        async with api.http.get(auction.impression_url, headers=BROWSER | said) as response:
            assert_is_pixel(response, await response.read())
        async with api.http.get(auction.click_url, headers=BROWSER | said, allow_redirects=False) as response:
            assert (response.status, response.headers["Location"]) == (302, LANDING_URL)
    assert verdicts(api)["bot"] == bots + 2
    async with api.http.get(auction.impression_url, headers=BROWSER | {"Sec-Purpose": "speculative"}):
        pass
    assert verdicts(api)["valid"] == counted + 1


@pytest.mark.parametrize("change", ["forged", "cut", "missing", "a pixel's", "another installation's"])
async def test_a_click_that_was_tampered_with_leads_nowhere(api: RunningApi, auction: Auction, change: str) -> None:
    """An open redirect would lend the exchange's name to anybody."""
    before = await logged_engagements(api)
    address = {
        "forged": auction.click_url[:-6] + "AAAAAA",
        "cut": auction.click_url[:-20],
        "missing": "/click?url=https://evil.example/",
        "a pixel's": auction.impression_url.replace("/impression", "/click"),
        "another installation's": of_another_installation(auction.click_url),
    }[change]
    async with api.http.get(address, headers=BROWSER, allow_redirects=False) as response:
        problem = await response.json(content_type="application/problem+json")
    assert (response.status, problem["type"]) == (400, "/problems/invalid-token")
    assert "Location" not in response.headers
    assert await logged_engagements(api) == before


@pytest.mark.parametrize(("path", "allowed"), [("/impression", "GET, HEAD"), ("/click", "GET")])
async def test_other_methods_are_not_allowed(api: RunningApi, path: str, allowed: str) -> None:
    """The answer to a wrong method lists the right ones."""
    async with api.http.post(path) as response:
        assert (response.status, response.headers["Allow"]) == (405, allowed)


async def test_verdicts_are_counted(api: RunningApi, auction: Auction) -> None:
    """Metrics tell valid, repeated, robots' and forged hits apart."""
    before = verdicts(api)
    async with api.http.get(auction.impression_url, headers={"User-Agent": "Googlebot/2.1"}):
        pass
    for _ in range(2):
        async with api.http.get(auction.impression_url, headers=BROWSER):
            pass
    async with api.http.get("/impression?t=nonsense", headers=BROWSER):
        pass
    after = verdicts(api)
    changed = {verdict: after[verdict] - before[verdict] for verdict in after if after[verdict] != before[verdict]}
    assert changed == {"valid": 1, "duplicate": 1, "bot": 1, "forged": 1}


def verdicts(api: RunningApi) -> dict[str, float]:
    start = 'gavel_engagements_total{kind="impression",verdict="'
    lines = api.services.metrics.exposition().decode().splitlines()
    return {line.split('"')[3]: float(line.split()[-1]) for line in lines if line.startswith(start)}
