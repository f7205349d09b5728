"""Feeds over HTTP: loaded, changed, looked up, replaced; each client its own and nobody else's."""

from __future__ import annotations

import asyncio
import gzip
import io
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import aiohttp
import fastavro
import msgspec
import pytest
from backports import zstd
from yarl import URL

from commands.feeds import sweep_runs
from domain.feed_events import FeedLoadOpened, FeedLoadStarted
from domain.terms.feed_client import feed_client_id
from gavel.process_clock import fresh_id
from tests.api.feed import Feed, fresh_feed, ndjson, record
from tests.api.running_api import RunningApi, until
from tests.api.tenants import as_holder, issued
from tests.api.test_catalogue import ask


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


async def test_a_tombstone_is_no_change(feed: Feed) -> None:
    """A connector's message without a value, which follows each deletion, is neither counted nor refused."""
    answer = await feed.change({"op": "delete", "key": "a"}, None)
    assert (answer.body["received"], answer.body["rejected"]) == (1, 0)


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


async def test_one_that_does_not_open_costs_the_others_nothing(feed: Feed) -> None:
    """A value that is damaged in Redis is told by its key, and the other keys of the look-up are answered.

    Sent again, it is there again.
    """
    added = await feed.change(*({"op": "add", "key": f"k{n}", "value": {"n": n}} for n in range(5)))
    assert await feed.record("k3", added) == {"n": 3}
    services = feed.api.services
    kept = services.names.feed_keys(feed.client)[2]
    whole = await services.redis.hget(kept, "k1")
    damaged = {"k1": whole[:12], "k2": whole[:-1] + bytes([whole[-1] ^ 1]), "k4": whole[:5]}
    await services.redis.hset(kept, mapping=damaged)
    answer = await ask(feed.api, "POST", f"{feed.path}/records", {"keys": ["k0", "k1", "none", "k2", "k3", "k4"]})
    assert (answer.status, answer.body) == (
        200,
        {"records": [record("k0", n=0), record("k3", n=3)], "missing": ["none"], "unreadable": ["k1", "k2", "k4"]},
    )
    for key in damaged:
        alone = await ask(feed.api, "GET", f"{feed.path}/records/{key}")
        assert (alone.status, alone.body["type"]) == (500, "/problems/unreadable")
        assert repr(key) in alone.body["detail"]
        again = await feed.change({"op": "add", "key": key, "value": {"n": 7}})
        assert await feed.record(key, again) == {"n": 7}


@pytest.mark.parametrize("key", ["a/b", "/a", "a//b", "a/", "ä €", "100%", "a?b#c", ".", "..", "a+b", "%2F"])
async def test_any_key_is_found(feed: Feed, key: str) -> None:
    """Whatever its address has to be."""
    answer = await feed.change({"op": "add", "key": key, "value": {"it": key}})
    assert answer.body["received"] == 1
    waiting = {"Gavel-Token": answer.headers["Gavel-Token"], "Prefer": "wait=20"} | feed.api.authorized
    url = URL(f"{feed.api.base_url}{feed.path}/records/{quote(key, safe='').replace('.', '%2E')}", encoded=True)
    async with feed.api.http.get(url, headers=waiting) as response:
        assert (response.status, msgspec.json.decode(await response.read())) == (200, record(key, it=key))


@pytest.mark.parametrize(
    "path", ["/v1/feeds/NAME%2Frecords/a", "/v1/feeds/NAME%2Frecords/a/b", "/v1//feeds/NAME/records/a"]
)
async def test_an_address_of_another_form_finds_nothing(feed: Feed, path: str) -> None:
    """404, also where it would lead to one of a record once it is decoded and tidied."""
    changed = await feed.change(*({"op": "add", "key": key, "value": {}} for key in ("a", "b", "records/a")))
    assert await feed.record("a", changed) == {}
    url = URL(f"{feed.api.base_url}{path.replace('NAME', quote(feed.name, safe=''))}", encoded=True)
    async with feed.api.http.get(url, headers=feed.api.authorized) as response:
        assert response.status == 404


@pytest.mark.parametrize("packed", ["identity", "gzip", "zstd"])
@pytest.mark.parametrize("written_in", ["application/x-ndjson", "application/avro"])
async def test_every_form(feed: Feed, packed: str, written_in: str) -> None:
    """NDJSON or an Avro container file, plain or packed: the same records."""
    content = ndjson([record("a", n=1), record("b", n=2)])
    if written_in == "application/avro":
        fields = [{"name": "key", "type": "string"}, {"name": "value", "type": {"type": "map", "values": "long"}}]
        schema: Any = {"type": "record", "name": "Record", "fields": fields}
        file = io.BytesIO()
        fastavro.writer(file, schema, [record("a", n=1), record("b", n=2)])
        content = file.getvalue()
    pack = {"identity": bytes, "gzip": gzip.compress, "zstd": zstd.compress}[packed]
    answer = await feed.send("bulk", pack(content), Content_Type=written_in, Content_Encoding=packed)
    assert (answer.status, answer.body["received"]) == (202, 2)
    assert (await feed.decided(answer.body["run_id"]))["status"] == "published"
    assert [await feed.record(key) for key in "ab"] == [{"n": 1}, {"n": 2}]


async def test_what_replaces_takes_the_place_of_all(feed: Feed) -> None:
    """Keys that are not in the load are gone; a later change stands over it."""
    await feed.load([record("old", n=0), record("a", n=0)])
    run = await feed.load([record("a", n=1), record("b", n=1)], "?mode=replace")
    assert (run["status"], run["mode"], run["applied"]) == ("published", "replace", 2)
    assert [await feed.record(key) for key in ("old", "a", "b")] == [None, {"n": 1}, {"n": 1}]
    answer = await feed.change({"op": "delete", "key": "b"})
    assert await feed.record("b", answer) is None


async def test_readers_see_all_of_the_old_or_all_of_the_new(feed: Feed) -> None:
    """Who looks up a hundred keys again and again while loads replace them: some go, some come, some change."""
    keys = [*(f"gone{n}" for n in range(30)), *(f"stays{n}" for n in range(40)), *(f"comes{n}" for n in range(30))]
    sides = (keys[:70], keys[30:])
    is_over = asyncio.Event()
    seen: list[tuple[list[str], set[int]]] = []

    async def read() -> None:
        while not is_over.is_set():
            shown = (await ask(feed.api, "POST", f"{feed.path}/records", {"keys": keys})).body["records"]
            seen.append(([each["key"] for each in shown], {each["value"]["n"] for each in shown}))

    async def load(n: int) -> None:
        others = [record(f"other{number}", n=n) for number in range(2_000)]
        run = await feed.load([*others, *(record(key, n=n) for key in sides[n % 2])], "?mode=replace")
        assert run["status"] == "published"

    await load(0)
    reading = asyncio.create_task(read())
    try:
        for n in range(1, 4):
            await load(n)
    finally:
        is_over.set()
        await reading
    for found, told in seen:
        [n] = told
        assert found == sides[n % 2]
    assert {n for _, [n] in seen} >= {0, 1, 2}


async def test_a_load_that_breaks_its_terms_changes_nothing(empty_api: RunningApi) -> None:
    """Too many keys would be lost, keys stand twice, there are too few: the run says which, and the old ones stand."""
    feed = await fresh_feed(empty_api, allowed_shrinkage_percent=50, minimum_records=1)
    await feed.load(record(key, n=0) for key in "abcd")
    for lines, word in (([record("a")], "lost"), ([record("a")] * 2, "key"), ([], "at least 1")):
        run = await feed.load(lines, "?mode=replace")
        assert run["status"] == "failed"
        assert word in run["reason"]
        assert [await feed.record(key) for key in "ad"] == [{"n": 0}] * 2
    assert (await feed.load([record("a"), record("b")], "?mode=replace"))["status"] == "published"


async def test_of_two_loads_at_once_the_later_one_counts(feed: Feed) -> None:
    """The earlier one, which is still being sent, is told so."""
    goes_on = asyncio.Event()

    async def slowly() -> AsyncIterator[bytes]:
        yield ndjson(record(f"k{number}", n=0, filled="x" * 1_000) for number in range(1_000))
        await goes_on.wait()
        # As much as is read to its end although it is refused.
        yield ndjson(record(f"k{number}", n=0, filled="x" * 1_000) for number in range(1_000, 1_900))

    earlier = asyncio.create_task(feed.send("bulk?mode=replace", slowly(), Idempotency_Key="earlier"))
    before: str | None = None

    async def is_open() -> bool:
        nonlocal before
        # Of one that has only been started the changes tell first.
        before = next((each.undecided for each in await feed.api.services.feed_runs.open_runs([feed.client])), None)
        return before is not None

    await until(is_open, seconds=60)
    later = await feed.load([record("a", n=1)], "?mode=replace")
    goes_on.set()
    answer = await earlier
    assert (answer.status, answer.body["type"]) == (409, "/problems/conflict")
    assert later["status"] == "published"
    assert (await feed.decided(str(before)))["status"] == "superseded"
    assert [await feed.record(key) for key in ("k1", "a")] == [None, {"n": 1}]


async def test_a_named_load_goes_on_where_it_was_cut_off(feed: Feed) -> None:
    """Sent again in full under its name, it is one load without doubles; another content under the name is refused."""
    lines = ndjson(record(f"k{number}", n=number) for number in range(3_000))

    async def cut() -> AsyncIterator[bytes]:
        yield lines[: len(lines) // 2]
        raise ConnectionAbortedError

    with pytest.raises(aiohttp.ClientError):
        await feed.send("bulk?mode=replace", cut(), Idempotency_Key="nightly")
    answer = await feed.send("bulk?mode=replace", lines, Idempotency_Key="nightly")
    assert (answer.status, answer.body["received"]) == (202, 3_000)
    run = await feed.decided(answer.body["run_id"])
    assert (run["status"], run["applied"], run["duplicates"]) == ("published", 3_000, 0)
    again = await feed.send("bulk?mode=replace", lines, Idempotency_Key="nightly")
    assert (again.status, again.body) == (202, answer.body)
    other = await feed.send("bulk?mode=replace", lines[: len(lines) // 3], Idempotency_Key="nightly")
    assert (other.status, other.body["type"]) == (422, "/problems/key-reused")


async def test_each_client_meets_its_own_alone(empty_api: RunningApi) -> None:
    """To its key another one's feed is as absent as one that never was; two clients may have the same keys."""
    one, other = await fresh_feed(empty_api), await fresh_feed(empty_api)
    key = await issued(empty_api, "feed_client", one.client)
    mine = await one.send("bulk", ndjson([record("a", of="one")]), key)
    theirs = await other.send("bulk", ndjson([record("a", of="other")]))
    assert (mine.status, theirs.status) == (202, 202)
    await one.decided(mine.body["run_id"])
    await other.decided(theirs.body["run_id"])
    assert (await as_holder(empty_api, key, "GET", f"{one.path}/records/a")).body == record("a", of="one")
    assert await other.record("a") == {"of": "other"}
    absent = Feed(empty_api, "nobody", feed_client_id("nobody"))
    for feed in (other, absent):
        asked = [
            await as_holder(empty_api, key, "GET", f"{feed.path}/records/a"),
            await as_holder(empty_api, key, "POST", f"{feed.path}/records", {"keys": ["a"]}),
            await as_holder(empty_api, key, "GET", f"{feed.path}/runs/{theirs.body['run_id']}"),
            await feed.send("bulk", b"", key),
            await feed.send("changes", b"", key),
        ]
        assert [each.status for each in asked] == [404] * 5
        assert {each.body["detail"] for each in asked} == {f"There is no feed client {feed.name!r}."}
    publisher = await issued(empty_api, "admin")
    assert (await as_holder(empty_api, publisher, "GET", f"{absent.path}/records/a")).status == 404
    assert (await absent.send("bulk", b"")).status == 404


@pytest.mark.parametrize(
    ("path", "body", "headers", "status"),
    [
        ("bulk", b"", {"Content_Type": "application/x-www-form-urlencoded"}, 415),
        ("bulk", b"", {"Content_Type": "application/octet-stream"}, 415),
        ("bulk", b"", {"Content_Encoding": "br"}, 415),
        ("bulk?mode=merge&mode=replace", b"", {}, 400),
        ("changes?key_column=id&key_column=id", b"", {}, 400),
        ("bulk?mode=append", b"", {}, 400),
        ("bulk?mod=replace", b"", {}, 400),
        ("bulk", b"", {"Idempotency_Key": "two words"}, 400),
        ("bulk", gzip.compress(b"\n" * 64 * 2**20), {"Content_Encoding": "gzip"}, 413),
        ("changes", gzip.compress(b"\n" * 64 * 2**20), {"Content_Encoding": "gzip"}, 413),
        ("bulk", gzip.compress(b"{}\n", mtime=0)[:-4], {"Content_Encoding": "gzip"}, 400),
        ("bulk", b"no avro", {"Content_Type": "application/avro"}, 400),
    ],
)
async def test_uploads_that_are_refused(
    feed: Feed, path: str, body: bytes, headers: dict[str, str], status: int
) -> None:
    """As a problem that says what is wrong, and the next one is taken."""
    answer = await feed.send(path, body, **headers)
    assert answer.status == status, answer.body
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert (await feed.load([record("a")]))["status"] == "published"


async def test_a_paused_client_sends_nothing(feed: Feed) -> None:
    """409 from the pause to the moment in which it is resumed; what is there is found all the same."""
    await feed.load([record("a", n=1)])
    for _ in range(5):
        assert (await ask(feed.api, "POST", f"/v1/feed-clients/{feed.client}/pause")).status == 200
        for path in ("bulk", "changes"):
            refused = await feed.send(path, b"")
            assert (refused.status, refused.body["type"]) == (409, "/problems/illegal-move")
        assert await feed.record("a") == {"n": 1}
        assert (await ask(feed.api, "POST", f"/v1/feed-clients/{feed.client}/resume")).status == 200
        assert (await feed.send("changes", b"")).status == 202


async def test_what_has_expired_is_not_found(empty_api: RunningApi) -> None:
    """Until then the answer says when that will be."""
    feed = await fresh_feed(empty_api, ttl_seconds=2)
    await feed.load([record("a", n=1)])
    answer = await ask(empty_api, "GET", f"{feed.path}/records/a")
    if answer.status == 200:
        assert datetime.fromisoformat(answer.body["expires_at"]) <= datetime.now(UTC) + timedelta(seconds=2)
    await until(lambda: _is_gone(feed, "a"), seconds=10)


async def _is_gone(feed: Feed, key: str) -> bool:
    return await feed.record(key) is None


async def test_who_sends_faster_than_it_is_applied_has_to_wait(feed: Feed, monkeypatch: pytest.MonkeyPatch) -> None:
    """503 with `Retry-After`, before anything is taken."""
    monkeypatch.setattr("api.feed_backlog.FEED_BACKLOG_MAX_RECORDS", -1)
    for path in ("bulk", "changes"):
        refused = await feed.send(path, ndjson([record("a")]))
        assert (refused.status, refused.body["type"], refused.headers["Retry-After"]) == (
            503,
            "/problems/overloaded",
            "5",
        )
    monkeypatch.undo()
    assert (await feed.load([record("a")]))["status"] == "published"


async def test_a_load_whose_upload_died_is_given_up(feed: Feed, monkeypatch: pytest.MonkeyPatch) -> None:
    """Started and never opened, or opened and never ended: another process ends it, so that nothing waits for it."""
    monkeypatch.setattr(sweep_runs, "FEED_START_PATIENCE_SECONDS", 0)
    monkeypatch.setattr(sweep_runs, "FEED_RUN_PATIENCE_SECONDS", 0)
    services = feed.api.services

    def head(run_id: str) -> dict[str, Any]:
        about = {"correlation_id": feed.client, "causation_id": run_id, "client": feed.client, "run_id": run_id}
        return {"id": fresh_id(), "at": datetime.now(UTC), **about}

    started = FeedLoadStarted(**head("run-1"), mode="replace")
    await services.log.append(services.names.feeds_changes, feed.client, [started])
    assert (await feed.decided("run-1"))["status"] == "failed"
    started = FeedLoadStarted(**head("run-2"), mode="replace")
    at = await services.log.append(services.names.feeds_changes, feed.client, [started])
    opened = FeedLoadOpened(**head("run-2"), mode="replace", since=at.offset)
    await services.log.append(services.names.feeds_bulk, feed.client, [opened])
    run = await feed.decided("run-2")
    assert (run["status"], bool(run["reason"])) == ("failed", True)
    assert await services.feed_runs.open_runs([feed.client]) == []


async def test_unknown_runs(feed: Feed) -> None:
    """404."""
    assert (await ask(feed.api, "GET", f"{feed.path}/runs/none")).status == 404
