"""A campaign that pays for clicks, over HTTP: each is charged at the click, and none beyond the budget."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from tests.api.conftest import bid_request
from tests.api.running_api import RunningApi, until
from tests.api.tenants import buyer
from tests.api.test_catalogue import ask
from tests.api.test_engagements import BROWSER

SITE = "clicks.example"


async def test_clicks_beyond_the_budget_are_free(api: RunningApi) -> None:
    """Of two clicks at 2.51 a budget of 4 has room for one; both count, and both lead to the page."""
    heron = await buyer(api, "Heron")
    path = f"/v1/campaigns/{heron.campaign['id']}"
    terms = {"bid_cpm": None, "bid_cpc": "4.00", "budget": "4.00", "targeting": {"sites": [SITE]}, "pacing": "asap"}
    changed = await ask(api, "PATCH", path, terms, If_Match='"2"')
    assert changed.status == 200, changed.body
    assert (await ask(api, "POST", f"{path}/resume")).status == 200
    bids: list[dict[str, Any]] = []

    async def is_sold_twice() -> bool:
        bids.extend(each for each in await sold(api) if "Coats" in each["adm"])
        return len(bids) >= 2

    await until(is_sold_twice, seconds=20)
    free = await without_budget(api)
    # Both were sold before the first click, at the same price.
    for bid in bids[:2]:
        address = urlsplit(bid["ext"]["gavel"]["click_url"])
        for _ in range(2):
            async with api.http.get(f"{address.path}?{address.query}", headers=BROWSER, allow_redirects=False) as click:
                assert (click.status, click.headers["Location"]) == (302, "https://heron.example/coats")

    report: dict[str, Any] = {}

    async def all_are_counted() -> bool:
        nonlocal report
        report = (await ask(api, "GET", f"/v1/reports/delivery?campaign={heron.campaign['id']}")).body["totals"]
        budget = (await ask(api, "GET", f"{path}/budget")).body
        return bool(report["clicks_gross"] == 4 and budget.get("clicks") == 2)

    await until(all_are_counted, seconds=20)
    assert (report["clicks"], report["spend"]) == (2, "2.51")
    assert await without_budget(api) == free + 1
    budget = (await ask(api, "GET", f"{path}/budget")).body
    assert (budget["spent"], budget["reserved"], budget["left"]) == ("2.51", "0.00", "1.49")
    await ask(api, "POST", f"{path}/archive")


async def without_budget(api: RunningApi) -> float:
    """How many clicks were free so far because there was no room for them."""
    start = 'gavel_clicks_not_charged_total{reason="no_budget"} '
    async with api.http.get("/metrics") as response:
        lines = (await response.text()).splitlines()
    [count] = [line.removeprefix(start) for line in lines if line.startswith(start)]
    return float(count)


async def sold(api: RunningApi) -> list[dict[str, Any]]:
    """The bids that won on the campaign's site; two bidders bid less than it."""
    request = bid_request(site={"domain": SITE, "page": f"https://{SITE}/"})
    async with api.http.post("/openrtb2/auction", json=request) as response:
        assert response.status == 200
        return [bid for seat in (await response.json())["seatbid"] for bid in seat["bid"]]
