"""Dead letters over HTTP: listed, inspected without their payload unless it is asked for, retried and skipped."""

from __future__ import annotations

import base64
import uuid
from typing import Any

import pytest

from domain.codec import encode
from domain.names import Names
from gavel.settings import Settings
from tests.api.running_api import RunningApi, until
from tests.api.test_catalogue import Answer, ask
from tests.projections.traffic import Log, Traffic

TYPED = "what a viewer typed"
UNKNOWN = f'{{"type":"never_heard_of","text":"{TYPED}"}}'.encode()
PROJECTION = "auction_log"


@pytest.fixture
async def auction_id(empty_api: RunningApi, settings: Settings) -> str:
    """Of an auction whose first event nobody can read, and which waits behind it."""
    story = Traffic(uuid.uuid4().int).auction(test=False)
    assert settings.kafka_url is not None
    names = Names(settings.namespace)
    async with Log(settings.kafka_url, names) as log:
        await log.append_bytes(names.auctions, story[0].correlation_id, UNKNOWN)
        for event in story[:2]:
            await log.append_bytes(names.auctions, story[0].correlation_id, encode(event))

    async def is_parked() -> bool:
        return len(await letters(empty_api, story[0].correlation_id)) == 3

    await until(is_parked, seconds=30)
    return story[0].correlation_id


async def letters(api: RunningApi, key: str, query: str = "") -> list[dict[str, Any]]:
    """Those of the key, over all pages."""
    found, cursor = [], ""
    while True:
        answer = await ask(api, "GET", f"/v1/dead-letters?projection={PROJECTION}&limit=2{query}{cursor}")
        assert answer.status == 200, answer.body
        found += [each for each in answer.body["items"] if each["key"] == key]
        if answer.body["next_cursor"] is None:
            return found
        assert 'rel="next"' in answer.headers["Link"]
        cursor = f"&cursor={answer.body['next_cursor']}"


async def test_listed_and_inspected(empty_api: RunningApi, auction_id: str) -> None:
    """Where it stands and why, in the order of the log; what it holds only for whoever asks for that."""
    first, second, third = await letters(empty_api, auction_id)
    assert "never_heard_of" in first["error"]
    assert second["error"] == third["error"] == "waits behind an earlier dead letter of its key"
    assert first["offset"] < second["offset"] < third["offset"]
    assert (first["projection"], first["attempts"], first["generation"]) == (PROJECTION, 1, 1)
    path = f"/v1/dead-letters/{first['id']}"
    hidden, asked = await ask(empty_api, "GET", path), await ask(empty_api, "GET", f"{path}?payload=true")
    assert hidden.body == first
    assert asked.body == first | {"payload": UNKNOWN.decode()}
    assert TYPED not in str(hidden.body)


async def test_retried_and_skipped(empty_api: RunningApi, auction_id: str) -> None:
    """A retry that does not help says so; a skip ends the letter, and those behind it are applied."""
    first, second, _ = await letters(empty_api, auction_id)
    again = await ask(empty_api, "POST", f"/v1/dead-letters/{second['id']}/retry")
    assert (again.status, again.body["applied"], again.body["waiting"]) == (200, 0, 3)
    assert "never_heard_of" in again.body["error"]
    skipped = await skip(empty_api, first["id"], {"reason": "Nobody knows what it was."})
    assert (skipped.status, skipped.body) == (200, {"applied": 2, "waiting": 0, "error": None})
    assert await letters(empty_api, auction_id) == []
    ended = await letters(empty_api, auction_id, "&ended=true")
    assert [each["outcome"] for each in ended] == ["skipped", "applied", "applied"]
    assert (ended[0]["reason"], ended[0]["decided_by"]) == ("Nobody knows what it was.", "the operator")
    assert all(each["decided_at"] > each["parked_at"] for each in ended)
    story = await ask(empty_api, "GET", f"/v1/auctions/{auction_id}")
    assert story.status == 200
    assert (await skip(empty_api, first["id"], {"reason": "Again."})).status == 409
    applied = await ask(empty_api, "POST", f"/v1/dead-letters/{first['id']}/retry")
    assert applied.body == {"applied": 0, "waiting": 0, "error": None}


async def test_all_of_a_projection(empty_api: RunningApi, auction_id: str) -> None:
    """Each key on its own; those that cannot be applied stay."""
    tried = await ask(empty_api, "POST", f"/v1/dead-letters/retry?projection={PROJECTION}")
    assert tried.status == 200
    assert tried.body["waiting"] >= 3
    assert len(await letters(empty_api, auction_id)) == 3
    assert (await ask(empty_api, "POST", "/v1/dead-letters/retry?projection=nonsense")).status == 404
    assert (await ask(empty_api, "POST", "/v1/dead-letters/retry")).status == 400


@pytest.mark.parametrize("body", [{}, {"reason": ""}, {"reason": " "}, {"reason": 7}, {"reason": "x" * 1_001}, []])
async def test_a_skip_without_a_reason(empty_api: RunningApi, auction_id: str, body: Any) -> None:
    """It is told what is wrong, and the letter stays as it was."""
    first, *_ = await letters(empty_api, auction_id)
    answer = await skip(empty_api, first["id"], body)
    assert (answer.status, answer.body["type"]) == (400, "/problems/invalid-input")
    assert (await letters(empty_api, auction_id))[0] == first


@pytest.mark.parametrize("letter_id", ["0", "999999999999", "9" * 40, "-1", "x", "%C2%B2"])
async def test_a_letter_that_is_not_there(empty_api: RunningApi, letter_id: str) -> None:
    """Whatever is asked of it, it is not found."""
    path = f"/v1/dead-letters/{letter_id}"
    answers = [
        await ask(empty_api, "GET", path),
        await ask(empty_api, "POST", f"{path}/retry"),
        await skip(empty_api, letter_id, {"reason": "None."}),
    ]
    assert [answer.status for answer in answers] == [404] * 3
    for cursor in ("eA", base64.urlsafe_b64encode(b"9" * 5_000).decode().rstrip("=")):
        assert (await ask(empty_api, "GET", f"/v1/dead-letters?cursor={cursor}")).status == 400


async def skip(api: RunningApi, letter_id: object, body: Any) -> Answer:
    return await ask(api, "POST", f"/v1/dead-letters/{letter_id}/skip", body)
