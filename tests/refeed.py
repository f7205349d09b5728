"""The auditor's look at feeds: files applied to a dictionary, without one line of the product's code.

    python tests/refeed.py MANIFEST.json

The manifest says where the exchange, Kafka and Redis are, and of each feed client its name, its id, the file of its
bulk and the one of its changes. The log says only where among its changes a bulk was begun: it loses to changes that
came after that. Every key of the files, and every key that Redis has, is then looked up over HTTP and has to have the
value that the dictionary has; and what the log has, the files say and the audit sums up has to be the same.
"""

import asyncio
import json
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from hashlib import blake2b
from itertools import islice
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote

import aiohttp
from aiokafka import AIOKafkaConsumer
from redis.asyncio import Redis

LINE_MAX_BYTES = 10_240
KEY_MAX_BYTES = 512
KEYS_AT_ONCE = 100
ASKED_AT_ONCE = 8
ATTEMPTS = 30
RETRY_SECONDS = 1.0
EXAMPLES = 10
APPLIED = ("adds", "overwrites", "updates", "deletes", "stale", "rejected")
CHANGES = ("feed_record_added", "feed_record_updated", "feed_record_deleted")


def digest(value: Any) -> bytes:
    return blake2b(json.dumps(value, sort_keys=True).encode(), digest_size=12).digest()


def lines(path: str, is_good: Callable[[dict[str, Any]], bool]) -> Iterator[dict[str, Any] | None]:
    """Each line of the file: what it says, or None where it is no record."""
    with Path(path).open("rb") as file:
        for line in file:
            try:
                told = json.loads(line.decode()) if len(line.rstrip(b"\n")) <= LINE_MAX_BYTES else None
            except ValueError:
                told = None
            yield told if isinstance(told, dict) and is_good(told) else None


def is_record(told: dict[str, Any]) -> bool:
    key = told.get("key")
    return isinstance(key, str) and 0 < len(key.encode()) <= KEY_MAX_BYTES and isinstance(told.get("value"), dict)


def is_change(told: dict[str, Any]) -> bool:
    if told.get("op") == "delete":
        return is_record(told | {"value": {}})
    return told.get("op") in ("add", "update") and is_record(told)


async def logged(kafka_url: str, topic: str) -> AsyncIterator[tuple[int, dict[str, Any]]]:
    """Every event of a topic with its offset, in the order of each partition, up to where it ended when asked."""
    consumer = AIOKafkaConsumer(topic, bootstrap_servers=kafka_url, auto_offset_reset="earliest")
    await consumer.start()
    try:
        ends = await consumer.end_offsets(consumer.assignment())
        while any([await consumer.position(each) < end for each, end in ends.items()]):
            for records in (await consumer.getmany(timeout_ms=500, max_records=5_000)).values():
                for record in records:
                    yield record.offset, json.loads(record.value)
    finally:
        await consumer.stop()


class Log:
    """What the log has of one client. What was sent again after an interruption stands there twice, and counts once."""

    def __init__(self) -> None:
        self.bulk = self.lines = self.last_line = self.changes = self.new_changes = self.refused = self.marks = 0
        self.changes_before: dict[int, int] = {}
        """By the offset at which a bulk was started."""
        self.changes_before_the_bulk = 0
        self._sources: dict[str, int] = {}

    def take(self, offset: int, event: dict[str, Any]) -> None:
        kind = event["type"]
        if kind == "feed_record_loaded":
            self.bulk += 1
            self.lines += event["line"] > self.last_line
            self.last_line = max(self.last_line, event["line"])
        elif kind in CHANGES:
            self.changes += 1
            self.new_changes += self._is_new(event)
        else:
            self.marks += 1
            if "rejected" in event and self._is_new(event):
                self.refused += event["rejected"]
            if kind == "feed_load_started":
                self.changes_before[offset] = self.new_changes
            elif kind == "feed_load_opened":
                self.changes_before_the_bulk = self.changes_before[event["since"]]

    def _is_new(self, event: dict[str, Any]) -> bool:
        source = event.get("source")
        if source is None:
            return True
        is_new = source["place"] > self._sources.get(source["name"], -1)
        self._sources[source["name"]] = max(source["place"], self._sources.get(source["name"], -1))
        return bool(is_new)


class Files:
    """What the files of one client come to."""

    def __init__(self, bulk: str, changes: str, changes_before_the_bulk: int) -> None:
        self.records: dict[str, bytes] = {}
        self.known: set[str] = set()
        self.good_lines = self.bad_lines = self.changes = self.bad_changes = 0
        for told in lines(changes, is_change):
            if self.changes == changes_before_the_bulk:
                self._load(bulk)
                changes_before_the_bulk = -1
            self._change(told)
        if changes_before_the_bulk >= 0:
            self._load(bulk)

    def _load(self, bulk: str) -> None:
        for told in lines(bulk, is_record):
            if told is None:
                self.bad_lines += 1
                continue
            self.good_lines += 1
            self.known.add(told["key"])
            self.records[told["key"]] = digest(told["value"])

    def _change(self, told: dict[str, Any] | None) -> None:
        if told is None:
            self.bad_changes += 1
            return
        self.changes += 1
        self.known |= {told["key"], told.get("old_key") or told["key"]}
        if told["op"] == "delete":
            self.records.pop(told["key"], None)
            return
        if told["op"] == "update":
            self.records.pop(told.get("old_key") or told["key"], None)
        self.records[told["key"]] = digest(told["value"])


async def looked_up(http: aiohttp.ClientSession, path: str, keys: list[str]) -> Any:
    """Asked again where a server is away, as after it was killed: the API says so by 503."""
    for _ in range(ATTEMPTS):
        async with http.post(path, json={"keys": keys}) as answer:
            if answer.status == 200:
                return json.loads(await answer.read())
            assert answer.status == 503, f"{answer.status}: {await answer.text()}"
        await asyncio.sleep(RETRY_SECONDS)
    raise AssertionError(f"{path} answers 503 only")


async def compared(http: aiohttp.ClientSession, client: str, files: Files, keys: set[str]) -> list[str]:
    """Looks all keys up; examples of those that say something else than the files."""
    wrong: list[str] = []
    waiting, path = iter(sorted(keys)), f"/v1/feeds/{quote(client, safe='')}/records"

    async def ask() -> None:
        while some := list(islice(waiting, KEYS_AT_ONCE)):
            found = {each["key"]: digest(each["value"]) for each in (await looked_up(http, path, some))["records"]}
            wrong.extend(key for key in some if found.get(key) != files.records.get(key))

    await asyncio.gather(*(ask() for _ in range(ASKED_AT_ONCE)))
    return [f"{client}: {key} is not what the files say" for key in wrong]


async def keys_in_redis(redis: Redis, namespace: str, client_id: str) -> set[str]:
    """Record keys stand in the clear in Redis, as fields of the client's hashes."""
    found: set[str] = set()
    async for name in redis.scan_iter(match=f"{namespace}:feed:{{{client_id}}}:*", count=1_000):
        if name.rpartition(b":")[2] == b"changed" or b":records:" in name:
            found |= {field.decode() for field in cast("list[bytes]", await redis.hkeys(name))}
    return found


def sums(log: Log, files: Files, audit: dict[str, Any]) -> Iterator[str]:
    """Figures that differ."""
    bulk, changes = audit["topics"]["bulk"], audit["topics"]["changes"]
    equal = {
        "lines of the bulk that the log has": (files.good_lines, log.lines),
        "records of the bulk that the audit sums up": (log.bulk, bulk["records"]),
        "changes that the log has": (files.changes, log.new_changes),
        "changes that the audit sums up": (log.changes, changes["records"]),
        "lines that were refused, in the log": (files.bad_lines + files.bad_changes, log.refused),
        "lines that were refused, in the audit": (files.bad_lines + files.bad_changes, audit["totals"]["refused"]),
        "marks": (log.marks, audit["totals"]["marks"]),
        "rejected records": (0, audit["totals"]["rejected"]),
        "outcomes of all records": (log.bulk + log.changes, sum(audit["totals"][name] for name in APPLIED)),
        "batches on their way": (0, audit["pending"]),
    }
    yield from (f"{name}: {one:,} and {other:,}" for name, (one, other) in equal.items() if one != other)


async def refeed(manifest: dict[str, Any]) -> dict[str, Any]:
    """Figures, and under "wrong" whatever does not agree."""
    namespace = manifest.get("namespace", "gavel")
    logs: dict[str, Log] = {each["id"]: Log() for each in manifest["clients"]}
    for topic in ("feeds.changes", "feeds.bulk"):
        async for offset, event in logged(manifest["kafka_url"], f"{namespace}.{topic}"):
            if event["client"] in logs:
                logs[event["client"]].take(offset, event)
    figures: Counter[str] = Counter()
    wrong: list[str] = []
    headers = {"Authorization": f"Bearer {manifest['key']}"}
    async with (
        aiohttp.ClientSession(manifest["url"], headers=headers) as http,
        Redis.from_url(manifest["redis_url"]) as redis,
    ):
        for client in manifest["clients"]:
            log = logs[client["id"]]
            files = Files(client["bulk"], client["changes"], log.changes_before_the_bulk)
            async with http.get(f"/v1/feeds/{quote(client['name'], safe='')}/audit", params={"limit": 1}) as answer:
                audit = await answer.json()
            wrong += [f"{client['name']}: {each}" for each in sums(log, files, audit)]
            keys = files.known | await keys_in_redis(redis, namespace, client["id"])
            wrong += await compared(http, client["name"], files, keys)
            figures += Counter({name: audit["totals"][name] for name in (*APPLIED, "marks", "refused", "batches")})
            figures += Counter(
                {
                    "keys looked up": len(keys),
                    "records that stand": len(files.records),
                    "lines of bulks": files.good_lines + files.bad_lines,
                    "lines of changes": files.changes + files.bad_changes,
                    "lines that the log has twice": log.bulk - log.lines + log.changes - log.new_changes,
                }
            )
    return {"figures": dict(figures), "wrong": len(wrong), "examples": wrong[:EXAMPLES]}


def main() -> None:
    result = asyncio.run(refeed(json.loads(Path(sys.argv[1]).read_bytes())))
    sys.stdout.write(json.dumps(result) + "\n")
    sys.exit(bool(result["wrong"]))


if __name__ == "__main__":
    main()
