"""Advertisers, campaigns and ads over HTTP: what is refused and why, and that nothing is changed by it."""

from __future__ import annotations

import asyncio
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import pytest

from tests.api.running_api import RunningApi
from tests.api.test_catalogue import ask, read_back, registered


class Shop(NamedTuple):
    """An advertiser with a campaign and an ad, by their ids."""

    advertiser: str
    campaign: str
    ad: str

    @property
    def campaign_terms(self) -> dict[str, Any]:
        """Of a flight that is far away, so that it takes no part in other tests' auctions."""
        terms = {"advertiser_id": self.advertiser, "name": "Spring", "bid_cpm": "1.50", "budget": "20.00"}
        return terms | {"starts_at": "2099-01-01T00:00:00Z"}

    @property
    def ad_terms(self) -> dict[str, Any]:
        ad = {"campaign_id": self.campaign, "name": "Coats", "width": 300, "height": 250}
        return ad | {"landing_url": "https://shop.example/coats", "html": "<b>Coats</b>"}


@pytest.fixture
async def shop(empty_api: RunningApi) -> Shop:
    advertiser = await registered(empty_api, "advertisers", {"name": "Shop", "domain": "shop.example"})
    shop = Shop(advertiser["id"], "", "")
    campaign = await registered(empty_api, "campaigns", shop.campaign_terms)
    shop = shop._replace(campaign=campaign["id"])
    return shop._replace(ad=(await registered(empty_api, "ads", shop.ad_terms))["id"])


async def logged(api: RunningApi) -> Any:
    """Where the catalogue's log ends."""
    return await api.services.watermarks.high([api.services.names.catalogue])


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"budget": "0"}, "budget"),
        ({"budget": "0.000000"}, "budget"),
        ({"budget": "-5.00"}, "budget"),
        ({"budget": "1e30"}, "budget"),
        ({"budget": 1e30}, "budget"),
        ({"budget": "1000000000.000001"}, "budget"),
        ({"budget": "10.123456789"}, "budget"),
        ({"budget": 0.000000001}, "budget"),
        ({"budget": "NaN"}, "budget"),
        ({"budget": "much"}, "budget"),
        ({"budget": None}, "budget"),
        ({"daily_budget": "20.01"}, "daily_budget"),
        ({"daily_budget": "0"}, "daily_budget"),
        ({"bid_cpm": "0"}, "bid_cpm"),
        ({"bid_cpm": "0.0000001"}, "bid_cpm"),
        ({"bid_cpm": None}, "bid_cpm"),
        ({"bid_cpc": "0.10"}, "bid_cpc"),
        ({"bid_cpm": None, "bid_cpc": "1000.01"}, "bid_cpc"),
        ({"bid_cpm": None, "bid_cpc": "20.01"}, "bid_cpc"),
        ({"bid_cpm": None, "bid_cpc": "5.01", "daily_budget": "5.00"}, "bid_cpc"),
        ({"starts_at": "2020-01-01T00:00:00Z"}, "starts_at"),
        ({"starts_at": None, "ends_at": "2020-01-01T00:00:00Z"}, "ends_at"),
        ({"starts_at": "2099-01-02T00:00:00Z", "ends_at": "2099-01-02T00:00:00+00:00"}, "ends_at"),
        ({"ends_at": "2099-01-02T00:00:00"}, "ends_at"),
        ({"ends_at": "tomorrow"}, "ends_at"),
        ({"ends_at": "9999-12-31T23:59:59-23:59"}, "ends_at"),
        ({"frequency_cap": {"impressions": 0, "per_seconds": 60}}, "frequency_cap.impressions"),
        ({"frequency_cap": {"impressions": 1}}, "frequency_cap.per_seconds"),
        ({"frequency_cap": {"impressions": 1, "per_seconds": 10**9}}, "frequency_cap.per_seconds"),
        ({"targeting": {"countries": ["Germany"]}}, "targeting.countries[0]"),
        ({"targeting": {"sites": ["https://news.example/"]}}, "targeting.sites[0]"),
        ({"targeting": {"weather": ["rain"]}}, "targeting.weather"),
        ({"targeting": {"segments": [{"client": "data"}]}}, "targeting.segments[0].segment"),
        ({"pacing": "slowly"}, "pacing"),
        ({"currency": "euro"}, "currency"),
    ],
)
async def test_terms_that_no_campaign_may_have(
    empty_api: RunningApi, shop: Shop, change: dict[str, Any], path: str
) -> None:
    """A new campaign and a changed one: the fault is named by its place alone, and nothing is logged."""
    before = await logged(empty_api)
    for answer in (
        await ask(empty_api, "POST", "/v1/campaigns", shop.campaign_terms | change),
        await ask(empty_api, "PATCH", f"/v1/campaigns/{shop.campaign}", change),
    ):
        assert (answer.status, answer.body["type"]) == (400, "/problems/invalid-input"), answer.body
        assert answer.faults.keys() == {path}
    assert await logged(empty_api) == before


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"landing_url": None}, "landing_url"),
        ({"landing_url": ""}, "landing_url"),
        ({"landing_url": "javascript:alert(1)"}, "landing_url"),
        ({"landing_url": "JavaScript:alert(1)//https://shop.example"}, "landing_url"),
        ({"landing_url": "data:text/html,<script>"}, "landing_url"),
        ({"landing_url": "//shop.example/"}, "landing_url"),
        ({"landing_url": "http://localhost/"}, "landing_url"),
        ({"landing_url": "http://127.0.0.1:8080/admin"}, "landing_url"),
        ({"landing_url": "http://2130706433/"}, "landing_url"),
        ({"landing_url": "http://[::1]/"}, "landing_url"),
        ({"landing_url": "http://10.0.0.8/"}, "landing_url"),
        ({"landing_url": "http://169.254.169.254/latest/meta-data"}, "landing_url"),
        ({"landing_url": "http://\uff11\uff12\uff17.0.0.1/"}, "landing_url"),
        ({"landing_url": "http://printer.local/"}, "landing_url"),
        ({"landing_url": "http://intranet/"}, "landing_url"),
        ({"landing_url": "https://user:secret@shop.example/"}, "landing_url"),
        ({"landing_url": "https://shop.example\\@evil.example/"}, "landing_url"),
        ({"landing_url": "https://${CAMPAIGN_ID}.example/"}, "landing_url"),
        ({"landing_url": "https://shop.example/a\r\nSet-Cookie: a=b"}, "landing_url"),
        ({"landing_url": "https://shop.example/" + "a" * 2_048}, "landing_url"),
        ({"html": None, "image_url": "http://10.0.0.8/a.png"}, "image_url"),
        ({"html": "<b>x</b></iframe><script>top.location='//evil.example'</script>"}, "html"),
        ({"html": "x</html>"}, "html"),
        ({"html": "</BODY\t>"}, "html"),
        ({"html": "<div>x</div></div>"}, "html"),
        ({"html": "<!-- all that follows"}, "html"),
        ({"html": "<script>all that follows"}, "html"),
        ({"html": "<a title='all that follows"}, "html"),
        ({"html": "<script>var end = '</iframe>'</script>"}, "html"),
        ({"html": "<plaintext>"}, "html"),
        ({"html": ""}, "html"),
        ({"html": "<b>a\0b</b>"}, "html"),
        ({"html": None}, "html"),
        ({"image_url": "https://shop.example/a.png"}, "image_url"),
        ({"width": 0}, "width"),
        ({"height": 100_001}, "height"),
    ],
)  # fmt: skip
async def test_terms_that_no_ad_may_have(empty_api: RunningApi, shop: Shop, change: dict[str, Any], path: str) -> None:
    """A new ad and a changed one: no way out of the frame, no way into anybody's network, and nothing is logged."""
    before = await logged(empty_api)
    for answer in (
        await ask(empty_api, "POST", "/v1/ads", shop.ad_terms | change),
        await ask(empty_api, "PATCH", f"/v1/ads/{shop.ad}", change),
    ):
        assert (answer.status, answer.faults.keys()) == (400, {path}), answer.body
    assert await logged(empty_api) == before


async def test_house_ads_keep_to_the_same_rules(empty_api: RunningApi) -> None:
    """Each is named by its place; it must be of one of the placement's sizes."""
    publisher = await registered(
        empty_api, "publishers", {"name": "Daily", "domain": "daily.example", "share_bps": 8_500}
    )
    good = {"width": 300, "height": 250, "landing_url": "https://daily.example/", "html": "<b>Read us</b>"}
    bad = [
        good,
        good | {"landing_url": "javascript:alert(1)"},
        good | {"html": "</iframe>"},
    ]
    terms = {"publisher_id": publisher["id"], "name": "Top", "sizes": [[300, 250]]}
    refused = await ask(empty_api, "POST", "/v1/placements", terms | {"house_ads": bad})
    assert refused.faults.keys() == {"house_ads[1].landing_url", "house_ads[2].html"}
    for house_ad in ({"width": 728}, {"html": None}, {"image_url": "https://daily.example/a.png"}):
        refused = await ask(empty_api, "POST", "/v1/placements", terms | {"house_ads": [good, good | house_ad]})
        assert refused.faults.keys() == {"house_ads[1]"}, refused.body
    assert (await registered(empty_api, "placements", terms | {"house_ads": [good]}))["house_ads"] == [good]


async def test_a_campaign_changes_from_impressions_to_clicks(empty_api: RunningApi, shop: Shop) -> None:
    """One price takes the place of the other in a single patch; a part of the targeting may change alone."""
    path = f"/v1/campaigns/{shop.campaign}"
    one_click = await ask(empty_api, "PATCH", path, {"bid_cpm": None, "bid_cpc": "20.00"})
    assert (one_click.status, one_click.body["bid_cpc"]) == (200, "20.00")
    unpaid = await ask(empty_api, "PATCH", path, {"budget": "19.99"})
    assert "above the budget of 19.99" in unpaid.faults["bid_cpc"]
    clicks = await ask(empty_api, "PATCH", path, {"bid_cpm": None, "bid_cpc": "0.40"})
    assert (clicks.status, clicks.body["bid_cpm"], clicks.body["bid_cpc"]) == (200, None, "0.40")
    aimed = await ask(empty_api, "PATCH", path, {"targeting": {"countries": ["DEU"]}})
    aimed = await ask(empty_api, "PATCH", path, {"targeting": {"device_types": [4]}})
    assert (aimed.body["targeting"]["countries"], aimed.body["targeting"]["device_types"]) == (["DEU"], [4])
    assert await read_back(empty_api, aimed) == aimed.body


async def test_a_flight_that_has_ended(empty_api: RunningApi, shop: Shop) -> None:
    """It is not resumed, and gets no more ads, until its end is moved."""
    ends_at = datetime.now(UTC) + timedelta(seconds=1.5)
    terms = shop.campaign_terms | {"starts_at": None, "ends_at": ends_at.isoformat()}
    campaign = await registered(empty_api, "campaigns", terms)
    path = f"/v1/campaigns/{campaign['id']}"
    assert (await ask(empty_api, "POST", f"{path}/pause")).status == 200
    await asyncio.sleep((ends_at - datetime.now(UTC)).total_seconds())  # until the flight's end
    refused = await ask(empty_api, "POST", f"{path}/resume")
    assert (refused.status, refused.body["type"]) == (409, "/problems/illegal-move")
    assert "ended at" in refused.faults["ends_at"]
    ad = await ask(empty_api, "POST", "/v1/ads", shop.ad_terms | {"campaign_id": campaign["id"]})
    assert (ad.status, ad.faults.keys()) == (409, {"campaign_id"})
    later = {"ends_at": (ends_at + timedelta(days=1)).isoformat()}
    assert (await ask(empty_api, "PATCH", path, later)).status == 200
    assert (await ask(empty_api, "POST", f"{path}/resume")).body["status"] == "active"


async def test_an_advertiser_leaves_with_its_campaigns(empty_api: RunningApi, shop: Shop) -> None:
    """It is told which of them are live; once they rest it may go, and they cannot be resumed nor joined by others."""
    archive = f"/v1/advertisers/{shop.advertiser}/archive"
    refused = await ask(empty_api, "POST", archive)
    assert (refused.status, refused.body["type"]) == (409, "/problems/illegal-move")
    assert shop.campaign in refused.faults["status"]
    await ask(empty_api, "POST", f"/v1/campaigns/{shop.campaign}/pause")
    assert (await ask(empty_api, "POST", archive)).body["status"] == "archived"
    stuck = await ask(empty_api, "POST", f"/v1/campaigns/{shop.campaign}/resume")
    assert (stuck.status, "archived" in stuck.faults["status"]) == (409, True)
    late = await ask(empty_api, "POST", "/v1/campaigns", shop.campaign_terms)
    assert (late.status, late.faults.keys()) == (422, {"advertiser_id"})


@pytest.mark.parametrize(
    ("kind", "field"), [("campaigns", "advertiser_id"), ("campaigns", "currency"), ("ads", "campaign_id")]
)
async def test_what_stands_for_good(empty_api: RunningApi, shop: Shop, kind: str, field: str) -> None:
    """What was logged of it would change hands."""
    other = await registered(empty_api, "advertisers", {"name": "Other", "domain": "other.example"})
    theirs = await registered(empty_api, "campaigns", shop.campaign_terms | {"advertiser_id": other["id"]})
    values = {"advertiser_id": other["id"], "currency": "EUR", "campaign_id": theirs["id"]}
    entity_id = shop.campaign if kind == "campaigns" else shop.ad
    refused = await ask(empty_api, "PATCH", f"/v1/{kind}/{entity_id}", {field: values[field]})
    assert (refused.status, refused.faults.keys()) == (400, {field})
    assert "cannot change" in refused.faults[field]


@pytest.mark.parametrize(("kind", "change"), [("campaigns", "name"), ("ads", "name"), ("advertisers", "name")])
async def test_two_that_change_at_once(empty_api: RunningApi, shop: Shop, kind: str, change: str) -> None:
    """With the version named one of them wins, and the other is told; the read model shows the winner's."""
    entity_id = {"campaigns": shop.campaign, "ads": shop.ad, "advertisers": shop.advertiser}[kind]
    answers = await asyncio.gather(
        *(
            ask(empty_api, "PATCH", f"/v1/{kind}/{entity_id}", {change: f"Name {number}"}, If_Match='"1"')
            for number in range(4)
        )
    )
    won = [answer for answer in answers if answer.status == 200]
    assert sorted(answer.status for answer in answers) == [200, 412, 412, 412]
    assert (await read_back(empty_api, won[0]))[change] == won[0].body[change]


async def test_lists_by_owner(empty_api: RunningApi, shop: Shop) -> None:
    """An advertiser's campaigns, a campaign's ads, all ads of an advertiser; page by page, and with a status."""
    other = await registered(empty_api, "advertisers", {"name": "Other", "domain": "other.example"})
    theirs = await registered(empty_api, "campaigns", shop.campaign_terms | {"advertiser_id": other["id"]})
    await registered(empty_api, "ads", shop.ad_terms | {"campaign_id": theirs["id"]})
    second = await registered(empty_api, "campaigns", shop.campaign_terms)
    more = await registered(empty_api, "ads", shop.ad_terms | {"campaign_id": second["id"]})
    paused = await ask(empty_api, "POST", f"/v1/campaigns/{second['id']}/pause")
    await read_back(empty_api, paused)
    of_shop = f"advertiser_id={shop.advertiser}"
    for query, expected in {
        f"campaigns?{of_shop}": [shop.campaign, second["id"]],
        f"campaigns?{of_shop}&status=paused": [second["id"]],
        f"ads?{of_shop}": [shop.ad, more["id"]],
        f"ads?campaign_id={second['id']}": [more["id"]],
        f"ads?{of_shop}&campaign_id={theirs['id']}": [],
        "campaigns?advertiser_id=nobody": [],
    }.items():
        assert await listed(empty_api, query) == expected, query
    refused = await ask(empty_api, "GET", "/v1/campaigns?campaign_id=x&publisher_id=y")
    assert (refused.status, refused.faults.keys()) == (400, {"campaign_id", "publisher_id"})


async def listed(api: RunningApi, query: str) -> list[str]:
    """The ids, from pages of one entity each."""
    found: list[str] = []
    address: str | None = f"/v1/{query}&limit=1"
    while address is not None:
        page = await ask(api, "GET", address)
        assert page.status == 200, page.body
        found += [item["id"] for item in page.body["items"]]
        cursor = page.body["next_cursor"]
        address = f"/v1/{query}&limit=1&cursor={cursor}" if cursor else None
    return found


@pytest.mark.parametrize("kind", ["advertisers", "campaigns", "ads"])
async def test_a_key_with_another_body(empty_api: RunningApi, shop: Shop, kind: str) -> None:
    """The first answer stands for the first body; another body is refused and changes nothing."""
    terms = {
        "advertisers": {"name": "Shop", "domain": "shop.example"},
        "campaigns": shop.campaign_terms,
        "ads": shop.ad_terms,
    }[kind]
    key = uuid.uuid4().hex
    first = await ask(empty_api, "POST", f"/v1/{kind}", terms, Idempotency_Key=key)
    before = await logged(empty_api)
    again = await ask(empty_api, "POST", f"/v1/{kind}", terms, Idempotency_Key=key)
    assert (again.status, again.body) == (201, first.body)
    other = await ask(empty_api, "POST", f"/v1/{kind}", terms | {"name": "Other"}, Idempotency_Key=key)
    assert (other.status, other.body["type"]) == (422, "/problems/key-reused")
    assert await logged(empty_api) == before
