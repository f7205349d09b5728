"""The catalogue over HTTP: registering, changing, pausing and archiving, with what guards a command."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec
import pytest

from tests.api.running_api import RunningApi

KINDS = ("publishers", "placements", "bidders", "deals", "advertisers", "campaigns", "ads")


class Answer(NamedTuple):
    """What a request came back with."""

    status: int
    body: Any
    headers: Mapping[str, str]

    @property
    def faults(self) -> dict[str, str]:
        """Path to message."""
        return {fault["path"]: fault["message"] for fault in self.body["errors"]}


async def ask(api: RunningApi, method: str, path: str, body: Any = None, **headers: str) -> Answer:
    """As the operator, unless `headers` say otherwise; underscores in their names are dashes."""
    sent = api.authorized | {name.replace("_", "-"): value for name, value in headers.items()}
    async with api.http.request(method, path, json=body, headers=sent) as response:
        return Answer(response.status, msgspec.json.decode(await response.read()), response.headers)


async def registered(api: RunningApi, kind: str, terms: Any) -> dict[str, Any]:
    answer = await ask(api, "POST", f"/v1/{kind}", terms)
    assert answer.status == 201, answer.body
    entity: dict[str, Any] = answer.body
    return entity


async def read_back(api: RunningApi, answer: Answer) -> dict[str, Any]:
    """The entity as the read model shows it once it has seen the command."""
    waiting = {"Gavel_Token": answer.headers["Gavel-Token"], "Prefer": "wait=20"}
    read = await ask(api, "GET", answer.headers["Location"], **waiting)
    assert (read.status, read.headers["ETag"]) == (200, answer.headers["ETag"])
    entity: dict[str, Any] = read.body
    return entity


class Market(NamedTuple):
    """Ids of entities that fit together."""

    publisher: str
    placement: str
    bidder: str
    advertiser: str
    campaign: str
    feed_client: str
    """Its name."""


@pytest.fixture(scope="module")
async def market(empty_api: RunningApi) -> Market:
    """One publisher with a placement, and a bidder."""
    publisher = await registered(
        empty_api, "publishers", {"name": "Daily", "domain": "daily.example", "share_bps": 8_500}
    )
    placement = await registered(
        empty_api, "placements", {"publisher_id": publisher["id"], "name": "Top", "sizes": [[300, 250]]}
    )
    bidder = await registered(empty_api, "bidders", {"name": "Northwind", "endpoint": "http://127.0.0.1:9/bid"})
    advertiser = await registered(empty_api, "advertisers", {"name": "Shop", "domain": "shop.example"})
    campaign = await registered(
        empty_api,
        "campaigns",
        # Long before its flight, so that it takes no part in other tests' auctions.
        {
            "advertiser_id": advertiser["id"],
            "name": "Winter",
            "bid_cpm": "2.00",
            "budget": "100.00",
            "starts_at": "2099-01-01T00:00:00Z",
        },
    )
    feed_client = await registered(empty_api, "feed-clients", {"name": f"data {advertiser['id']}"})
    ids = (each["id"] for each in (publisher, placement, bidder, advertiser, campaign))
    return Market(*ids, feed_client["name"])


def terms_of(kind: str, market: Market) -> dict[str, Any]:
    """Good terms that state everything."""
    return (supply_of(market) | demand_of(market))[kind]


def supply_of(market: Market) -> dict[str, dict[str, Any]]:
    rules = [{"floor_cpm": "1.20", "country": "DEU", "device_type": 4, "size": [300, 600], "media_type": "banner"}]
    return {
        "publishers": {"name": "Daily", "domain": "daily.example", "share_bps": 8_500, "floor_rules": rules},
        "placements": {
            "publisher_id": market.publisher,
            "name": "Top",
            "sizes": [[300, 250], [300, 600]],
            "floor_cpm": "0.50",
            "auction": "first_price",
            "currency": "EUR",
            "floor_rules": [{**each, "currency": "USD"} for each in rules],
            "badv": ["casino.example"],
            "bcat": ["IAB7"],
            "cattax": 2,
            "battr": [3],
            "bapp": ["com.example.game"],
            "required_bid_fields": ["crid", "cat"],
            "house_ads": [
                {
                    "width": 300,
                    "height": 250,
                    "landing_url": "https://daily.example/",
                    "image_url": "https://daily.example/us.png",
                }
            ],
        },
        "bidders": {
            "name": "Northwind",
            "endpoint": "http://127.0.0.1:9/bid",
            "seats": ["s1"],
            "media_types": ["banner"],
            "countries": ["DEU"],
            "qps_limit": 5,
            "timeout_ms": 80,
            "currency": "EUR",
            "sizes": [[300, 250]],
            "device_types": [4],
            "placement_ids": [market.placement],
            "price_adjustment_bps": 9_500,
            "accepts_gzip": True,
        },
        "deals": {
            "placement_ids": [market.placement],
            "bidder_ids": [market.bidder],
            "floor_cpm": "4.25",
            "auction": "fixed_price",
            "currency": "EUR",
            "wseat": ["s1"],
            "wadomain": ["shop.example"],
        },
    }


def demand_of(market: Market) -> dict[str, dict[str, Any]]:
    return {
        "advertisers": {"name": "Shop", "domain": "shop.example"},
        "campaigns": {
            "advertiser_id": market.advertiser,
            "name": "Winter",
            "bid_cpm": None,
            "bid_cpc": "0.25",
            "budget": "100.00",
            "currency": "EUR",
            "daily_budget": "5.000001",
            "starts_at": "2099-01-01T00:00:00Z",
            "ends_at": "2099-02-01T00:00:00Z",
            "pacing": "asap",
            "frequency_cap": {"impressions": 3, "per_seconds": 3_600},
            "targeting": {
                "countries": ["DEU"],
                "placement_ids": [market.placement],
                "device_types": [4],
                "sites": ["daily.example"],
                "segments": [{"client": market.feed_client, "segment": "cars"}],
            },
        },
        "ads": {
            "campaign_id": market.campaign,
            "name": "Coats",
            "width": 300,
            "height": 250,
            "landing_url": "https://shop.example/coats?click=${CLICK_ID}",
            "html": "<a href='${GAVEL_CLICK_URL}'><b>Coats</b></a>",
            "image_url": None,
        },
    }


CHANGES: dict[str, dict[str, Any]] = {
    "publishers": {"share_bps": 9_000},
    "placements": {"floor_cpm": "0.75"},
    "bidders": {"qps_limit": 7},
    "deals": {"floor_cpm": "4.50"},
    "advertisers": {"name": "Shop and Sons"},
    "campaigns": {"budget": "250.00"},
    "ads": {"name": "Coats, blue"},
}


@pytest.mark.parametrize("kind", KINDS)
async def test_an_entity_goes_through_its_life(empty_api: RunningApi, market: Market, kind: str) -> None:
    """Registered, changed, paused, resumed and archived: each answer and the read model agree on every field."""
    terms = terms_of(kind, market)
    answer = await ask(empty_api, "POST", f"/v1/{kind}", terms)
    assert answer.status == 201
    entity = answer.body
    floors = (
        {"floor_rules": [{**rule, "currency": "USD"} for rule in terms["floor_rules"]]}
        if "floor_rules" in terms
        else {}
    )
    assert entity == {"id": entity["id"], "version": 1, "status": "active"} | terms | floors
    assert answer.headers["Location"] == f"/v1/{kind}/{entity['id']}"
    assert answer.headers["ETag"] == '"1"'
    assert await read_back(empty_api, answer) == entity
    path = answer.headers["Location"]
    expected = entity
    for version, (method, step, body, change) in enumerate(
        [
            ("PATCH", "", CHANGES[kind], CHANGES[kind]),
            ("POST", "/pause", None, {"status": "paused"}),
            ("POST", "/resume", None, {"status": "active"}),
            ("POST", "/archive", None, {"status": "archived"}),
        ],
        start=2,
    ):
        answer = await ask(empty_api, method, path + step, body, If_Match=f'"{version - 1}"')
        expected |= {"version": version, **change}
        assert (answer.status, answer.body, answer.headers["ETag"]) == (200, expected, f'"{version}"')
        assert await read_back(empty_api, answer) == expected


async def test_a_rate_is_stated_and_stated_again(empty_api: RunningApi) -> None:
    """A pair has one rate; a second statement changes it, and the same one again changes nothing."""
    first = await ask(empty_api, "POST", "/v1/currency-rates", {"base": "EUR", "quote": "USD", "rate": "1.0850"})
    expected = {"id": "EUR-USD", "version": 1, "status": "active", "base": "EUR", "quote": "USD", "rate": "1.0850"}
    assert (first.status, first.body) == (201, expected)
    assert await read_back(empty_api, first) == expected
    second = await ask(empty_api, "POST", "/v1/currency-rates", {"base": "EUR", "quote": "USD", "rate": "1.1"})
    assert (second.status, second.body) == (200, expected | {"version": 2, "rate": "1.1"})
    same = await ask(empty_api, "POST", "/v1/currency-rates", {"base": "EUR", "quote": "USD", "rate": "1.1"})
    assert (same.status, same.body) == (200, second.body)
    listed = await ask(
        empty_api, "GET", "/v1/currency-rates", Gavel_Token=same.headers["Gavel-Token"], Prefer="wait=20"
    )
    assert second.body in listed.body["items"]


async def test_all_faults_are_named_at_once(empty_api: RunningApi, market: Market) -> None:
    """Deep inside lists as well, and nothing is logged."""
    before = await empty_api.services.watermarks.high([empty_api.services.names.catalogue])
    broken = {
        "publisher_id": market.publisher,
        "sizes": [[300, 250], [0, 250], "300x250"],
        "floor_cpm": "a lot",
        "auction": "third_price",
        "floor_rules": [{"floor_cpm": "1.00"}, {"country": "Germany", "day": "monday"}, {"floor_cpm": "0.0000001"}],
        "badv": ["https://casino.example/"],
        "typo": 1,
    }
    answer = await ask(empty_api, "POST", "/v1/placements", broken)
    assert (answer.status, answer.body["type"]) == (400, "/problems/invalid-input")
    assert answer.faults.keys() == {
        "name", "sizes[1][0]", "sizes[2]", "floor_cpm", "auction", "floor_rules[1].floor_cpm",
        "floor_rules[1].country", "floor_rules[1].day", "floor_rules[2].floor_cpm", "badv[0]", "typo",
    }  # fmt: skip
    assert await empty_api.services.watermarks.high([empty_api.services.names.catalogue]) == before


async def test_a_patch_is_a_merge_patch(empty_api: RunningApi, market: Market) -> None:
    """Null restores a default, a list is replaced as a whole, the rest stays; the result is checked as a whole."""
    entity = await registered(empty_api, "placements", terms_of("placements", market))
    path = f"/v1/placements/{entity['id']}"
    patch = {"badv": None, "house_ads": None, "sizes": [[1, 1]]}
    patched = await ask(empty_api, "PATCH", path, patch, Content_Type="application/merge-patch+json")
    assert patched.body == entity | {"version": 2, "badv": [], "house_ads": [], "sizes": [[1, 1]]}
    refused = await ask(empty_api, "PATCH", path, {"name": None, "auction": "none", "id": "x"})
    assert (refused.status, set(refused.faults)) == (400, {"name", "auction", "id"})
    same = await ask(empty_api, "PATCH", path, {"sizes": [[1, 1]]})
    assert (same.status, same.headers["ETag"], same.body) == (200, '"2"', patched.body)


@pytest.mark.parametrize(
    ("kind", "change", "paths"),
    [
        ("placements", {"publisher_id": "nobody"}, {"publisher_id"}),
        ("deals", {"bidder_ids": ["nobody"], "placement_ids": ["nowhere", "none"]},
         {"bidder_ids[0]", "placement_ids[0]", "placement_ids[1]"}),
        ("bidders", {"placement_ids": ["nowhere"]}, {"placement_ids[0]"}),
        ("campaigns", {"targeting": {"placement_ids": ["nowhere"]}}, {"targeting.placement_ids[0]"}),
        ("campaigns", {"advertiser_id": "nobody"}, {"advertiser_id"}),
        ("ads", {"campaign_id": "none"}, {"campaign_id"}),
    ],
)  # fmt: skip
async def test_who_is_named_must_be_there(
    empty_api: RunningApi, market: Market, kind: str, change: dict[str, Any], paths: set[str]
) -> None:
    """At registration and at a change; an archived one counts as gone."""
    refused = await ask(empty_api, "POST", f"/v1/{kind}", terms_of(kind, market) | change)
    assert (refused.status, refused.body["type"]) == (422, "/problems/unknown-reference")
    assert refused.faults.keys() == paths
    entity = await registered(empty_api, kind, terms_of(kind, market))
    assert (await ask(empty_api, "PATCH", f"/v1/{kind}/{entity['id']}", change)).faults.keys() == paths


async def test_a_deal_id_is_given_once(empty_api: RunningApi, market: Market) -> None:
    """A chosen id becomes the deal's; nobody else gets it, even after the deal is archived."""
    deal_id = f"deal-{uuid.uuid4()}"
    terms = terms_of("deals", market) | {"id": deal_id}
    entity = await registered(empty_api, "deals", terms)
    assert entity == {"version": 1, "status": "active"} | terms
    again = await ask(empty_api, "POST", "/v1/deals", terms)
    assert (again.status, again.body["type"]) == (409, "/problems/conflict")
    assert deal_id in again.body["detail"]
    await ask(empty_api, "POST", f"/v1/deals/{deal_id}/archive")
    assert (await ask(empty_api, "POST", "/v1/deals", terms)).status == 409


async def test_nothing_comes_back_from_the_archive(empty_api: RunningApi, market: Market) -> None:
    """What is archived can neither be resumed, paused nor changed; archiving it again does no harm."""
    entity = await registered(empty_api, "bidders", terms_of("bidders", market))
    path = f"/v1/bidders/{entity['id']}"
    archived = await ask(empty_api, "POST", f"{path}/archive")
    for method, step, body in (("POST", "/resume", None), ("POST", "/pause", None), ("PATCH", "", {"name": "New"})):
        refused = await ask(empty_api, method, path + step, body)
        assert (refused.status, refused.body["type"]) == (409, "/problems/conflict")
        assert "archived" in refused.body["detail"]
    again = await ask(empty_api, "POST", f"{path}/archive")
    assert (again.status, again.body) == (200, archived.body)


@pytest.mark.parametrize(
    ("method", "step"), [("PATCH", ""), ("POST", "/pause"), ("POST", "/resume"), ("POST", "/archive")]
)
async def test_what_is_not_there_cannot_be_changed(
    empty_api: RunningApi, market: Market, method: str, step: str
) -> None:
    """Neither an unknown id nor one of another kind."""
    for path in ("/v1/deals/nothing", f"/v1/deals/{market.bidder}"):
        assert (await ask(empty_api, method, path + step, {})).status == 404


async def test_if_match_names_the_version(empty_api: RunningApi, market: Market) -> None:
    """Another version is a 412 and changes nothing; one of several, or a star, is enough; nonsense is refused."""
    entity = await registered(empty_api, "publishers", terms_of("publishers", market))
    path = f"/v1/publishers/{entity['id']}"
    for tag in ('"2"', 'W/"1"', '"other"'):
        refused = await ask(empty_api, "PATCH", path, {"name": "New"}, If_Match=tag)
        assert (refused.status, refused.body["type"]) == (412, "/problems/precondition-failed")
    assert (await ask(empty_api, "PATCH", path, {"name": "New"}, If_Match="1")).faults.keys() == {"If-Match"}
    assert (await ask(empty_api, "PATCH", path, {"name": "One"}, If_Match='"7", "1"')).body["version"] == 2
    assert (await ask(empty_api, "POST", f"{path}/pause", If_Match="*")).body["version"] == 3


async def test_a_key_makes_a_retry_safe(empty_api: RunningApi, market: Market) -> None:
    """The same command gets the first answer, down to its headers, though the entity has changed since."""
    key = uuid.uuid4().hex
    terms = terms_of("deals", market)
    first = await ask(empty_api, "POST", "/v1/deals", terms, Idempotency_Key=key)
    await ask(empty_api, "POST", f"/v1/deals/{first.body['id']}/pause")
    changed = await ask(empty_api, "PATCH", f"/v1/deals/{first.body['id']}", {"floor_cpm": "7.00"})
    assert changed.body["version"] == 3
    again = await ask(empty_api, "POST", "/v1/deals", terms, Idempotency_Key=key)
    assert (again.status, again.body) == (201, first.body)
    for header in ("Location", "ETag", "Gavel-Token"):
        assert again.headers[header] == first.headers[header]
    other = await ask(empty_api, "POST", "/v1/deals", terms | {"floor_cpm": "9.00"}, Idempotency_Key=key)
    assert (other.status, other.body["type"]) == (422, "/problems/key-reused")
    elsewhere = await ask(empty_api, "POST", f"/v1/deals/{first.body['id']}/resume", Idempotency_Key=key)
    assert elsewhere.status == 422


async def test_a_retry_does_not_cost_the_memory_of_what_it_is_answered_with(
    empty_api: RunningApi, market: Market
) -> None:
    """Redis keeps as little of a command about long terms as of one about short ones."""
    redis, names = empty_api.services.redis, empty_api.services.names
    before = {*await redis.keys(f"{names.namespace}:idempotency:*")}
    terms = terms_of("placements", market) | {"badv": [f"{n}.{'x' * 60}.example" for n in range(200)]}
    key = uuid.uuid4().hex
    first = await ask(empty_api, "POST", "/v1/placements", terms, Idempotency_Key=key)
    assert (await ask(empty_api, "POST", "/v1/placements", terms, Idempotency_Key=key)).body == first.body
    [added] = {*await redis.keys(f"{names.namespace}:idempotency:*")} - before
    assert sum(len(value) for value in (await redis.hgetall(added)).values()) < 1_000 < len(str(first.body))


async def test_a_key_of_a_refused_command_is_free(empty_api: RunningApi, market: Market) -> None:
    """Nothing happened under it, so the mended command may carry it."""
    key = uuid.uuid4().hex
    terms = terms_of("publishers", market)
    assert (await ask(empty_api, "POST", "/v1/publishers", terms | {"name": ""}, Idempotency_Key=key)).status == 400
    assert (await ask(empty_api, "POST", "/v1/publishers", terms, Idempotency_Key=key)).status == 201
    assert (await ask(empty_api, "POST", "/v1/publishers", terms, Idempotency_Key="two words")).faults.keys() == {
        "Idempotency-Key"
    }


async def test_the_same_key_many_times_at_once(empty_api: RunningApi, market: Market) -> None:
    """One command is carried out; the others are told to wait, or get its answer."""
    key = uuid.uuid4().hex
    terms = terms_of("publishers", market) | {"name": key}
    answers = await asyncio.gather(
        *(ask(empty_api, "POST", "/v1/publishers", terms, Idempotency_Key=key) for _ in range(12))
    )
    made = {answer.body["id"] for answer in answers if answer.status == 201}
    assert len(made) == 1
    assert {answer.body["type"] for answer in answers if answer.status != 201} <= {"/problems/still-running"}


@pytest.mark.parametrize("kind", KINDS)
async def test_a_list_is_filtered_by_status(empty_api: RunningApi, market: Market, kind: str) -> None:
    """Each status has its own; together they are all; an unknown one is a fault."""
    entities = [await registered(empty_api, kind, terms_of(kind, market)) for _ in range(3)]
    active, paused, archived = (entity["id"] for entity in entities)
    await ask(empty_api, "POST", f"/v1/{kind}/{paused}/pause")
    last = await ask(empty_api, "POST", f"/v1/{kind}/{archived}/archive")
    await read_back(empty_api, last)
    waiting = {"Gavel_Token": last.headers["Gavel-Token"], "Prefer": "wait=20"}
    for status, its in (("active", active), ("paused", paused), ("archived", archived)):
        listed = await ask(empty_api, "GET", f"/v1/{kind}?limit=500&status={status}", **waiting)
        items = listed.body["items"]
        assert {item["status"] for item in items} == {status}
        assert {item["id"] for item in items} & {active, paused, archived} == {its}
    refused = await ask(empty_api, "GET", f"/v1/{kind}?status=sleeping")
    assert (refused.status, set(refused.faults)) == (400, {"status"})
