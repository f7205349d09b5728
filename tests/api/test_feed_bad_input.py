"""All that is wrong with what providers send, among good records: these land, and the audit adds up."""

from __future__ import annotations

import asyncio
import gzip
import io
from collections.abc import AsyncIterator
from typing import Any

import fastavro
import pytest

from gavel.settings import Settings
from tests.api.feed import Feed, fresh_feed, ndjson, record
from tests.api.running_api import RunningApi
from tests.api.test_feed_audit import audited
from tests.api.test_feeds_command import gavel_feeds

GZIP, AVRO = {"Content_Encoding": "gzip"}, {"Content_Type": "application/avro"}
LONG_BYTES = 20 * 1024 * 1024


@pytest.fixture
async def feed(empty_api: RunningApi) -> Feed:
    return await fresh_feed(empty_api)


def padded(key: str, size: int) -> bytes:
    """A record whose line has so many bytes, without its end."""
    head = b'{"key":"%s","value":{"x":"' % key.encode()
    return head + b"x" * (size - len(head) - 3) + b'"}}'


async def with_bad_lines() -> AsyncIterator[bytes]:
    """Eight lines and one that does not end."""
    yield ndjson([record("a", n=1)])
    yield padded("edge", 10_240) + b"\n" + padded("too long", 10_241) + b"\n"
    yield b'{"value": {}}\n' + padded("k" * 1_000_000, 1_000_100) + b"\n"
    yield ndjson([record("a", n=2)]) + b'{"key": "u\xff", "value": {}}\n' + ndjson([record("b", n=1)])
    for _ in range(LONG_BYTES // 65_536):
        yield b"x" * 65_536


def avro(keys: list[str], *names: str) -> bytes:
    """Each record in a block of its own; `names` are those of the fields."""
    fields = [{"name": names[0], "type": "string"}, {"name": names[1], "type": {"type": "map", "values": "long"}}]
    schema: Any = {"type": "record", "name": "Record", "fields": fields}
    file = io.BytesIO()
    fastavro.writer(file, schema, [{names[0]: key, names[1]: {"n": 1}} for key in keys], sync_interval=1)
    return file.getvalue()


UNREADABLE = [
    (gzip.compress(ndjson([record("c", n=1)]))[:-4], {"Content_Encoding": "gzip"}, 400, 1),
    (
        gzip.compress(ndjson([record("d", n=1)])) + gzip.compress(bytes(40_000_000)),
        {"Content_Encoding": "gzip"},
        413,
        1,
    ),
    (avro(["x"], "id", "data"), {"Content_Type": "application/avro"}, 400, 0),
    (avro([f"e{n}" for n in range(9)], "key", "value")[:-5], {"Content_Type": "application/avro"}, 400, 8),
]
"""Bodies with their headers, and how they are answered: the status, and how many records came until there."""


async def test_bad_input_costs_itself_alone(feed: Feed, settings: Settings) -> None:
    """Lines too long, without a key, with a vast one, twice, of no UTF-8 and without an end; streams that break off."""
    taken = await feed.send("bulk", with_bad_lines())
    assert (taken.status, taken.body["received"], taken.body["rejected"]) == (202, 4, 5)
    assert [(each["line"], each["reason"]) for each in taken.body["errors"]] == [
        (3, "the record is longer than 10240 bytes"),
        (4, "the record has no key"),
        (5, "the record is longer than 10240 bytes"),
        (7, "the line is not UTF-8"),
        (9, "the record is longer than 10240 bytes"),
    ]
    assert (await feed.decided(taken.body["run_id"]))["status"] == "published"
    for body, headers, status, received in UNREADABLE:
        refused = await feed.send("bulk", body, **headers)
        assert (refused.status, refused.body["received"], refused.body["rejected"]) == (status, received, 0), refused
        assert (await feed.decided(refused.body["run_id"]))["status"] == "failed"
    assert (await feed.load([record("f", n=1)]))["status"] == "published"
    changed = await feed.change({"op": "update", "old_key": "nobody", "key": "g", "value": {"n": 1}})
    assert await feed.record("g", changed) == {"n": 1}
    assert [await feed.record(key) for key in ("a", "b", "c", "d", "e7", "e8", "f")] == [
        {"n": 2},
        *[{"n": 1}] * 4,
        None,
        {"n": 1},
    ]
    assert len((await feed.record("edge"))["x"]) > 10_000
    totals = {name: figure for name, figure in (await audited(feed, 16))["totals"].items() if name != "batches"}
    # Of six loads their beginning twice and their end, of two their publication.
    assert {name: figure for name, figure in totals.items() if figure} == {
        "records": 16,
        "adds": 14,
        "overwrites": 1,
        "updates": 1,
        "refused": 5,
        "marks": 20,
    }
    told = await gavel_feeds(settings, "audit", feed.name)
    assert told.code == 0, told.err


async def test_two_clients_with_the_same_keys(feed: Feed) -> None:
    """Sent at once: each finds its own records, and each audit counts its own."""
    other = await fresh_feed(feed.api)
    keys = [f"k{n}" for n in range(200)]
    await asyncio.gather(
        feed.load(record(key, of="one") for key in keys),
        other.load((record(key, of="other") for key in keys), "?mode=replace"),
    )
    await asyncio.gather(feed.change({"op": "delete", "key": "k0"}), other.change({"op": "delete", "key": "k1"}))
    for each, name, gone in ((feed, "one", "k0"), (other, "other", "k1")):
        totals = (await audited(each, 201))["totals"]
        assert (totals["records"], totals["adds"], totals["deletes"]) == (201, 200, 1)
        assert await each.record(gone) is None
        assert [await each.record(key) for key in ("k2", "k199")] == [{"of": name}] * 2
