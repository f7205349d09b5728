"""A campaign's budget from the award to the impression, over HTTP: what is reserved, what is spent, who may see it."""

from __future__ import annotations

from typing import Any

from tests.api.conftest import bid_request
from tests.api.running_api import RunningApi, until
from tests.api.tenants import ad_terms, as_holder, buyer
from tests.api.test_catalogue import Answer, ask, registered
from tests.api.test_engagements import BROWSER

SITE = "budget.example"
CLICKS_SITE = "clicks.example"


async def test_a_budget_is_reserved_then_spent(api: RunningApi) -> None:
    """An award reserves its price, the impression spends it, once; what has no room any more is not sold."""
    owner, stranger = await buyer(api, "Owl"), await buyer(api, "Elk")
    # Room for two impressions at the price of the first one, and not for a third.
    terms = {"bid_cpm": "9.00", "budget": "0.006", "daily_budget": "0.006", "targeting": {"sites": [SITE]}}
    terms["pacing"] = "asap"
    campaign_id = await registered_campaign(api, owner.advertiser["id"], "owl.example", terms)
    before = await budget_of(api, campaign_id)
    assert (before["budget"], before["spent"], before["reserved"], before["left"]) == ("0.006", "0.00", "0.00", "0.006")

    async def is_reserved() -> bool:
        await sold(api)
        return bool((await budget_of(api, campaign_id))["reserved"] != "0.00")

    await until(is_reserved, seconds=20)
    await until(lambda: budgets_are_known(api), seconds=5)
    bid = await sold(api)
    assert bid is not None
    assert bid["price"] == 2.51
    reserved = await budget_of(api, campaign_id)
    assert (reserved["spent"], reserved["reserved"], reserved["left"]) == ("0.00", "0.00502", "0.00098")
    assert reserved["today"]["left"] == "0.00098"
    assert await sold(api) is None

    for _ in range(2):
        async with api.http.get(address_of(bid), headers=BROWSER) as pixel:
            assert pixel.status == 200

    async def is_spent() -> bool:
        return bool((await budget_of(api, campaign_id))["impressions"] == 1)

    await until(is_spent, seconds=20)
    spent = await budget_of(api, campaign_id)
    assert (spent["spent"], spent["reserved"], spent["left"]) == ("0.00251", "0.00251", "0.00098")
    assert (spent["today"]["spent"], spent["today"]["budget"]) == ("0.00251", "0.006")

    path = f"/v1/campaigns/{campaign_id}"
    assert (await as_holder(api, owner.key, "GET", f"{path}/budget")).status == 200
    assert (await as_holder(api, stranger.key, "GET", f"{path}/budget")).status == 404
    too_low = await ask(api, "PATCH", path, {"budget": "0.005", "daily_budget": None})
    assert too_low.status == 409
    assert "0.00502 USD" in str(too_low.body)
    await ask(api, "POST", f"{path}/archive")


async def budgets_are_known(api: RunningApi) -> bool:
    """What the operator's alarm reads."""
    async with api.http.get("/metrics") as metrics:
        return "gavel_budgets_known 1.0" in (await metrics.text()).splitlines()


async def test_clicks_are_charged_until_the_budget_is_used_up(api: RunningApi) -> None:
    """A click without budget leads to the page all the same, counts, and costs nothing; no more ads are shown then."""
    advertiser = await registered(api, "advertisers", {"name": "Fox", "domain": "fox.example"})
    terms = {"bid_cpc": "4.00", "budget": "4.00", "targeting": {"sites": [CLICKS_SITE]}}
    campaign_id = await registered_campaign(api, advertiser["id"], "fox.example", terms)

    async def wins() -> bool:
        return await sold(api, CLICKS_SITE) is not None

    await until(wins, seconds=20)
    bids = [await sold(api, CLICKS_SITE) for _ in range(2)]
    assert (await budget_of(api, campaign_id))["reserved"] == "0.00"
    for bid in bids:
        assert bid is not None
        async with api.http.get(address_of(bid, "click"), headers=BROWSER, allow_redirects=False) as click:
            assert (click.status, click.headers["Location"]) == (302, "https://fox.example/coats")

    async def both_count() -> bool:
        return bool((await budget_of(api, campaign_id))["clicks"] == 2)

    await until(both_count, seconds=20)
    # Worth 4.00 a thousand impressions at the click-through of a new campaign, sold for 2.51 of it.
    told = await budget_of(api, campaign_id)
    assert (told["spent"], told["reserved"], told["left"], told["impressions"]) == ("2.51", "0.00", "1.49", 0)

    async def bids_no_more() -> bool:
        return await sold(api, CLICKS_SITE) is None

    await until(bids_no_more, seconds=20)
    await ask(api, "POST", f"/v1/campaigns/{campaign_id}/archive")


async def test_a_campaign_that_nobody_registered(api: RunningApi) -> None:
    """404, not an empty budget."""
    assert (await ask(api, "GET", "/v1/campaigns/never-registered/budget")).status == 404


async def registered_campaign(api: RunningApi, advertiser_id: str, site: str, terms: dict[str, Any]) -> str:
    """A campaign with one ad; its id."""
    campaign = await registered(api, "campaigns", {"advertiser_id": advertiser_id, "name": "Coats", **terms})
    await registered(api, "ads", ad_terms(campaign["id"], site))
    campaign_id: str = campaign["id"]
    return campaign_id


async def budget_of(api: RunningApi, campaign_id: str) -> dict[str, Any]:
    async def told() -> Answer:
        return await ask(api, "GET", f"/v1/campaigns/{campaign_id}/budget")

    async def is_known() -> bool:
        return (await told()).status == 200

    await until(is_known, seconds=20)
    answer: dict[str, Any] = (await told()).body
    return answer


async def sold(api: RunningApi, site: str = SITE) -> dict[str, Any] | None:
    """What the campaign bid that won, if it did; two bidders bid less."""
    request = bid_request(site={"domain": site, "page": f"https://{site}/"})
    async with api.http.post("/openrtb2/auction", json=request) as response:
        assert response.status == 200
        (seat,) = (await response.json())["seatbid"]
    (bid,) = seat["bid"]
    return bid if "Coats" in bid["adm"] else None


def address_of(bid: dict[str, Any], kind: str = "impression") -> str:
    address: str = bid["ext"]["gavel"][f"{kind}_url"]
    return address[address.index(f"/{kind}") :]
