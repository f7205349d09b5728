"""The auctions and figures of a tenant: its own, and of what was bid not a word."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from playwright.async_api import Browser, expect

from projections.queries.delivery import DeliveryReport, DeliveryRow, DeliveryTotals, Money
from tests.api.conftest import Auction, bid_request, hold
from tests.api.feed import fresh_feed, record
from tests.api.running_api import RunningApi, until
from tests.api.tenants import Buyer, Seller, as_holder, buyer, issued, seller
from tests.api.test_catalogue import ask

PATIENCE_MS = 30_000
BIDS = re.compile(r"(?<![\d.])(2\.50|1\.20)(?!\d)")
"""What the bidders of these tests bid; the winner pays 1.21."""


@pytest.fixture(scope="module")
async def sellers(api: RunningApi) -> tuple[Seller, Seller]:
    return await seller(api, "Herald"), await seller(api, "Tribune")


@pytest.fixture(scope="module")
async def shop(api: RunningApi) -> Buyer:
    return await buyer(api, "Market")


@pytest.fixture(scope="module")
async def auction(api: RunningApi, sellers: tuple[Seller, Seller]) -> Auction:
    """Of the first publisher's inventory, seen once, and in the read models."""
    publisher = {"id": sellers[0].publisher["id"]}
    held = await hold(api, site={"domain": "herald.example", "publisher": publisher})
    viewer = {"User-Agent": bid_request()["device"]["ua"]}
    async with api.http.get(held.impression_url, headers=viewer) as response:
        assert response.status == 200

    async def is_told() -> bool:
        story = await ask(api, "GET", f"/v1/auctions/{held.id}")
        report = await ask(api, "GET", f"/v1/reports/delivery?publisher={publisher['id']}")
        return bool(story.body.get("engagements")) and report.body["totals"]["impressions"] == 1

    await until(is_told, seconds=20)
    return held


def texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    for child in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from texts(child)


async def test_a_publisher_reads_its_auction(api: RunningApi, sellers: tuple[Seller, Seller], auction: Auction) -> None:
    """Who was asked and how it ended, what it is paid and what came of it; what was bid stands nowhere."""
    story = (await as_holder(api, sellers[0].key, "GET", f"/v1/auctions/{auction.id}")).body
    [imp] = story["imps"]
    ends = {each["bidder"]: each["status"] for each in imp["outcomes"]}
    assert (ends["High"], ends["Low"]) == ("won", "lost")
    assert (imp["award"]["price"], imp["award"]["clearing_price"]) == (None, "1.21")
    assert [each["kind"] for each in story["engagements"]] == ["impression"]
    assert "High won and pays 1.21 USD" in " ".join(texts(story["told"]))
    told = [*texts(story["imps"]), *texts(story["told"])]
    assert not [each for each in told if BIDS.search(each)]
    assert not [each for each in imp["outcomes"] if "price" in each or "stated" in each or "other_bids" in each]
    operators = (await ask(api, "GET", f"/v1/auctions/{auction.id}")).body
    assert [each for each in texts(operators["imps"]) if BIDS.search(each)], "the operator is told"


async def test_an_auction_of_others_is_not_there(
    api: RunningApi, sellers: tuple[Seller, Seller], auction: Auction
) -> None:
    """404 in the words for what never was held; the list of the one has it, that of the other has not."""
    unknown = "01936f2a-0000-7000-8000-000000000000"
    refused = await as_holder(api, sellers[1].key, "GET", f"/v1/auctions/{auction.id}")
    never = await as_holder(api, sellers[1].key, "GET", f"/v1/auctions/{unknown}")
    assert (refused.status, refused.body["detail"].replace(auction.id, unknown)) == (404, never.body["detail"])
    own, other = [(await as_holder(api, each.key, "GET", "/v1/auctions")).body["items"] for each in sellers]
    assert [each["id"] for each in own] == [auction.id]
    assert other == []


async def test_a_publisher_reports_on_itself(api: RunningApi, sellers: tuple[Seller, Seller], auction: Auction) -> None:
    """Whatever it groups by; another's figures do not exist, and its own filters work within its own."""
    own, other = sellers
    report = await as_holder(api, own.key, "GET", "/v1/reports/delivery?by=publisher")
    assert {each["publisher"] for each in report.body["rows"]} == {own.publisher["id"]}
    totals = report.body["totals"]
    assert (totals["requests"], totals["impressions"], totals["spend"]) == (1, 1, "0.00121")
    nothing = await as_holder(api, other.key, "GET", "/v1/reports/delivery?by=publisher")
    assert (nothing.body["rows"], nothing.body["totals"]["requests"]) == ([], 0)
    named = await as_holder(api, own.key, "GET", f"/v1/reports/delivery?publisher={other.publisher['id']}")
    assert named.status == 404
    site = await as_holder(api, own.key, "GET", "/v1/reports/delivery?site=elsewhere.example")
    assert site.body["rows"] == []


async def test_the_board_of_a_tenant(
    browser: Browser, api: RunningApi, sellers: tuple[Seller, Seller], shop: Buyer, auction: Auction
) -> None:
    """Signed in, a publisher sees its days and auctions in place of the exchange's; an advertiser its days alone."""
    page = await browser.new_page(viewport={"width": 1280, "height": 700})
    broken: list[str] = []
    page.on("pageerror", lambda error: broken.append(str(error)))
    await page.goto(f"{api.base_url}/#key={sellers[0].key.secret}")
    figures = page.locator("#tenant-figures tbody tr")
    await expect(figures).to_have_count(1, timeout=PATIENCE_MS)
    await expect(figures).to_contain_text("0.000968 USD")
    await expect(page.locator("#tenant-note")).to_contain_text("This key is a publisher's")
    await expect(page.locator("#live")).to_be_hidden()
    await page.locator("#auctions tr[data-id] button").click()
    story = page.get_by_role("dialog")
    await expect(story.locator(".verdict")).to_contain_text("High won and pays 1.21 USD", timeout=PATIENCE_MS)
    await page.keyboard.press("Escape")
    await page.get_by_role("button", name="Sign out").click()
    await page.get_by_label("Access key").fill(shop.key.secret)
    await page.keyboard.press("Enter")
    await expect(page.locator("#tenant-figures")).to_contain_text("Nothing was delivered", timeout=PATIENCE_MS)
    await expect(page.locator("#last-auctions")).to_be_hidden()
    await expect(page.locator("#connection")).to_have_text("Signed in")
    await page.close()
    assert broken == []


async def test_the_board_of_a_feed_client(browser: Browser, api: RunningApi) -> None:
    """Signed in, it sees what became of its records, by loads and changes."""
    feed = await fresh_feed(api)
    await feed.load([record("a"), b"{\n", record("b")])
    await feed.change({"op": "delete", "key": "a"})
    page = await browser.new_page(viewport={"width": 1280, "height": 700})
    broken: list[str] = []
    page.on("pageerror", lambda error: broken.append(str(error)))

    async def is_audited() -> bool:
        return bool((await ask(api, "GET", f"{feed.path}/audit")).body["totals"]["records"] == 3)

    await until(is_audited, seconds=30)
    await page.goto(f"{api.base_url}/#key={(await issued(api, 'feed_client', feed.client)).secret}")
    figures = page.locator("#tenant-figures")
    await expect(figures).to_contain_text(feed.name, timeout=PATIENCE_MS)
    rows = [await row.locator("td").all_inner_texts() for row in await figures.locator("tbody tr").all()]
    assert [row for row in rows if row[3] != "0"] == [
        ["Records read", "2", "1", "3"],
        ["Added", "2", "0", "2"],
        ["Deleted", "0", "1", "1"],
        ["Lines refused at the door", "1", "0", "1"],
    ]
    await expect(page.locator("#tenant-note")).to_contain_text("This key is a feed client's")
    await page.close()
    assert broken == []


async def test_an_advertiser_reports_on_itself(
    api: RunningApi, sellers: tuple[Seller, Seller], shop: Buyer, auction: Auction
) -> None:
    """What others bought is not in its report, and it cannot ask for a competitor's."""
    report = await as_holder(api, shop.key, "GET", "/v1/reports/delivery?by=publisher,bidder")
    assert (report.status, report.body["rows"]) == (200, [])
    named = await as_holder(api, shop.key, "GET", "/v1/reports/delivery?advertiser=somebody")
    assert named.status == 404


@pytest.mark.parametrize(("place", "told"), [(0, {"spend", "revenue", "fee"}), (1, {"spend"})])
async def test_a_buyer_is_not_told_who_earns_what(
    api: RunningApi, sellers: tuple[Seller, Seller], shop: Buyer, *, place: int, told: set[str]
) -> None:
    """An advertiser's report says what it spends; how that is shared is for the publisher and the operator."""
    key = (sellers[0].key, shop.key)[place]
    headers = {"Authorization": f"Bearer {key.secret}", "Accept": "text/csv"}
    async with api.http.get("/v1/reports/delivery?by=day", headers=headers) as response:
        columns = (await response.text()).splitlines()[0].split(",")
    assert {"spend", "revenue", "fee"} & set(columns) == told
    ordered = await as_holder(api, key, "GET", "/v1/reports/delivery?by=day&top=3&order=revenue")
    assert ordered.status == (200 if "revenue" in told else 400)


def test_money_as_a_buyer_is_told() -> None:
    """In rows, totals and each currency of the totals."""
    money = {"currency": "EUR", "spend": "1.00", "revenue": "0.80", "fee": "0.20", "ecpm": "2.00"}
    counts = dict.fromkeys(
        ("requests", "imps", "bids", "wins", "impressions_gross", "impressions", "clicks_gross", "clicks", "reach"), 1
    ) | dict.fromkeys(("fill_rate", "win_rate", "ctr"), 1.0)
    report = DeliveryReport(
        rows=(DeliveryRow(**counts, **money),),
        totals=DeliveryTotals(**counts, by_currency=(Money(**money),)),
        lag=0,
    )
    told = msgspec.json.encode(report.for_a_buyer())
    assert told.count(b'"spend":"1.00"') == 2
    assert b"0.80" not in told
    assert b"0.20" not in told
