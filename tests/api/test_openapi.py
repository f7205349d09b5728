"""The OpenAPI document: complete, consistent, and loaded from nowhere else."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from tests.api.running_api import RunningApi

METHODS = {"get", "post", "put", "patch", "delete", "head"}
OPERATIONS = {
    "post /openrtb2/auction",
    "get /impression",
    "get /click",
    "get /ad",
    "get /ad.js",
    "post /openrtb2/event",
    "get /v1/campaigns/{campaign_id}/budget",
    "get /v1/auctions",
    "get /v1/auctions/{auction_id}",
    "get /v1/reports/bidders",
    "get /v1/reports/delivery",
    "get /v1/reports/ledger",
    "get /v1/reports/traffic",
    "post /v1/auctions/{auction_id}/void",
    "post /v1/ledger/days/{day}/close",
    "get /v1/projections",
    "post /v1/projections/{name}/rebuild",
    "post /v1/projections/{name}/verify",
    "post /v1/projections/{name}/swap",
    "post /v1/projections/{name}/retire",
    "post /v1/projections/{name}/cancel",
    "post /v1/projections/{name}/pause",
    "post /v1/projections/{name}/resume",
    "get /v1/dead-letters",
    "get /v1/dead-letters/{letter_id}",
    "post /v1/dead-letters/retry",
    "post /v1/dead-letters/{letter_id}/retry",
    "post /v1/dead-letters/{letter_id}/skip",
    "get /v1/live",
    "get /v1/feeds",
    "post /v1/feeds/{client}/bulk",
    "post /v1/feeds/{client}/changes",
    "get /v1/feeds/{client}/runs/{run_id}",
    "get /v1/feeds/{client}/audit",
    "get /v1/feeds/{client}/records/{key}",
    "post /v1/feeds/{client}/records",
    "get /livez",
    "get /readyz",
    "get /metrics",
    "get /problems/{name}",
    "get /v1/whoami",
    "post /v1/access-keys",
    "get /v1/access-keys",
    "get /v1/access-keys/{id}",
    "post /v1/access-keys/{id}/pause",
    "post /v1/access-keys/{id}/resume",
    "post /v1/access-keys/{id}/archive",
    "post /v1/currency-rates",
    "get /v1/currency-rates",
    "get /v1/currency-rates/{id}",
} | {
    f"{method} /v1/{kind}{path}"
    for kind in ("publishers", "placements", "bidders", "deals", "advertisers", "campaigns", "ads", "feed-clients")
    for method, path in (
        ("post", ""),
        ("get", ""),
        ("get", "/{id}"),
        ("patch", "/{id}"),
        ("post", "/{id}/pause"),
        ("post", "/{id}/resume"),
        ("post", "/{id}/archive"),
    )
}


@pytest.fixture(scope="module")
async def document(empty_api: RunningApi) -> dict[str, Any]:
    """As `/schema` gives it."""
    async with empty_api.http.get("/schema") as response:
        assert response.status == 200
        parsed: dict[str, Any] = await response.json(content_type=None)
        return parsed


def operations(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {
        f"{method} {path}": operation
        for path, item in document["paths"].items()
        for method, operation in item.items()
        if method in METHODS
    }


def references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(reference := node.get("$ref"), str):
            yield reference
        for child in node.values():
            yield from references(child)
    elif isinstance(node, list):
        for child in node:
            yield from references(child)


async def test_every_route_is_documented(document: dict[str, Any]) -> None:
    """The raw routes stand beside those that the framework knows."""
    assert document["openapi"].startswith("3.1")
    assert operations(document).keys() == OPERATIONS


async def test_every_operation_is_described(document: dict[str, Any]) -> None:
    """Each has a tag that is declared, a summary, an id of its own, an answer, and says how it fails."""
    tags = {tag["name"] for tag in document["tags"]}
    found = operations(document)
    assert len({operation["operationId"] for operation in found.values()}) == len(found)
    for name, operation in found.items():
        assert set(operation["tags"]) <= tags, name
        assert operation["summary"], name
        assert operation["description"], name
        assert any(status.startswith(("2", "3")) for status in operation["responses"]), name
        assert operation["responses"]["default"] == {"$ref": "#/components/responses/Problem"}, name


async def test_every_path_parameter_is_declared(document: dict[str, Any]) -> None:
    """What stands in braces is a required parameter of the operation."""
    for name, operation in operations(document).items():
        declared = {each["name"] for each in operation.get("parameters", []) if each.get("in") == "path"}
        assert declared == set(re.findall(r"{(\w+)}", name)), name


async def test_feeds_say_what_their_routes_take_and_answer(document: dict[str, Any]) -> None:
    """Reads wait for a token, look-ups may be stale, uploads are refused for reasons that each have a status."""
    found = operations(document)
    for name in ("get /v1/feeds/{client}/audit", "get /v1/feeds/{client}/runs/{run_id}"):
        referred = {each.get("$ref", "").rpartition("/")[2] for each in found[name]["parameters"]}
        assert {"Gavel-Token", "Prefer"} <= referred, name
    for name in ("get /v1/feeds/{client}/records/{key}", "post /v1/feeds/{client}/records"):
        assert "Gavel-Stale" in found[name]["responses"]["200"]["headers"], name
    for name in ("post /v1/feeds/{client}/bulk", "post /v1/feeds/{client}/changes"):
        assert {"400", "404", "408", "409", "413", "415", "422", "503"} <= found[name]["responses"].keys(), name
    assert "Retry-After" in document["components"]["responses"]["Problem"]["headers"]


async def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    """No `$ref` points out of the document or into nothing."""
    for reference in references(document):
        node: Any = document
        assert reference.startswith("#/"), reference
        for part in reference.removeprefix("#/").split("/"):
            node = node[part.replace("~1", "/").replace("~0", "~")]
        assert node, reference


async def test_v1_says_that_it_needs_the_key(document: dict[str, Any]) -> None:
    """And only `/v1` does, where elsewhere one may be sent; each operation names the roles that it is for."""
    for name, operation in operations(document).items():
        ways = operation.get("security", [{}])
        assert ({} not in ways) == ("/v1/" in name), name
        assert ways == [{}] or {"accessKey": ["admin"]} in ways, name


async def test_json_and_yaml_say_the_same(empty_api: RunningApi, document: dict[str, Any]) -> None:
    """Three addresses, one document."""
    async with empty_api.http.get("/schema/openapi.json") as response:
        assert await response.json(content_type=None) == document
    async with empty_api.http.get("/schema/openapi.yaml") as response:
        assert yaml.safe_load(await response.text()) == document


async def test_the_page_of_operations_lists_them_all(empty_api: RunningApi) -> None:
    """A plain page, under a policy that lets it load nothing from elsewhere."""
    async with empty_api.http.get("/schema/operations") as response:
        page = await response.text()
    assert "default-src 'none'" in response.headers["Content-Security-Policy"]
    assert not re.findall(r'(?:src|href)="(?:https?:)?//', page)
    for name in OPERATIONS:
        assert name.split()[1] in page
