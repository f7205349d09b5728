"""What publishers and advertisers reach with their keys: their own; of others not even that they are there."""

from __future__ import annotations

import uuid
from itertools import product
from typing import Any

import msgspec
import pytest

from api.access_rules import RULES, roles_of, rule_name
from api.app import create_app
from domain.access import digest_of
from domain.catalogue import AccessKey, Role
from domain.entity import Entity
from tests.api.running_api import RunningApi
from tests.api.tenants import Buyer, Key, Seller, ad_terms, as_holder, buyer, campaign_terms, issued, seller
from tests.api.test_catalogue import Answer, ask
from tests.api.test_openapi import document, operations

__all__ = ["document"]

ROLES: tuple[Role, ...] = ("admin", "publisher", "advertiser", "feed_client")
UNKNOWN = "01936f2a-0000-7000-8000-000000000000"


@pytest.fixture(scope="module")
async def sellers(empty_api: RunningApi) -> tuple[Seller, Seller]:
    return await seller(empty_api, "Daily"), await seller(empty_api, "Rival")


@pytest.fixture(scope="module")
async def buyers(empty_api: RunningApi) -> tuple[Buyer, Buyer]:
    return await buyer(empty_api, "Shop"), await buyer(empty_api, "Store")


@pytest.fixture(scope="module")
async def keys(empty_api: RunningApi, sellers: tuple[Seller, Seller], buyers: tuple[Buyer, Buyer]) -> dict[Role, Key]:
    """One of each role."""
    feeds = Key("feeds-key", "gavel_of-a-feed-client", "feeds")
    terms = AccessKey(name="Feeds", role="feed_client", subject_id="feeds", digest=digest_of(feeds.secret))
    encoded = msgspec.Raw(msgspec.json.encode(terms))
    empty_api.services.access_keys.learn([Entity("access_key", feeds.id, 1, "active", encoded)])
    return {
        "admin": await issued(empty_api, "admin"),
        "publisher": sellers[0].key,
        "advertiser": buyers[0].key,
        "feed_client": feeds,
    }


# -- every route --------------------------------------------------------------------------------------


def routes(api: RunningApi) -> set[str]:
    """All of `/v1`, as the application has them."""
    return {
        rule_name(method, route.path_format)
        for route in create_app(api.services).routes
        if route.path.startswith("/v1/")
        for method in getattr(route, "methods", ()) or ("GET",)
        if method not in {"OPTIONS", "HEAD"}
    }


def test_every_route_has_a_rule(empty_api: RunningApi) -> None:
    """A route that nobody has thought about fails here; a rule without a route is a slip of the pen."""
    assert routes(empty_api) == set(RULES)


def test_no_route_is_closed_to_the_operator() -> None:
    """The operator reaches everything; a route without a rule is for nobody else."""
    assert all("admin" in roles for roles in RULES.values())
    assert roles_of("GET", "/v1/something/new") == {"admin"}


@pytest.mark.parametrize(
    ("role", "rule"),
    # The one that is left out is an endless stream, which tests/api/test_live.py reads.
    sorted(set(product(ROLES, RULES)) - {("admin", "GET /v1/live")}),
)
async def test_a_role_reaches_its_routes_alone(
    empty_api: RunningApi, keys: dict[Role, Key], rule: str, role: Role
) -> None:
    """403 in words where the role has no business, whether the thing named is there or not; nowhere else."""
    method, _, path = rule.partition(" ")
    answer = await as_holder(empty_api, keys[role], method, path.replace("{id}", UNKNOWN))
    assert (answer.status == 403) == (role not in RULES[rule]), answer.body
    assert answer.status != 401
    assert answer.status < 500
    if answer.status == 403:
        assert role.replace("_", " ") in answer.body["detail"]


async def test_the_document_says_who_may_what(document: dict[str, Any]) -> None:
    """Each operation of `/v1` names the roles that get past the guard."""
    for name, operation in operations(document).items():
        method, _, path = name.partition(" ")
        if path.startswith("/v1/"):
            named = {role for each in operation["security"] for role in each["accessKey"]}
            assert named == roles_of(method.upper(), path), name


# -- the catalogue ------------------------------------------------------------------------------------


def same_but_id(one: Answer, other: Answer, *, ids: tuple[str, str]) -> bool:
    """Nothing but the id that was asked for tells two answers apart."""
    mine, yours = (
        msgspec.json.encode(each.body).decode().replace(entity_id, "ID")
        for each, entity_id in zip((one, other), ids, strict=True)
    )
    return (one.status, mine) == (other.status, yours)


@pytest.mark.parametrize(
    ("method", "suffix", "body"),
    [
        ("GET", "", None),
        ("PATCH", "", {"name": "Taken over"}),
        ("POST", "/pause", None),
        ("POST", "/resume", None),
        ("POST", "/archive", None),
    ],
)
@pytest.mark.parametrize("kind", ["placements", "campaigns", "ads"])
async def test_a_foreign_entity_is_not_there(
    empty_api: RunningApi,
    sellers: tuple[Seller, Seller],
    buyers: tuple[Buyer, Buyer],
    *,
    kind: str,
    method: str,
    suffix: str,
    body: Any,
) -> None:
    """Read, changed, paused, resumed or archived by another tenant: 404, in the words for what never was; unchanged."""
    entity = {"placements": sellers[1].placement, "campaigns": buyers[1].campaign, "ads": buyers[1].ad}[kind]
    foreign = entity["id"]
    key = sellers[0].key if kind == "placements" else buyers[0].key
    refused = await as_holder(empty_api, key, method, f"/v1/{kind}/{foreign}{suffix}", body)
    unknown = await as_holder(empty_api, key, method, f"/v1/{kind}/{UNKNOWN}{suffix}", body)
    assert refused.status == 404
    assert same_but_id(refused, unknown, ids=(foreign, UNKNOWN))
    assert (await ask(empty_api, "GET", f"/v1/{kind}/{foreign}")).body == entity


@pytest.mark.parametrize("kind", ["publishers", "advertisers"])
async def test_of_its_peers_a_tenant_knows_nothing(
    empty_api: RunningApi, sellers: tuple[Seller, Seller], buyers: tuple[Buyer, Buyer], kind: str
) -> None:
    """It sees itself, in the list and alone; its terms are the operator's to change."""
    own, foreign = (
        [each.publisher["id"] for each in sellers]
        if kind == "publishers"
        else [each.advertiser["id"] for each in buyers]
    )
    key = sellers[0].key if kind == "publishers" else buyers[0].key
    listed = await as_holder(empty_api, key, "GET", f"/v1/{kind}")
    assert [each["id"] for each in listed.body["items"]] == [own]
    assert (await as_holder(empty_api, key, "GET", f"/v1/{kind}/{own}")).status == 200
    assert (await as_holder(empty_api, key, "GET", f"/v1/{kind}/{foreign}")).status == 404
    assert (await as_holder(empty_api, key, "PATCH", f"/v1/{kind}/{own}", {"share_bps": 10_000})).status == 403


async def test_lists_hold_what_is_ones_own(
    empty_api: RunningApi, sellers: tuple[Seller, Seller], buyers: tuple[Buyer, Buyer]
) -> None:
    """Placements of the publisher, campaigns and ads of the advertiser, each of both tenants alike."""
    for each in sellers:
        listed = await as_holder(empty_api, each.key, "GET", "/v1/placements")
        assert [one["id"] for one in listed.body["items"]] == [each.placement["id"]]
    for each in buyers:
        for kind, own in (("campaigns", each.campaign), ("ads", each.ad)):
            listed = await as_holder(empty_api, each.key, "GET", f"/v1/{kind}")
            assert [one["id"] for one in listed.body["items"]] == [own["id"]]


async def test_a_tenant_manages_its_own(
    empty_api: RunningApi, sellers: tuple[Seller, Seller], buyers: tuple[Buyer, Buyer]
) -> None:
    """It registers, changes, pauses and archives what is its own, and may aim a campaign at any placement."""
    key, other = await issued(empty_api, "publisher", sellers[1].publisher["id"]), sellers[0].placement["id"]
    terms = {"publisher_id": sellers[1].publisher["id"], "name": "Bottom", "sizes": [[300, 250]]}
    made = await as_holder(empty_api, key, "POST", "/v1/placements", terms)
    assert made.status == 201, made.body
    path = made.headers["Location"]
    assert (await as_holder(empty_api, key, "PATCH", path, {"floor_cpm": "0.40"})).body["floor_cpm"] == "0.40"
    assert (await as_holder(empty_api, key, "POST", f"{path}/archive")).body["status"] == "archived"
    aimed = campaign_terms(buyers[1].advertiser["id"]) | {"targeting": {"placement_ids": [other]}}
    made = await as_holder(empty_api, buyers[1].key, "POST", "/v1/campaigns", aimed)
    assert made.status == 201, made.body
    assert (await as_holder(empty_api, buyers[1].key, "POST", "/v1/ads", ad_terms(made.body["id"]))).status == 201
    assert (await as_holder(empty_api, buyers[1].key, "POST", f"{made.headers['Location']}/archive")).status == 200


@pytest.mark.parametrize("kind", ["placements", "campaigns", "ads"])
async def test_what_belongs_to_others_cannot_be_named(
    empty_api: RunningApi, sellers: tuple[Seller, Seller], buyers: tuple[Buyer, Buyer], kind: str
) -> None:
    """A placement for another publisher, a campaign for another advertiser, an ad for another's campaign: unknown."""
    placement = {"name": "Top", "sizes": [[300, 250]]}
    terms: dict[str, tuple[str, str, dict[str, Any]]] = {
        "placements": ("publisher_id", sellers[1].publisher["id"], placement),
        "campaigns": ("advertiser_id", buyers[1].advertiser["id"], campaign_terms("")),
        "ads": ("campaign_id", buyers[1].campaign["id"], ad_terms("")),
    }
    field, foreign, rest = terms[kind]
    key = sellers[0].key if kind == "placements" else buyers[0].key
    refused = await as_holder(empty_api, key, "POST", f"/v1/{kind}", rest | {field: foreign})
    unknown = await as_holder(empty_api, key, "POST", f"/v1/{kind}", rest | {field: UNKNOWN})
    assert (refused.status, set(refused.faults)) == (422, {field})
    assert same_but_id(refused, unknown, ids=(foreign, UNKNOWN))


async def test_what_is_ones_own_cannot_be_given_away(empty_api: RunningApi, sellers: tuple[Seller, Seller]) -> None:
    """A placement cannot be moved to another publisher: that one is unknown."""
    one, other = sellers
    path = f"/v1/placements/{one.placement['id']}"
    answer = await as_holder(empty_api, one.key, "PATCH", path, {"publisher_id": other.publisher["id"]})
    assert (answer.status, set(answer.faults)) == (422, {"publisher_id"})


async def test_idempotency_keys_are_ones_own(empty_api: RunningApi, sellers: tuple[Seller, Seller]) -> None:
    """The same `Idempotency-Key` of two tenants makes two entities: no answer, and no conflict, leaks across."""
    retry = {"Idempotency_Key": uuid.uuid4().hex}
    made = []
    for each in sellers:
        terms = {"publisher_id": each.publisher["id"], "name": "Once", "sizes": [[300, 250]]}
        answer = await as_holder(empty_api, each.key, "POST", "/v1/placements", terms, **retry)
        assert answer.status == 201, answer.body
        assert (await as_holder(empty_api, each.key, "POST", "/v1/placements", terms, **retry)).body == answer.body
        made.append(answer.body)
    assert [each["publisher_id"] for each in made] == [each.publisher["id"] for each in sellers]
    for each, entity in zip(sellers, made, strict=True):
        assert (await as_holder(empty_api, each.key, "POST", f"/v1/placements/{entity['id']}/archive")).status == 200
