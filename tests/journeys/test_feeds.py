"""A feed client's records from registration to erasure, with the command line and HTTP alone, on the whole product."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp
import msgspec

from tests.journeys.running_exchange import RunningExchange, eventually, gavel, running_exchange

CLIENT = "winter audiences"
SECRET = "nobody-may-read-this-in-a-file"
RECORDS = 2_000
WAIT_SECONDS = 90


async def test_the_life_of_a_feed(data_folder: Path, tmp_path: Path) -> None:
    """Loaded, replaced, changed, rebuilt and erased: what is found is what was sent, and in no file stands a value."""
    data = data_folder / "feeds"
    async with running_exchange(data) as exchange:
        await exchange.post("/v1/feed-clients", {"name": CLIENT})
        await loaded(exchange, tmp_path, {f"k{n}": {"secret": SECRET, "n": n} for n in range(RECORDS)}, "merge")
        assert await found(exchange, "k7") == {"secret": SECRET, "n": 7}

        run = await loaded(exchange, tmp_path, {f"k{n}": {"secret": SECRET} for n in range(RECORDS // 2)}, "replace")
        assert (run["status"], run["applied"]) == ("published", RECORDS // 2)
        assert await found(exchange, f"k{RECORDS - 1}") is None

        await changed(
            exchange,
            {"op": "update", "old_key": "k1", "key": "moved", "value": {"segments": ["skiers"]}},
            {"op": "delete", "key": "k2"},
        )
        await stands(exchange, {"k0": {"secret": SECRET}, "k1": None, "moved": {"segments": ["skiers"]}, "k2": None})

        for projection in ("audiences", "audiences_bulk"):
            await gavel("projections", "rebuild", projection, "--data", str(data))
        await stands(exchange, {"k0": {"secret": SECRET}, "k1": None, "moved": {"segments": ["skiers"]}, "k2": None})
        assert files_with(SECRET.encode(), data) == []

        await gavel("feeds", "erase", CLIENT, "--yes", "--data", str(data))
        await stands(exchange, {"k0": None, "moved": None})
        assert await status(exchange, "POST", "/bulk", b"") == 409
        assert await status(exchange, "POST", "/changes", b"") == 409


def feed_path(exchange: RunningExchange) -> str:
    return f"{exchange.url}/v1/feeds/{quote(CLIENT)}"


def authorized(exchange: RunningExchange) -> dict[str, str]:
    return {"Authorization": f"Bearer {exchange.installation['admin_key']}"}


async def loaded(exchange: RunningExchange, folder: Path, records: dict[str, Any], mode: str) -> dict[str, Any]:
    """By `gavel feeds load`; the run."""
    file = folder / f"{mode}.ndjson"
    file.write_bytes(b"\n".join(msgspec.json.encode({"key": key, "value": value}) for key, value in records.items()))
    options = ("--client", CLIENT, "--mode", mode, "--data", str(exchange.data), "--json")
    printed = await gavel("feeds", "load", str(file), *options)
    run: dict[str, Any] = msgspec.json.decode(printed.strip().splitlines()[-1])
    return run


async def found(exchange: RunningExchange, key: str) -> Any:
    """The value under the key; None for a 404."""
    path = f"{feed_path(exchange)}/records/{quote(key)}"
    async with aiohttp.ClientSession(headers=authorized(exchange)) as http, http.get(path) as answer:
        body = await answer.json(content_type=None)
        assert answer.status in {200, 404}, body
        return body["value"] if answer.status == 200 else None


async def stands(exchange: RunningExchange, expected: dict[str, Any]) -> None:
    """Returns once that is what is found."""

    async def is_so() -> bool:
        return {key: await found(exchange, key) for key in expected} == expected

    await eventually(is_so, WAIT_SECONDS)


async def changed(exchange: RunningExchange, *changes: dict[str, Any]) -> None:
    body = b"\n".join(msgspec.json.encode(change) for change in changes)
    assert await status(exchange, "POST", "/changes", body) == 202


async def status(exchange: RunningExchange, method: str, path: str, body: bytes) -> int:
    headers = {**authorized(exchange), "Content-Type": "application/x-ndjson"}
    async with (
        aiohttp.ClientSession() as http,
        http.request(method, feed_path(exchange) + path, data=body, headers=headers) as answer,
    ):
        return answer.status


def files_with(content: bytes, folder: Path) -> list[Path]:
    """Kafka's segments, Redis' dump, Postgres' tables, logs: all that the installation has written."""
    return [path for path in folder.rglob("*") if path.is_file() and content in path.read_bytes()]
