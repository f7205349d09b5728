"""A feed client's records from registration to erasure, with the command line and HTTP alone, on the whole product."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp
import msgspec

from domain.terms.feed_client import feed_client_id
from tests.journeys.running_exchange import RunningExchange, eventually, gavel, running_exchange
from tests.journeys.sought import Logged, files_with, has, logged, redis_has

CLIENT = "winter audiences"
OTHER = "summer audiences"
SECRET = "nobody-may-read-this-in-a-file"
RECORDS = 2_000
WAIT_SECONDS = 90


async def test_the_life_of_a_feed(data_folder: Path, tmp_path: Path) -> None:
    """Loaded, replaced, changed, rebuilt and erased: what is found is what was sent.

    Nowhere does a value stand in the clear; once it is erased, no key that is left opens what the log holds of it.
    """
    data = data_folder / "feeds"
    async with running_exchange(data) as exchange:
        await exchange.post("/v1/feed-clients", {"name": CLIENT})
        await exchange.post("/v1/feed-clients", {"name": OTHER})
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
        await loaded(exchange, tmp_path, {"other": {"of": "another"}}, "merge", client=OTHER)
        log = await nowhere_in_the_clear(exchange)
        client, other = feed_client_id(CLIENT), feed_client_id(OTHER)
        assert sum(SECRET.encode() in value for value in log.opened_by(data, client)) == RECORDS + RECORDS // 2

        await gavel("feeds", "erase", CLIENT, "--yes", "--data", str(data))
        await stands(exchange, {"k0": None, "moved": None})
        assert await status(exchange, "POST", "/bulk", b"") == 409
        assert await status(exchange, "POST", "/changes", b"") == 409
        log = await nowhere_in_the_clear(exchange)
        assert (log.opened_by(data, client), len(log.opened_by(data, other))) == ([], 1)


async def nowhere_in_the_clear(exchange: RunningExchange) -> Logged:
    """Neither in what the log holds, nor in a dump or the memory of Redis, nor in a file; what the log holds."""
    log, secret = await logged(exchange), SECRET.encode()
    assert len(log.sealed) > RECORDS
    assert not [each for each in log.payloads if has(each, secret)]
    assert not any(has(record.ciphertext, secret) for _, record in log.sealed)
    assert not await redis_has(exchange, secret)
    assert files_with(secret, exchange.data) == []
    return log


def test_a_value_is_found_in_whatever_form() -> None:
    """The search that has to find nothing finds what is there: in the clear, and encoded from any place on."""
    for before in range(7):
        content = b"x" * before + SECRET.encode() + b"y"
        assert has(content, SECRET.encode())
        assert has(base64.b64encode(content), SECRET.encode())
    assert not has(base64.b64encode(b"nobody may read this in a file"), SECRET.encode())


def feed_path(exchange: RunningExchange) -> str:
    return f"{exchange.url}/v1/feeds/{quote(CLIENT)}"


def authorized(exchange: RunningExchange) -> dict[str, str]:
    return {"Authorization": f"Bearer {exchange.installation['admin_key']}"}


async def loaded(
    exchange: RunningExchange, folder: Path, records: dict[str, Any], mode: str, *, client: str = CLIENT
) -> dict[str, Any]:
    """By `gavel feeds load`; the run."""
    file = folder / f"{mode}.ndjson"
    file.write_bytes(b"\n".join(msgspec.json.encode({"key": key, "value": value}) for key, value in records.items()))
    options = ("--client", client, "--mode", mode, "--data", str(exchange.data), "--json")
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
