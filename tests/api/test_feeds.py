"""Feeds over HTTP: loaded, changed, looked up, replaced, erased; each client its own and nobody else's."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from typing import Any
from urllib.parse import quote

import msgspec
import pytest
from yarl import URL

from tests.api.running_api import RunningApi, until
from tests.api.tenants import Key
from tests.api.test_catalogue import Answer, ask, registered

NDJSON = "application/x-ndjson"


class Feed:
    """One client's feed, asked for by the operator unless a key is given."""

    def __init__(self, api: RunningApi, name: str, client: str) -> None:
        self.api, self.name, self.client = api, name, client
        self.path = f"/v1/feeds/{quote(name, safe='')}"

    async def send(self, what: str, body: Any, key: Key | None = None, **headers: str) -> Answer:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        sent = self.api.authorized | {"Content-Type": NDJSON} | named
        if key is not None:
            sent["Authorization"] = f"Bearer {key.secret}"
        async with self.api.http.post(f"{self.path}/{what}", data=body, headers=sent) as response:
            return Answer(response.status, msgspec.json.decode(await response.read()), response.headers)

    async def load(self, lines: Iterable[Any], query: str = "", **headers: str) -> dict[str, Any]:
        """Sent and decided; the run as it is shown then."""
        answer = await self.send(f"bulk{query}", ndjson(lines), **headers)
        assert answer.status == 202, answer.body
        return await self.decided(answer.body["run_id"])

    async def decided(self, run_id: str) -> dict[str, Any]:
        run: dict[str, Any] = {}

        async def is_decided() -> bool:
            nonlocal run
            run = (await ask(self.api, "GET", f"{self.path}/runs/{run_id}")).body
            return run.get("status") in {"published", "failed", "superseded"}

        await until(is_decided, seconds=30)
        return run

    async def change(self, *changes: Any) -> Answer:
        answer = await self.send("changes", ndjson(changes))
        assert answer.status == 202, answer.body
        return answer

    async def record(self, key: str, after: Answer | None = None) -> Any:
        """Its value; None where there is none."""
        waiting = {} if after is None else {"Gavel_Token": after.headers["Gavel-Token"], "Prefer": "wait=20"}
        answer = await ask(self.api, "GET", f"{self.path}/records/{quote(key, safe='')}", **waiting)
        assert answer.status in {200, 404}, answer.body
        return answer.body["value"] if answer.status == 200 else None


def ndjson(lines: Iterable[Any]) -> bytes:
    return b"".join(line if isinstance(line, bytes) else msgspec.json.encode(line) + b"\n" for line in lines)


def record(key: str, **value: Any) -> dict[str, Any]:
    return {"key": key, "value": value}


async def fresh_feed(api: RunningApi, **terms: Any) -> Feed:
    name = f"data co {uuid.uuid4()}"
    entity = await registered(api, "feed-clients", {"name": name, **terms})
    return Feed(api, name, entity["id"])


@pytest.fixture
async def feed(empty_api: RunningApi) -> Feed:
    return await fresh_feed(empty_api)


async def test_a_load_is_published_and_found(feed: Feed) -> None:
    """Good lines of an upload are found by their keys, bad ones are told by line and reason."""
    answer = await feed.send("bulk", ndjson([record("a", x=1), b"{\n", b'{"value": {}}\n', record("b", y=[1, None])]))
    assert answer.status == 202
    run_id = answer.body["run_id"]
    assert answer.body == {
        "run_id": run_id,
        "received": 2,
        "rejected": 2,
        "errors": [{"line": 2, "reason": "the line is not JSON"}, {"line": 3, "reason": "the record has no key"}],
    }
    run = await feed.decided(run_id)
    shown = {name: run[name] for name in ("id", "status", "received", "rejected", "applied")}
    assert shown == {"id": run_id, "status": "published", "received": 2, "rejected": 2, "applied": 2}
    assert [await feed.record(key) for key in "abc"] == [{"x": 1}, {"y": [1, None]}, None]


async def test_changes_are_seen_by_who_waits_for_them(feed: Feed) -> None:
    """Added, moved and deleted, in their order; a deletion of nothing is no error."""
    answer = await feed.change(
        {"op": "add", "key": "a", "value": {"n": 1}},
        {"op": "update", "old_key": "a", "key": "b", "value": {"n": 2}},
        {"op": "delete", "key": "nobody"},
        {"op": "add", "key": "c", "value": {}},
        {"op": "delete", "key": "c"},
    )
    assert (answer.body["received"], answer.body["rejected"]) == (5, 0)
    assert [await feed.record(key, answer) for key in "abc"] == [None, {"n": 2}, None]


async def test_many_at_once(feed: Feed) -> None:
    """Those that are there in the order that was asked for, and which are not; more than a hundred are refused."""
    await feed.load(record(f"k{number}", n=number) for number in range(5))
    answer = await ask(feed.api, "POST", f"{feed.path}/records", {"keys": ["k3", "none", "k1"]})
    assert (answer.status, answer.body) == (
        200,
        {"records": [record("k3", n=3), record("k1", n=1)], "missing": ["none"]},
    )
    for keys in ([], ["x"] * 101, [""], [1]):
        refused = await ask(feed.api, "POST", f"{feed.path}/records", {"keys": keys})
        assert refused.status == 400, keys


@pytest.mark.parametrize("key", ["a/b", "/a", "a//b", "a/", "ä €", "100%", "a?b#c", ".", "..", "a+b", "%2F"])
async def test_any_key_is_found(feed: Feed, key: str) -> None:
    """Whatever its address has to be."""
    answer = await feed.change({"op": "add", "key": key, "value": {"it": key}})
    assert answer.body["received"] == 1
    waiting = {"Gavel-Token": answer.headers["Gavel-Token"], "Prefer": "wait=20"} | feed.api.authorized
    url = URL(f"{feed.api.base_url}{feed.path}/records/{quote(key, safe='').replace('.', '%2E')}", encoded=True)
    async with feed.api.http.get(url, headers=waiting) as response:
        assert (response.status, msgspec.json.decode(await response.read())) == (200, record(key, it=key))
