"""Access keys over HTTP: told once, kept as a digest, good as far as their role reaches, gone at once when revoked."""

from __future__ import annotations

import uuid
from hashlib import sha256

import pytest

from tests.api.running_api import RunningApi
from tests.api.tenants import Key, as_holder, issued, seller
from tests.api.test_catalogue import ask, registered


async def test_a_key_is_told_once(empty_api: RunningApi) -> None:
    """The answer to its registration holds it; neither a list, nor the entity, nor Redis or Postgres ever does."""
    publisher = await registered(
        empty_api, "publishers", {"name": "Weekly", "domain": "weekly.example", "share_bps": 8_000}
    )
    terms = {"name": "Reports", "role": "publisher", "subject_id": publisher["id"]}
    made = await ask(empty_api, "POST", "/v1/access-keys", terms)
    assert made.status == 201, made.body
    key = made.body.pop("key")
    assert made.body == {"id": made.body["id"], "version": 1, "status": "active", **terms}
    waiting = {"Gavel_Token": made.headers["Gavel-Token"], "Prefer": "wait=20"}
    shown = await ask(empty_api, "GET", made.headers["Location"], **waiting)
    assert shown.body == made.body
    listed = await ask(empty_api, "GET", "/v1/access-keys?limit=500")
    assert made.body in listed.body["items"]
    cached = await empty_api.services.redis.hget(
        empty_api.services.names.catalogue_entities, f"access_key:{made.body['id']}"
    )
    assert key.encode() not in cached
    assert sha256(key.encode()).hexdigest().encode() in cached
    assert "digest" not in str(listed.body)


async def test_it_says_whose_it_is(empty_api: RunningApi) -> None:
    """`whoami` names role and subject; the operator's own key has no id."""
    one = await seller(empty_api, "Whose")
    answer = await as_holder(empty_api, one.key, "GET", "/v1/whoami")
    assert answer.body == {
        "key_id": one.key.id,
        "name": "A key of the publisher",
        "role": "publisher",
        "subject_id": one.publisher["id"],
    }
    operator = await ask(empty_api, "GET", "/v1/whoami")
    assert (operator.body["key_id"], operator.body["role"], operator.body["subject_id"]) == (None, "admin", None)


@pytest.mark.parametrize("move", ["pause", "archive"])
async def test_a_revoked_key_is_refused_at_once(empty_api: RunningApi, move: str) -> None:
    """Archived for good, paused until it is resumed: from the answer on nothing is told to its holder."""
    key = await issued(empty_api, "admin")
    assert (await as_holder(empty_api, key, "GET", "/v1/projections")).status == 200
    moved = await ask(empty_api, "POST", f"/v1/access-keys/{key.id}/{move}")
    assert moved.status == 200, moved.body
    refused = await as_holder(empty_api, key, "GET", "/v1/projections")
    assert (refused.status, refused.body["detail"]) == (401, "the key is not valid")
    resumed = await ask(empty_api, "POST", f"/v1/access-keys/{key.id}/resume")
    assert resumed.status == (200 if move == "pause" else 409)
    assert (await as_holder(empty_api, key, "GET", "/v1/projections")).status == (200 if move == "pause" else 401)


@pytest.mark.parametrize("sent", ["", "x", "gavel_", "a" * 4_000, "ключ".encode().decode("latin-1")])
async def test_a_wrong_key_is_refused(empty_api: RunningApi, sent: str) -> None:
    """Whatever it looks like: 401 with a challenge, and nothing about what would have been right."""
    answer = await as_holder(empty_api, Key("", sent), "GET", "/v1/publishers")
    assert answer.status == 401
    assert answer.headers["WWW-Authenticate"].startswith('Bearer realm="gavel"')


async def test_the_digest_is_no_key(empty_api: RunningApi) -> None:
    """Who has read the log or the cache cannot sign in with what stands there."""
    key = await issued(empty_api, "admin")
    digest = sha256(key.secret.encode()).hexdigest()
    assert (await as_holder(empty_api, Key(key.id, digest), "GET", "/v1/publishers")).status == 401


@pytest.mark.parametrize(
    ("terms", "paths"),
    [
        ({}, {"name", "role"}),
        ({"name": "K", "role": "owner"}, {"role"}),
        ({"name": "K", "role": "publisher"}, {"subject_id"}),
        ({"name": "K", "role": "admin", "subject_id": "p-1"}, {"subject_id"}),
        ({"name": "K", "role": "admin", "digest": "00" * 32}, {"digest"}),
        ({"name": "K", "role": "admin", "key": "mine"}, {"key"}),
        ({"name": " ", "role": "admin"}, {"name"}),
    ],
)
async def test_terms_that_cannot_be(empty_api: RunningApi, terms: dict[str, object], paths: set[str]) -> None:
    """Each fault is named, and no key is made: one cannot bring a key or a digest of one's own."""
    answer = await ask(empty_api, "POST", "/v1/access-keys", terms)
    assert (answer.status, set(answer.faults)) == (400, paths)
    assert "key" not in answer.body


async def test_a_key_of_nobody(empty_api: RunningApi) -> None:
    """The subject has to be there, and of the role's kind."""
    one = await seller(empty_api, "Nobody")
    for role, subject_id in (("publisher", str(uuid.uuid4())), ("advertiser", one.publisher["id"])):
        answer = await ask(empty_api, "POST", "/v1/access-keys", {"name": "K", "role": role, "subject_id": subject_id})
        assert (answer.status, set(answer.faults)) == (422, {"subject_id"})


async def test_a_retry_makes_no_second_key(empty_api: RunningApi) -> None:
    """The same `Idempotency-Key` is answered with the same entity, without the key: nobody has kept it."""
    terms, retry = {"name": "Retried", "role": "admin"}, {"Idempotency_Key": uuid.uuid4().hex}
    first = await ask(empty_api, "POST", "/v1/access-keys", terms, **retry)
    second = await ask(empty_api, "POST", "/v1/access-keys", terms, **retry)
    key = first.body.pop("key")
    assert (second.status, second.body) == (201, first.body)
    assert (await as_holder(empty_api, Key("", key), "GET", "/v1/whoami")).body["key_id"] == first.body["id"]
    other = await ask(empty_api, "POST", "/v1/access-keys", terms | {"name": "Other"}, **retry)
    assert other.status == 422


async def test_the_terms_of_a_key_never_change(empty_api: RunningApi) -> None:
    """A key for somebody else is another key."""
    key = await issued(empty_api, "admin")
    answer = await ask(empty_api, "PATCH", f"/v1/access-keys/{key.id}", {"role": "publisher"})
    assert answer.status == 405
