"""Feed clients over HTTP: registered under a name that nobody else ever has, and met by nobody but themselves."""

from __future__ import annotations

import asyncio
import uuid
from typing import Any

import pytest

from domain.terms.feed_client import feed_client_id
from tests.api.running_api import RunningApi
from tests.api.tenants import Key, as_holder
from tests.api.test_catalogue import ask, read_back, registered

TERMS = {
    "ttl_seconds": 86_400,
    "allowed_shrinkage_percent": 20,
    "minimum_records": 1_000,
    "unreadable_percent": 1,
}


def fresh_name() -> str:
    return f"data-co-{uuid.uuid4()}"


async def test_a_feed_client_goes_through_its_life(empty_api: RunningApi) -> None:
    """Registered, changed, paused, resumed and archived: each answer and the read model agree on every field."""
    name = fresh_name()
    answer = await ask(empty_api, "POST", "/v1/feed-clients", {"name": name, **TERMS})
    expected: dict[str, Any] = {"id": feed_client_id(name), "version": 1, "status": "active", "name": name, **TERMS}
    assert (answer.status, answer.body) == (201, expected)
    path = answer.headers["Location"]
    assert await read_back(empty_api, answer) == expected
    for method, step, body, change in (
        ("PATCH", "", {"ttl_seconds": None, "minimum_records": 5}, {"ttl_seconds": None, "minimum_records": 5}),
        ("POST", "/pause", None, {"status": "paused"}),
        ("POST", "/resume", None, {"status": "active"}),
        ("POST", "/archive", None, {"status": "archived"}),
    ):
        answer = await ask(empty_api, method, path + step, body)
        expected |= {"version": expected["version"] + 1, **change}
        assert (answer.status, answer.body) == (200, expected)
        assert await read_back(empty_api, answer) == expected
    waiting = {"Gavel_Token": answer.headers["Gavel-Token"], "Prefer": "wait=20"}
    listed = await ask(empty_api, "GET", "/v1/feed-clients?status=archived&limit=500", **waiting)
    assert expected in listed.body["items"]


async def test_the_least_is_a_name(empty_api: RunningApi) -> None:
    """Everything else is shown as left open."""
    entity = await registered(empty_api, "feed-clients", {"name": fresh_name()})
    assert [entity[field] for field in TERMS] == [None] * 4


async def test_of_many_who_ask_for_a_name_at_once_one_gets_it(empty_api: RunningApi) -> None:
    """The others are told that it is taken; nobody is told yes and then overruled."""
    name = fresh_name()
    asked = [ask(empty_api, "POST", "/v1/feed-clients", {"name": name, "ttl_seconds": each}) for each in range(1, 11)]
    answers = await asyncio.gather(*asked)
    [made] = [each for each in answers if each.status == 201]
    assert {each.status for each in answers if each is not made} == {409}
    assert await read_back(empty_api, made) == made.body


async def test_a_name_is_never_given_again(empty_api: RunningApi) -> None:
    """Not after the archive either: what its addresses meant once they never mean of somebody else."""
    name = fresh_name()
    entity = await registered(empty_api, "feed-clients", {"name": name})
    await ask(empty_api, "POST", f"/v1/feed-clients/{entity['id']}/archive")
    refused = await ask(empty_api, "POST", "/v1/feed-clients", {"name": name})
    assert (refused.status, refused.body["type"]) == (409, "/problems/conflict")


async def test_a_retry_gets_the_first_answer(empty_api: RunningApi) -> None:
    """With its `Idempotency-Key` the same registration is no second one."""
    name, key = fresh_name(), str(uuid.uuid4())
    first = await ask(empty_api, "POST", "/v1/feed-clients", {"name": name}, Idempotency_Key=key)
    again = await ask(empty_api, "POST", "/v1/feed-clients", {"name": name}, Idempotency_Key=key)
    assert (again.status, again.body) == (first.status, first.body) == (201, first.body)


async def test_a_name_cannot_change(empty_api: RunningApi) -> None:
    """Its records are under it; the same name again is no change."""
    entity = await registered(empty_api, "feed-clients", {"name": fresh_name()})
    path = f"/v1/feed-clients/{entity['id']}"
    refused = await ask(empty_api, "PATCH", path, {"name": fresh_name()})
    assert (refused.status, set(refused.faults)) == (400, {"name"})
    same = await ask(empty_api, "PATCH", path, {"name": entity["name"]})
    assert (same.status, same.body) == (200, entity)


@pytest.mark.parametrize(
    "fault", [{"name": "a/b"}, {"ttl_seconds": 0}, {"allowed_shrinkage_percent": 101}, {"minimum_records": -1}]
)
async def test_bad_terms_register_nobody(empty_api: RunningApi, fault: dict[str, Any]) -> None:
    """The field is named."""
    refused = await ask(empty_api, "POST", "/v1/feed-clients", {"name": fresh_name()} | fault)
    assert (refused.status, set(refused.faults)) == (400, set(fault))


async def test_a_feed_client_sees_itself_alone(empty_api: RunningApi) -> None:
    """With its access key it reads its own terms and states none; another one is as absent as one that never was."""
    own, other = [await registered(empty_api, "feed-clients", {"name": fresh_name()}) for _ in range(2)]
    body = {"name": "Feeds", "role": "feed_client", "subject_id": own["id"]}
    issued = await ask(empty_api, "POST", "/v1/access-keys", body)
    key = Key(issued.body["id"], issued.body["key"], own["id"])
    await read_back(empty_api, issued)
    assert (await as_holder(empty_api, key, "GET", "/v1/whoami")).body["subject_id"] == own["id"]
    assert (await as_holder(empty_api, key, "GET", f"/v1/feed-clients/{own['id']}")).body == own
    assert (await as_holder(empty_api, key, "GET", f"/v1/feed-clients/{other['id']}")).status == 404
    assert (await as_holder(empty_api, key, "GET", "/v1/feed-clients")).body["items"] == [own]
    assert (await as_holder(empty_api, key, "PATCH", f"/v1/feed-clients/{own['id']}", {"ttl_seconds": 1})).status == 403


async def test_a_key_for_a_feed_client_that_is_not_there(empty_api: RunningApi) -> None:
    """It is refused, as one for any subject that is not there."""
    body = {"name": "Feeds", "role": "feed_client", "subject_id": feed_client_id(fresh_name())}
    refused = await ask(empty_api, "POST", "/v1/access-keys", body)
    assert (refused.status, set(refused.faults)) == (422, {"subject_id"})
