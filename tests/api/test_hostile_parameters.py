"""Every documented parameter, fed with what nobody should send: a clear answer, never a mistake of ours."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest

from tests.api.running_api import RunningApi
from tests.api.test_openapi import document, operations

HOSTILE = {
    "nothing": b"",
    "a zero byte": b"\x00",
    "half a character": b"\xff\xfe",
    "a surrogate": b"\xed\xa0\x80",
    "an emoji": "💥".encode(),
    "SQL": b"' OR 1=1; DROP TABLE auctions; --",
    "a path": b"../../etc/passwd",
    "markup": b"<script>alert(1)</script>",
    "a header": b"x\r\nSet-Cookie: a=b",
    "minus one": b"-1",
    "more than 64 bits": b"99999999999999999999999999",
    "not a number": b"NaN",
    "far future": b"+999999-01-01T00:00:00Z",
    "year zero": b"0000-00-00",
    "before all time": b"0001-01-01T00:00:00+23:59",
    "after all time": b"9999-12-31T23:59:59-23:59",
    "a long text": b"a" * 4_000,
    "commas": b"," * 500,
    "all dimensions twice": b"hour,day,hour,day",
}

__all__ = ["document"]


@pytest.mark.parametrize("value", HOSTILE.values(), ids=HOSTILE)
async def test_no_parameter_breaks_a_query(api: RunningApi, document: dict[str, Any], value: bytes) -> None:
    """The answer is 2xx or a 4xx problem, for each parameter of each query."""
    tried = 0
    for name, operation in operations(document).items():
        method, _, path = name.partition(" ")
        if method != "get" or path == "/v1/live":
            continue
        for parameter in operation.get("parameters", []):
            if parameter.get("in") not in {"path", "query"}:
                continue
            address = path.replace(f"{{{parameter['name']}}}", quote(value, safe=""))
            if parameter["in"] == "query":
                address += f"?{parameter['name']}={quote(value, safe='')}"
            status, body = await _get_raw(api, address)
            assert status < 500, f"{name} {parameter['name']}: {body!r}"
            if status >= 400:
                assert b'"/problems/' in body, f"{name} {parameter['name']}: {body!r}"
            tried += 1
    assert tried >= 10


async def _get_raw(api: RunningApi, address: str) -> tuple[int, bytes]:
    """Without a client library that would tidy the address up."""
    key = api.authorized["Authorization"]
    async with api.connection() as (reader, writer):
        writer.write(
            f"GET {address} HTTP/1.1\r\nHost: gavel\r\nAuthorization: {key}\r\nConnection: close\r\n\r\n".encode()
        )
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    return int(head.split()[1]), body
