"""A campaign's budget from the award to the impression, over HTTP: what is reserved, what is spent, who may see it."""

from __future__ import annotations

from typing import Any

from tests.api.conftest import bid_request
from tests.api.running_api import RunningApi, until
from tests.api.tenants import Buyer, as_holder, buyer
from tests.api.test_catalogue import Answer, ask
from tests.api.test_engagements import BROWSER

SITE = "budget.example"


async def test_a_budget_is_reserved_then_spent(api: RunningApi) -> None:
    """An award reserves its price, the impression spends it, once; what has no room any more is not sold."""
    one, other = await buyer(api, "Owl"), await buyer(api, "Elk")
    path = f"/v1/campaigns/{one.campaign['id']}"
    # The whole of it is worth two impressions at the price of the first one.
    terms = {"bid_cpm": "9.00", "budget": "0.006", "daily_budget": "0.006", "targeting": {"sites": [SITE]}}
    await budget_of(api, one)
    changed = await ask(api, "PATCH", path, terms, If_Match='"1"')
    assert changed.status == 200, changed.body
    await ask(api, "POST", f"/v1/campaigns/{other.campaign['id']}/archive")

    before = await budget_of(api, one)
    assert (before["budget"], before["spent"], before["reserved"], before["left"]) == ("0.006", "0.00", "0.00", "0.006")

    async def is_reserved() -> bool:
        await sold(api)
        return bool((await budget_of(api, one))["reserved"] != "0.00")

    await until(is_reserved, seconds=20)
    bid = await sold(api)
    assert bid is not None
    assert bid["price"] == 2.51
    reserved = await budget_of(api, one)
    assert (reserved["spent"], reserved["reserved"], reserved["left"]) == ("0.00", "0.00502", "0.00098")
    assert reserved["today"]["left"] == "0.00098"
    assert await sold(api) is None

    for _ in range(2):
        async with api.http.get(address_of(bid), headers=BROWSER) as pixel:
            assert pixel.status == 200

    async def is_spent() -> bool:
        return bool((await budget_of(api, one))["impressions"] == 1)

    await until(is_spent, seconds=20)
    spent = await budget_of(api, one)
    assert (spent["spent"], spent["reserved"], spent["left"]) == ("0.00251", "0.00251", "0.00098")
    assert (spent["today"]["spent"], spent["today"]["budget"]) == ("0.00251", "0.006")

    assert (await as_holder(api, one.key, "GET", f"{path}/budget")).status == 200
    assert (await as_holder(api, other.key, "GET", f"{path}/budget")).status == 404
    too_low = await ask(api, "PATCH", path, {"budget": "0.005", "daily_budget": None}, If_Match='"2"')
    assert too_low.status == 409
    assert "0.00502 USD" in str(too_low.body)
    await ask(api, "POST", f"{path}/archive")


async def test_a_campaign_that_nobody_registered(api: RunningApi) -> None:
    """404, not an empty budget."""
    assert (await ask(api, "GET", "/v1/campaigns/never-registered/budget")).status == 404


async def budget_of(api: RunningApi, of: Buyer) -> dict[str, Any]:
    async def told() -> Answer:
        return await ask(api, "GET", f"/v1/campaigns/{of.campaign['id']}/budget")

    async def is_known() -> bool:
        return (await told()).status == 200

    await until(is_known, seconds=20)
    answer: dict[str, Any] = (await told()).body
    return answer


async def sold(api: RunningApi) -> dict[str, Any] | None:
    """What the campaign bid that won, if it did; two bidders bid less."""
    request = bid_request(site={"domain": SITE, "page": f"https://{SITE}/"})
    async with api.http.post("/openrtb2/auction", json=request) as response:
        assert response.status == 200
        (seat,) = (await response.json())["seatbid"]
    (bid,) = seat["bid"]
    return bid if "Coats" in bid["adm"] else None


def address_of(bid: dict[str, Any]) -> str:
    address: str = bid["ext"]["gavel"]["impression_url"]
    return address[address.index("/impression") :]
