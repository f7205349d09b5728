"""The audit of feeds over HTTP and from the command line, and look-ups while records are missing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest

from domain.names import Names
from gavel.settings import Settings
from tests.api.feed import Feed, fresh_feed, ndjson, record
from tests.api.running_api import RunningApi, until
from tests.api.tenants import as_holder, issued
from tests.api.test_catalogue import ask
from tests.api.test_feeds_command import gavel_feeds


@pytest.fixture
async def feed(empty_api: RunningApi) -> Feed:
    return await fresh_feed(empty_api)


async def audited(feed: Feed, records: int) -> dict[str, Any]:
    """The audit once so many records are in it."""
    shown: dict[str, Any] = {}

    async def is_there() -> bool:
        nonlocal shown
        shown = (await ask(feed.api, "GET", f"{feed.path}/audit")).body
        return bool(shown["totals"]["records"] >= records and not shown["pending"])

    await until(is_there, seconds=60)
    return shown


async def test_the_sums_are_what_was_sent(feed: Feed, settings: Settings) -> None:
    """Loads and changes by what became of them; the log proves it, and tells what is missing from the audit."""
    await feed.load([record("a", n=1), record("b", n=1), b"{\n", record("a", n=2)])
    await feed.change(
        {"op": "add", "key": "a", "value": {}},
        {"op": "update", "old_key": "b", "key": "c", "value": {}},
        {"op": "delete", "key": "a"},
        {"op": "delete", "key": "nobody"},
    )
    shown = await audited(feed, 7)
    counted = {name: figure for name, figure in shown["topics"]["bulk"].items() if figure}
    # A load's beginning, its end and its publication are marks.
    assert counted.pop("batches") >= 1
    assert counted == {"records": 3, "adds": 2, "overwrites": 1, "marks": 3, "refused": 1}
    counted = {name: figure for name, figure in shown["topics"]["changes"].items() if figure}
    assert counted.pop("batches") >= 1
    assert counted == {"records": 4, "overwrites": 1, "updates": 1, "deletes": 2, "marks": 1}
    told = await gavel_feeds(settings, "audit", feed.name)
    assert (told.code, "in the audit once" in told.out) == (0, True), told.err
    unknown = await gavel_feeds(settings, "audit", "nobody-at-all", "--wait", "0")
    assert (unknown.code, "Nothing was ever sent" in unknown.err) == (1, True)


async def test_a_client_sees_its_own_audit_only(empty_api: RunningApi, feed: Feed) -> None:
    """Another one's is as absent as one that never was."""
    await feed.load([record("a")])
    other = await fresh_feed(empty_api)
    key = await issued(empty_api, "feed_client", other.client)
    assert (await as_holder(empty_api, key, "GET", f"{other.path}/audit")).status == 200
    assert (await as_holder(empty_api, key, "GET", f"{feed.path}/audit")).status == 404
    assert (await ask(empty_api, "GET", "/v1/feeds/nobody-at-all/audit")).status == 404
    assert (await ask(empty_api, "GET", f"{feed.path}/audit?cursor=x")).status == 400


async def test_an_erased_client_keeps_its_audit(feed: Feed, settings: Settings) -> None:
    """What it had sent is in batches still, and so is the mark of its erasure."""
    await feed.load([record("a"), b"{\n"])
    await feed.change({"op": "delete", "key": "a"})
    await audited(feed, 2)
    erased = await gavel_feeds(settings, "erase", feed.name, "--yes")
    assert erased.code == 0, erased.err
    told = await gavel_feeds(settings, "audit", feed.name, "--json")
    assert (told.code, msgspec.json.decode(told.out)["totals"]["marks"]) == (0, 5), told.out


async def test_two_uploads_of_one_run(feed: Feed, settings: Settings) -> None:
    """At the same time, under one name: every record stands once, and what came twice is told as stale."""
    lines = ndjson(record(f"k{number}", n=number) for number in range(3_000))
    answers = await asyncio.gather(*(feed.send("bulk", lines, Idempotency_Key="night") for _ in range(2)))
    assert {answer.status for answer in answers} <= {202, 409}
    accepted = [answer.body for answer in answers if answer.status == 202]
    assert {each["received"] for each in accepted} == {3_000}
    run = await feed.decided(accepted[0]["run_id"])
    assert (run["status"], run["applied"]) == ("published", 3_000)
    shown = await audited(feed, 3_000)
    figures = shown["topics"]["bulk"]
    assert (figures["adds"], figures["overwrites"]) == (3_000, 0)
    assert [await feed.record(key) for key in ("k0", "k2999")] == [{"n": 0}, {"n": 2_999}]
    told = await gavel_feeds(settings, "audit", feed.name)
    assert told.code == 0, told.out


async def test_a_look_up_while_records_are_missing(feed: Feed) -> None:
    """It is refused, and tells when to come back; or answered and marked, where that is asked; then all is there."""
    await feed.load([record("a", n=1)])
    await audited(feed, 1)
    services = feed.api.services
    names: Names = services.names
    records = f"{feed.path}/records"
    async with paused(feed.api, "audiences", "audiences_bulk"):
        await services.redis.delete(*names.feed_keys(feed.client))
        refused = await ask(feed.api, "GET", f"{records}/a")
        assert (refused.status, refused.body["type"].rpartition("/")[2]) == (503, "incomplete")
        assert int(refused.headers["Retry-After"]) >= 1
        marked = await ask(feed.api, "POST", f"{records}?stale=true", {"keys": ["a"]})
        assert (marked.status, marked.headers["Gavel-Stale"]) == (200, "true")
        absent = await ask(feed.api, "GET", f"{records}/none?stale=true")
        assert (absent.status, absent.headers["Gavel-Stale"]) == (404, "true")

    async def is_there() -> bool:
        return (await ask(feed.api, "GET", f"{records}/a")).status == 200

    await until(is_there, seconds=60)
    assert "Gavel-Stale" not in (await ask(feed.api, "GET", f"{records}/a")).headers


@asynccontextmanager
async def paused(api: RunningApi, *projections: str) -> AsyncIterator[None]:
    """Nobody works on them inside the block."""

    async def rest() -> bool:
        statuses = (await ask(api, "GET", "/v1/projections")).body
        return not any(each["workers"] for each in statuses if each["name"] in projections)

    for name in projections:
        assert (await ask(api, "POST", f"/v1/projections/{name}/pause")).status < 300
    try:
        await until(rest, seconds=60)
        yield
    finally:
        for name in projections:
            assert (await ask(api, "POST", f"/v1/projections/{name}/resume")).status < 300
