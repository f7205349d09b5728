"""`POST /openrtb2/auction` on the wire."""

from __future__ import annotations

import asyncio
import gzip
from contextlib import suppress
from typing import Any

import msgspec
import pytest

from domain.errors import RateLimited
from tests.api.conftest import CLEARING_CPM, bid_request
from tests.api.running_api import RunningApi

PATH = "/openrtb2/auction"
AUCTIONS_PER_MINUTE = 60_000
"""Of an address, unless the operator says otherwise."""
ANSWER_SECONDS = 5.0


def body(**changes: Any) -> bytes:
    return msgspec.json.encode(bid_request(**changes))


def imp(**changes: Any) -> list[dict[str, Any]]:
    return [{"id": "1", "banner": {"w": 300, "h": 250}} | changes]


class BadInput(msgspec.Struct, frozen=True):
    content: bytes
    headers: dict[str, str] = {}
    status: int = 400
    problem: str = "invalid-input"
    path: str | None = None

    @property
    def sent_headers(self) -> dict[str, str]:
        return {"Content-Type": "application/json"} | self.headers


BAD_INPUTS = {
    "no body": BadInput(b""),
    "malformed JSON": BadInput(b'{"id": "1", "imp": ['),
    "not UTF-8": BadInput(b'{"id": "\xff\xfe"}'),
    "no object": BadInput(b"[1, 2]"),
    "deep nesting": BadInput(b'{"id":"1","imp":' + b"[" * 5_000 + b"]" * 5_000 + b"}"),
    "wrong type": BadInput(body(id=17), path="id"),
    "missing id": BadInput(body(id=None), path="id"),
    "no imp": BadInput(body(imp=[]), path="imp"),
    "imp without id": BadInput(body(imp=[{"banner": {"w": 1, "h": 1}}]), path="imp[0].id"),
    "duplicate imp ids": BadInput(body(imp=imp() + imp()), path="imp[1].id"),
    "two of site and app": BadInput(body(app={"bundle": "a.b"})),
    "negative floor": BadInput(body(imp=imp(bidfloor=-1)), path="imp[0].bidfloor"),
    "NaN": BadInput(body().replace(b'"bidfloor":0.5', b'"bidfloor":NaN')),
    "1e400": BadInput(body().replace(b'"bidfloor":0.5', b'"bidfloor":1e400'), path="imp[0].bidfloor"),
    "300 KB": BadInput(body(ext={"filler": "x" * 300_000}), {}, 413, "body-too-large"),
    "gzip bomb": BadInput(gzip.compress(b" " * 50_000_000), {"Content-Encoding": "gzip"}, 413, "body-too-large"),
    "cut gzip": BadInput(gzip.compress(body())[:-20], {"Content-Encoding": "gzip"}),
    "no gzip": BadInput(body(), {"Content-Encoding": "gzip"}),
    "unknown encoding": BadInput(body(), {"Content-Encoding": "br"}, 415, "unsupported-media-type"),
    "another protocol": BadInput(body(), {"x-openrtb-version": "3.0"}, path="x-openrtb-version"),
    "an endless version": BadInput(body(), {"x-openrtb-version": "9" * 5_000}, path="x-openrtb-version"),
    "two ways of stating a duration": BadInput(
        body(imp=imp(video={"mimes": ["video/mp4"], "minduration": 5, "rqddurs": [15]})), path="imp[0].video.rqddurs"
    ),
    "wrong content type": BadInput(body(), {"Content-Type": "text/plain"}, 415, "unsupported-media-type"),
}


@pytest.mark.parametrize("bad", BAD_INPUTS.values(), ids=BAD_INPUTS)
async def test_bad_input_gets_a_clear_answer(api: RunningApi, bad: BadInput) -> None:
    """Each kind of bad input is named by its own problem, and where it is one member's fault, by its path."""
    async with api.http.post(PATH, data=bad.content, headers=bad.sent_headers) as response:
        answer = await response.json(content_type="application/problem+json")
    assert (response.status, answer["type"]) == (bad.status, f"/problems/{bad.problem}")
    assert answer["status"] == bad.status
    assert "Traceback" not in str(answer)
    if bad.path is not None:
        assert bad.path in [fault["path"] for fault in answer["errors"]]


async def test_bad_input_is_not_logged(api: RunningApi) -> None:
    """What is refused changes nothing: the log does not grow."""
    topics = [api.services.names.auctions]
    before = await api.services.watermarks.high(topics)
    for bad in BAD_INPUTS.values():
        async with api.http.post(PATH, data=bad.content, headers=bad.sent_headers) as response:
            assert response.status >= 400
    assert await api.services.watermarks.high(topics) == before


async def test_all_faults_are_named_at_once(api: RunningApi) -> None:
    """A caller need not send again to learn of the next fault."""
    broken = body(id=None, tmax=-5, imp=imp(bidfloor=-1))
    async with api.http.post(PATH, data=broken, headers={"Content-Type": "application/json"}) as response:
        answer = await response.json(content_type="application/problem+json")
    assert {"id", "tmax", "imp[0].bidfloor"} <= {fault["path"] for fault in answer["errors"]}


async def test_the_winner_pays_the_second_price(api: RunningApi) -> None:
    """A sold imp comes with the clearing price, the protocol's version and the auction's id."""
    async with api.http.post(
        PATH, data=body(), headers={"Content-Type": "application/json; charset=utf-8"}
    ) as response:
        answer = msgspec.json.decode(await response.read())
    assert response.status == 200
    assert response.headers["x-openrtb-version"] == "2.6"
    assert response.headers["Content-Type"] == "application/json"
    [bid] = answer["seatbid"][0]["bid"]
    assert bid["price"] == CLEARING_CPM
    assert bid["ext"]["gavel"]["auction_id"] == response.headers["Gavel-Auction"]


async def test_a_body_without_a_type_is_taken_for_json(api: RunningApi) -> None:
    """The protocol knows only JSON, so its name may be left out."""
    async with api.http.post(PATH, data=body(), skip_auto_headers=["Content-Type"]) as response:
        assert response.status == 200


@pytest.mark.parametrize("version", ["2.6", "2.5", "2.6-202606", "2", "", "latest"])
async def test_every_second_version_is_understood(api: RunningApi, version: str) -> None:
    """Senders of any 2.x are answered in 2.6; a header that names no version says nothing."""
    async with api.http.post(PATH, json=bid_request(), headers={"x-openrtb-version": version}) as response:
        assert (response.status, response.headers["x-openrtb-version"]) == (200, "2.6")


async def test_an_address_that_asks_too_often(api: RunningApi) -> None:
    """It is told to wait, with nothing logged; others and our own proxies get their answers."""
    clock = asyncio.get_running_loop().time
    topics = [api.services.names.auctions]

    async def asked_by(forwarded: dict[str, str]) -> tuple[int, str, str]:
        async with api.http.post(PATH, json=bid_request(), headers=forwarded) as response:
            return response.status, response.headers.get("Retry-After", ""), await response.text()

    # Twice, should a minute end just now.
    for _ in range(2):
        for _ in range(AUCTIONS_PER_MINUTE):
            with suppress(RateLimited):
                api.services.auction_rates.check("203.0.113.79", clock())
        before = await api.services.watermarks.high(topics)
        status, retry_after, answer = await asked_by({"X-Forwarded-For": "203.0.113.79"})
        if status == 429:
            break
    assert (status, msgspec.json.decode(answer)["type"]) == (429, "/problems/too-many-requests")
    assert 1 <= int(retry_after) <= 60, "the next minute counts anew"
    assert await api.services.watermarks.high(topics) == before
    assert (await asked_by({"X-Forwarded-For": "203.0.113.80"}))[0] == 200
    assert (await asked_by({}))[0] == 200


async def test_nobody_bids(api: RunningApi) -> None:
    """No bid above the floor is an empty answer that still names the auction."""
    async with api.http.post(PATH, json=bid_request(imp=imp(bidfloor=100))) as response:
        assert (response.status, await response.read()) == (204, b"")
    assert response.headers["Gavel-Auction"]


async def test_gzip_both_ways(api: RunningApi) -> None:
    """A packed request is understood, and a large answer is packed for who asks for it."""
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip", "Accept-Encoding": "gzip"}
    packed = gzip.compress(body())
    lines = [f"POST {PATH} HTTP/1.1", "Host: gavel", "Connection: close", f"Content-Length: {len(packed)}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    async with api.connection() as (reader, writer):
        writer.write("\r\n".join([*lines, "", ""]).encode() + packed)
        head, _, content = (await reader.read()).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200")
    assert b"content-encoding: gzip" in head
    [bid] = msgspec.json.decode(gzip.decompress(content))["seatbid"][0]["bid"]
    assert bid["price"] == CLEARING_CPM


async def test_other_methods_are_not_allowed(api: RunningApi) -> None:
    """The answer to a wrong method lists the right one."""
    async with api.http.get(PATH) as response:
        answer = await response.json(content_type="application/problem+json")
    assert (response.status, response.headers["Allow"]) == (405, "POST")
    assert answer["type"] == "/problems/method-not-allowed"


async def test_an_announced_flood_is_refused_unread(api: RunningApi) -> None:
    """A body that is announced as far too large is answered before it is sent."""
    async with api.connection() as (reader, writer), asyncio.timeout(ANSWER_SECONDS):
        writer.write(f"POST {PATH} HTTP/1.1\r\nHost: gavel\r\nContent-Length: 10000000000\r\n\r\n".encode())
        assert (await reader.readline()).startswith(b"HTTP/1.1 413")


async def test_an_endless_body_is_cut(api: RunningApi) -> None:
    """A body of unknown length is not read without end."""
    async with api.connection() as (reader, writer), asyncio.timeout(ANSWER_SECONDS):
        writer.write(f"POST {PATH} HTTP/1.1\r\nHost: gavel\r\nTransfer-Encoding: chunked\r\n\r\n".encode())
        for _ in range(17):
            writer.write(b"10000\r\n" + b"x" * 0x10000 + b"\r\n")
        assert (await reader.readline()).startswith(b"HTTP/1.1 413")


async def test_a_client_that_hangs_up_harms_nobody(api: RunningApi) -> None:
    """Connections that end in the middle of a request leave the worker as it was, and count as nothing."""
    counted = _auctions_counted(api)
    for _ in range(20):
        async with api.connection() as (_, writer):
            writer.write(f"POST {PATH} HTTP/1.1\r\nHost: gavel\r\nContent-Length: 1000\r\n\r\n{{".encode())
            await writer.drain()
    async with api.http.post(PATH, json=bid_request()) as response:
        assert response.status == 200
    assert _auctions_counted(api) == counted + 1


def _auctions_counted(api: RunningApi) -> float:
    lines = api.services.metrics.exposition().decode().splitlines()
    return sum(float(line.split()[-1]) for line in lines if line.startswith("gavel_auctions_total"))
