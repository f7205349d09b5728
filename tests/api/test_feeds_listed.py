"""All feed clients at once, as an operator asks for them: what each has, whether it is all there, its last load."""

from __future__ import annotations

import re
import uuid
from datetime import UTC, datetime
from typing import Any

import pytest

from projections.queries.page import cursor_after
from tests.api.feed import Feed, fresh_feed, ndjson, record
from tests.api.running_api import RunningApi, until
from tests.api.tenants import as_holder, issued
from tests.api.test_catalogue import ask, registered
from tests.api.test_feed_audit import audited, paused
from tests.api.test_openapi import document, operations
from tests.api.test_openapi_examples import validator

__all__ = ["document"]

LINK = re.compile(r'<([^>]+)>; rel="next"')


@pytest.fixture
async def feed(empty_api: RunningApi) -> Feed:
    return await fresh_feed(empty_api, unreadable_percent=40)


async def listed(api: RunningApi, *, limit: int = 500) -> list[dict[str, Any]]:
    """All pages, by the links that chain them together."""
    items, path = [], f"/v1/feeds?limit={limit}"
    while path:
        answer = await ask(api, "GET", path)
        assert answer.status == 200, answer.body
        assert len(answer.body["items"]) <= limit
        items += answer.body["items"]
        link = LINK.search(answer.headers.get("Link", ""))
        assert (link is None) == (answer.body["next_cursor"] is None)
        path = link[1] if link else ""
    return items


async def shown(feed: Feed) -> dict[str, Any]:
    """As it is listed, once it is."""
    found: list[dict[str, Any]] = []

    async def is_there() -> bool:
        found[:] = [each for each in await listed(feed.api) if each["id"] == feed.client]
        return bool(found)

    await until(is_there)
    return found[0]


async def test_a_client_that_has_sent_nothing(empty_api: RunningApi) -> None:
    """It is in the answer that includes its registration, complete, and has no load."""
    name = f"data co {uuid.uuid4()}"
    made = await ask(empty_api, "POST", "/v1/feed-clients", {"name": name})
    waiting = {"Gavel_Token": made.headers["Gavel-Token"], "Prefer": "wait=20"}
    answer = await ask(empty_api, "GET", "/v1/feeds?limit=500", **waiting)
    assert (answer.headers["Gavel-Lag"].isdigit(), answer.headers["Preference-Applied"]) == (True, "wait=20")
    assert [each for each in answer.body["items"] if each["name"] == name] == [
        {
            "id": made.body["id"],
            "name": name,
            "status": "active",
            "records": 0,
            "complete": True,
            "last_load": None,
            "loaded_at": None,
        }
    ]


async def test_what_a_client_has_and_its_last_load(feed: Feed) -> None:
    """The load that was begun last, published or failed, with its figures; records as they stand after it."""
    begun = datetime.now(UTC)
    await feed.load([record("a"), record("b"), record("c"), b"{\n"])
    assert (await shown(feed))["records"] == 3
    replaced = await feed.load([record("a"), record("d"), b"{\n"], "?mode=replace")
    after = await shown(feed)
    assert (after["records"], after["last_load"]) == (2, replaced)
    assert {name: replaced[name] for name in ("status", "mode", "applied", "rejected")} == {
        "status": "published",
        "mode": "replace",
        "applied": 2,
        "rejected": 1,
    }
    await feed.record("e", await feed.change({"op": "add", "key": "e", "value": {}}))
    await feed.record("d", await feed.change({"op": "delete", "key": "d"}))
    failed = await feed.load([record("e"), b"{\n", b"{\n"])
    after = await shown(feed)
    assert (failed["status"], failed["rejected"], after["last_load"]) == ("failed", 2, failed)
    assert "2 of 3 records were refused" in after["last_load"]["reason"]
    # Until it is tidied, what a load brought beneath a change is counted as well.
    assert after["records"] in {2, 3}

    async def is_dated() -> bool:
        loaded_at = (await shown(feed))["loaded_at"]
        return loaded_at is not None and begun <= datetime.fromisoformat(loaded_at) <= datetime.now(UTC)

    await until(is_dated, seconds=60)


async def test_what_is_being_read_again_is_told(feed: Feed) -> None:
    """Of a client that Redis has lost, and of no other; until all of it is there again."""
    other = await fresh_feed(feed.api)
    for each in (feed, other):
        await each.load([record("a"), record("b")])
        await audited(each, 2)
    services = feed.api.services
    async with paused(feed.api, "audiences", "audiences_bulk"):
        await services.redis.delete(*services.names.feed_keys(feed.client))
        assert [(await shown(each))["complete"] for each in (feed, other)] == [False, True]
        topics = (await ask(feed.api, "GET", "/v1/feeds")).body["topics"]
        assert [topics[name]["status"] for name in ("bulk", "changes")] == ["paused", "paused"]

    async def is_complete() -> bool:
        return bool((await shown(feed))["complete"])

    await until(is_complete, seconds=60)
    assert (await shown(feed))["records"] == 2


async def test_how_far_both_topics_are_behind(feed: Feed) -> None:
    """Each by itself, in records and seconds: a load that nobody applies yet does not delay changes."""
    lines = [record(f"k{number}") for number in range(50)]
    async with paused(feed.api, "audiences_bulk"):
        sent = await feed.send("bulk", ndjson(lines))
        assert sent.status == 202

        async def is_told() -> bool:
            topics = (await ask(feed.api, "GET", "/v1/feeds")).body["topics"]
            return topics["bulk"]["lag"] >= 50 and topics["bulk"]["lag_seconds"] > 0 and topics["changes"]["lag"] == 0

        await until(is_told)
    assert (await feed.decided(sent.body["run_id"]))["status"] == "published"


async def test_they_come_by_name_in_pages(empty_api: RunningApi) -> None:
    """Each once, whatever its name has in it, and whether it still sends anything or not."""
    mark = uuid.uuid4().hex
    names = [f"{mark} {rest}" for rest in ("%2F", "<b>bold", "Z", "a\u00a0b", "a\u200bb", "\u00e4", "\U0001f4a5")]
    for name in reversed(names):
        entity = await registered(empty_api, "feed-clients", {"name": name})
    assert (await ask(empty_api, "POST", f"/v1/feed-clients/{entity['id']}/archive")).status == 200
    wanted = sorted(names)

    async def are_there() -> bool:
        found = [each for each in await listed(empty_api, limit=3) if each["name"] in names]
        archived = [each["name"] for each in found if each["status"] == "archived"]
        return ([each["name"] for each in found], archived) == (wanted, [entity["name"]])

    await until(are_there)
    everybody = [each["name"] for each in await listed(empty_api, limit=3)]
    assert everybody == sorted(everybody)
    assert len(everybody) == len(set(everybody))


async def test_a_cursor_of_nobody(empty_api: RunningApi) -> None:
    """What was never given out is refused, and what stands for no client has nothing behind it."""
    assert (await ask(empty_api, "GET", "/v1/feeds?cursor=x")).status == 400
    answer = await ask(empty_api, "GET", f"/v1/feeds?cursor={cursor_after('nobody')}")
    assert (answer.status, answer.body["items"], answer.body["next_cursor"]) == (200, [], None)


async def test_a_client_learns_nothing_of_the_others(feed: Feed) -> None:
    """Its own key does not reach the list."""
    key = await issued(feed.api, "feed_client", feed.client)
    assert (await as_holder(feed.api, key, "GET", "/v1/feeds")).status == 403


async def test_it_is_what_the_document_says(feed: Feed, document: dict[str, Any]) -> None:
    """The answer has the shape that it promises, with a load and without one."""
    await feed.load([record("a")])
    await fresh_feed(feed.api)
    answer = await ask(feed.api, "GET", "/v1/feeds?limit=500")
    operation = operations(document)["get /v1/feeds"]
    assert {"Gavel-Token", "Prefer"} <= {each.get("$ref", "").rpartition("/")[2] for each in operation["parameters"]}
    schema = operation["responses"]["200"]["content"]["application/json"]["schema"]
    validator(document, schema).validate(answer.body)
