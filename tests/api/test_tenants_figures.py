"""The auctions and figures of a tenant: its own, and of what was bid not a word."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.api.conftest import Auction, bid_request, hold
from tests.api.running_api import RunningApi, until
from tests.api.tenants import Buyer, Seller, as_holder, buyer, seller
from tests.api.test_catalogue import ask

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


async def test_an_advertiser_reports_on_itself(
    api: RunningApi, sellers: tuple[Seller, Seller], shop: Buyer, auction: Auction
) -> None:
    """What others bought is not in its report, and it cannot ask for a competitor's."""
    report = await as_holder(api, shop.key, "GET", "/v1/reports/delivery?by=publisher,bidder")
    assert (report.status, report.body["rows"]) == (200, [])
    named = await as_holder(api, shop.key, "GET", "/v1/reports/delivery?advertiser=somebody")
    assert named.status == 404
