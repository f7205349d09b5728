"""`/v1/bidders`: registering, reading back what was written, and who may."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from tests.api.conftest import register
from tests.api.running_api import RunningApi

TERMS = {"name": "Northwind", "endpoint": "http://127.0.0.1:9/bid", "media_types": ["video"], "qps_limit": 5}


async def get(api: RunningApi, path: str, **headers: str) -> tuple[int, Any, Any]:
    """Status, body and headers."""
    async with api.http.get(path, headers=api.authorized | headers) as response:
        return response.status, msgspec.json.decode(await response.read()), response.headers


async def test_a_registration_can_be_read_back(empty_api: RunningApi) -> None:
    """The entity, its address, its version and a token to wait with; and then the same from the read model."""
    async with empty_api.http.post("/v1/bidders", json=TERMS, headers=empty_api.authorized) as response:
        entity = await response.json()
    assert response.status == 201
    assert entity == entity | TERMS | {"version": 1, "status": "active", "currency": "USD"}
    assert response.headers["Location"] == f"/v1/bidders/{entity['id']}"
    assert response.headers["ETag"] == '"1"'
    waiting = {"Gavel-Token": response.headers["Gavel-Token"], "Prefer": "wait=10"}
    status, read, headers = await get(empty_api, response.headers["Location"], **waiting)
    assert (status, read, headers["ETag"]) == (200, entity, '"1"')
    assert headers["Preference-Applied"] == "wait=10"


async def test_every_fault_of_a_registration_is_named(empty_api: RunningApi) -> None:
    """A caller need not send again to learn of the next fault."""
    broken = {"endpoint": "ftp://x", "qps_limit": -1, "media_types": ["radio"]}
    async with empty_api.http.post("/v1/bidders", json=broken, headers=empty_api.authorized) as response:
        problem = await response.json(content_type="application/problem+json")
    assert (response.status, problem["type"]) == (400, "/problems/invalid-input")
    assert {"name", "endpoint", "qps_limit"} <= {fault["path"] for fault in problem["errors"]}


@pytest.mark.parametrize(
    ("content", "headers", "status"),
    [
        (b"{", {}, 400),
        (b"[]", {}, 400),
        (b"{}", {"Content-Type": "application/x-www-form-urlencoded"}, 415),
        (b"{}", {"Content-Encoding": "gzip"}, 415),
        (b'{"name": "' + b"x" * 100_000 + b'"}', {}, 413),
    ],
    ids=["malformed", "no object", "a form", "packed", "too large"],
)
async def test_a_bad_body_changes_nothing(
    empty_api: RunningApi, content: bytes, headers: dict[str, str], status: int
) -> None:
    """Each is refused by its own status, and the log does not grow."""
    topics = [empty_api.services.names.catalogue]
    before = await empty_api.services.watermarks.high(topics)
    sent = {"Content-Type": "application/json"} | headers | empty_api.authorized
    async with empty_api.http.post("/v1/bidders", data=content, headers=sent) as response:
        problem = await response.json(content_type="application/problem+json")
    assert (response.status, problem["status"]) == (status, status)
    # Of a body that is not read to its end, the rest would stand in the way of the next request.
    assert (response.headers.get("Connection") == "close") == (status == 413)
    assert await empty_api.services.watermarks.high(topics) == before


async def test_a_list_is_read_page_by_page(empty_api: RunningApi) -> None:
    """Following `Link: rel=next` meets every bidder once."""
    ids = []
    for number in range(3):
        entity, token = await register(empty_api, TERMS | {"name": f"Page {number}"})
        ids.append(entity["id"])
    _, everything, _ = await get(empty_api, "/v1/bidders?limit=500", **{"Gavel-Token": token, "Prefer": "wait=10"})
    expected = [bidder["id"] for bidder in everything["items"]]
    assert set(ids) <= set(expected)
    met, path = [], "/v1/bidders?limit=2"
    while path:
        _, page, headers = await get(empty_api, path)
        assert len(page["items"]) <= 2
        met += [bidder["id"] for bidder in page["items"]]
        path = headers["Link"].partition(">")[0].lstrip("<") if "Link" in headers else ""
    assert met == expected


async def test_an_unknown_bidder(empty_api: RunningApi) -> None:
    """There is a problem for it, not an empty entity."""
    status, problem, _ = await get(empty_api, "/v1/bidders/nobody")
    assert (status, problem["type"]) == (404, "/problems/not-found")


@pytest.mark.parametrize("query", ["limit=0", "limit=501", "limit=many", "cursor=%21%21", "cursor=AA"])
async def test_a_bad_page_is_refused(empty_api: RunningApi, query: str) -> None:
    """A page's bounds and cursors are checked, and the fault is named."""
    status, problem, _ = await get(empty_api, f"/v1/bidders?{query}")
    assert (status, problem["type"]) == (400, "/problems/invalid-input")
    assert [fault["path"] for fault in problem["errors"]] == [query.partition("=")[0]]


@pytest.mark.parametrize("key", [None, "Bearer wrong", "Bearer ", "Basic YWRtaW46", "Bearer ümlaut"])
@pytest.mark.parametrize(
    "path", ["/v1/bidders", "/v1/bidders/x", "/v1/auctions", "/v1/auctions/x", "/v1/projections", "/v1/live"]
)
async def test_without_the_key_nothing_is_told(empty_api: RunningApi, path: str, key: str | None) -> None:
    """Every route of `/v1` challenges who has no key or a wrong one."""
    headers = {} if key is None else {"Authorization": key}
    async with empty_api.http.get(path, headers=headers) as response:
        problem = await response.json(content_type="application/problem+json")
    assert (response.status, problem["type"]) == (401, "/problems/unauthorized")
    assert response.headers["WWW-Authenticate"].startswith("Bearer ")


async def test_without_the_key_nobody_registers(empty_api: RunningApi) -> None:
    """The key is asked for before the body is looked at."""
    async with empty_api.http.post("/v1/bidders", data=b"{") as response:
        assert response.status == 401
