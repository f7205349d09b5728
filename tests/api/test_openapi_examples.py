"""The examples of the OpenAPI document work, and what is answered has the shape that it promises."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from tests.api.running_api import RunningApi
from tests.api.test_catalogue import Answer, ask
from tests.api.test_openapi import document, operations

__all__ = ["document"]

JSON, MERGE_PATCH = "application/json", "application/merge-patch+json"


def validator(document: dict[str, Any], schema: dict[str, Any]) -> Draft202012Validator:
    return Draft202012Validator({**schema, "components": document["components"]})


def of_catalogue(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {name: each for name, each in operations(document).items() if each["tags"] == ["Catalogue"]}


def test_every_example_is_of_its_schema(document: dict[str, Any]) -> None:
    """What is sent and what comes back, for each operation of the catalogue."""
    tried = 0
    for name, operation in of_catalogue(document).items():
        bodies = [operation.get("requestBody", {"content": {}}), *operation["responses"].values()]
        for content in [each for body in bodies for each in body.get("content", {}).values()]:
            validator(document, content["schema"]).validate(content["example"])
            tried += 1
        if name.startswith(("post", "patch")):
            assert "Idempotency-Key" in {each.get("name") for each in operation["parameters"]}, name
    assert tried > 40


async def test_the_example_of_an_access_key_works(empty_api: RunningApi, document: dict[str, Any]) -> None:
    """Issued with the key, read and listed without, paused, resumed and archived as the document shows it."""
    documented = {name: each for name, each in operations(document).items() if "/access-keys" in name}
    for operation in documented.values():
        [content] = operation["responses"].get("201", operation["responses"].get("200"))["content"].values()
        validator(document, content["schema"]).validate(content["example"])
    name = "post /v1/access-keys"
    body = documented[name]["requestBody"]["content"][JSON]["example"]
    publisher = await ask(empty_api, "POST", "/v1/publishers", {"name": "D", "domain": "d.example", "share_bps": 1})
    answer = await told(empty_api, document, name, "/v1/access-keys", body | {"subject_id": publisher.body["id"]})
    assert answer.body["key"]
    path = answer.headers["Location"]
    for move in ("pause", "resume", "archive"):
        answer = await told(empty_api, document, f"post /v1/access-keys/{{id}}/{move}", f"{path}/{move}")
    waiting = {"Gavel_Token": answer.headers["Gavel-Token"], "Prefer": "wait=20"}
    answer = await told(empty_api, document, "get /v1/access-keys/{id}", path, **waiting)
    assert answer.body["status"] == "archived"
    await told(empty_api, document, "get /v1/access-keys", "/v1/access-keys?status=archived", **waiting)


async def told(
    api: RunningApi, document: dict[str, Any], name: str, path: str, body: Any = None, **headers: str
) -> Answer:
    """What the operation answers, which is what the document says of it, with all headers that it may have."""
    method = name.partition(" ")[0].upper()
    answer = await ask(api, method, path, body, **headers)
    response = operations(document)[name]["responses"][str(answer.status)]
    validator(document, response["content"][JSON]["schema"]).validate(answer.body)
    for header in response.get("headers", {}):
        assert header in answer.headers, (name, header)
    return answer


KINDS = ("publishers", "placements", "bidders", "deals", "advertisers", "campaigns", "ads")


@pytest.mark.parametrize("kind", KINDS)
async def test_the_examples_work(empty_api: RunningApi, document: dict[str, Any], kind: str) -> None:
    """Registered, changed, paused, resumed, archived, read and listed as the document shows it."""
    ids: dict[str, str] = {}
    for each in KINDS[: KINDS.index(kind) + 1]:
        body = operations(document)[f"post /v1/{each}"]["requestBody"]["content"][JSON]["example"]
        body = body | {name: ids[value] for name, value in _LINKS[each].items()}
        body |= {name: [ids[value]] for name, value in _LISTS[each].items()}
        if "id" in body:
            body["id"] = uuid.uuid4().hex
        answer = await told(empty_api, document, f"post /v1/{each}", f"/v1/{each}", body)
        ids[each] = answer.body["id"]
    path = f"/v1/{kind}/{ids[kind]}"
    patch = operations(document)[f"patch /v1/{kind}/{{id}}"]["requestBody"]["content"][MERGE_PATCH]["example"]
    await told(empty_api, document, f"patch /v1/{kind}/{{id}}", path, patch)
    for move in ("pause", "resume", "archive"):
        answer = await told(empty_api, document, f"post /v1/{kind}/{{id}}/{move}", f"{path}/{move}")
    waiting = {"Gavel_Token": answer.headers["Gavel-Token"], "Prefer": "wait=20"}
    answer = await told(empty_api, document, f"get /v1/{kind}/{{id}}", path, **waiting)
    assert answer.status == 200
    await told(empty_api, document, f"get /v1/{kind}", f"/v1/{kind}?status=archived", **waiting)


_LINKS: dict[str, dict[str, str]] = {
    "publishers": {},
    "placements": {"publisher_id": "publishers"},
    "bidders": {},
    "deals": {},
    "advertisers": {},
    "campaigns": {"advertiser_id": "advertisers"},
    "ads": {"campaign_id": "campaigns"},
}
_LISTS: dict[str, dict[str, str]] = {
    "publishers": {},
    "placements": {},
    "bidders": {},
    "deals": {"placement_ids": "placements", "bidder_ids": "bidders"},
    "advertisers": {},
    "campaigns": {},
    "ads": {},
}


async def test_the_example_of_a_rate_works(empty_api: RunningApi, document: dict[str, Any]) -> None:
    """Stated, stated otherwise, and read."""
    name = "post /v1/currency-rates"
    body = operations(document)[name]["requestBody"]["content"][JSON]["example"]
    for rate in (body["rate"], "1.25"):
        answer = await told(empty_api, document, name, "/v1/currency-rates", body | {"base": "CHF", "rate": rate})
    assert answer.status == 200
    waiting = {"Gavel_Token": answer.headers["Gavel-Token"], "Prefer": "wait=20"}
    assert (await ask(empty_api, "GET", "/v1/currency-rates/CHF-USD", **waiting)).body["rate"] == "1.25"
    await told(empty_api, document, "get /v1/currency-rates", "/v1/currency-rates", **waiting)
