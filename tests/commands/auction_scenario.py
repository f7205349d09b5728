"""One auction as a JSON file tells it: a request, bidders that answer it over HTTP, and what must come of it.

`request`: the bid request, or text that is not JSON.
`catalogue`: what is registered beside the bidders, see `scenario_catalogue`.
`bidders`: by name, `{"terms": {...}, "answer": {...}}`; the terms are those of `POST /v1/bidders` without name and
endpoint, and a `status` where it is not active; the answers are listed in `answer_of`.
`seen`: the imps of which a person saw the ad.
`feeds`: the values of records by feed client and key: `{"data": {"u-1": {"segments": ["cars"]}}}`.
`budgets`: what campaigns have spent before, see `scenario_budgets`.
`expected`: `status`; `imps`, what was on sale; `outcomes` by imp and bidder; `awards` by imp; `unsold`, the reasons by
imp; `requests`, what each bidder was sent, null where it was not called; `response`; `lifetimes` and `landings` of the
addresses in it, by imp; `notices`, the kind and address of each by bidder, in alphabetical order; `late`, the late
answers by bidder; `requested`, the first event; `reserved`, the sum by campaign, in its currency; `tokens`, what the
impression's address claims, by imp; `within_ms`; or, of a request that is refused, `faults`.
Whatever is named is compared, what is not named may be anything, and what is null must be absent;
`{"$contains": [...]}` and `{"$lacks": [...]}` look into a text. Everywhere a bidder is named by its name.
"""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec

from tests.commands.hostile_bidder import Answer, HostileBidder, hostile_bidder, ok, says
from tests.commands.scenario_catalogue import ScenarioCatalogue

FOLDER = Path(__file__).parents[1] / "scenarios"


class ScenarioBidder(msgspec.Struct, forbid_unknown_fields=True):
    answer: dict[str, Any]
    terms: dict[str, Any] = {}


class Scenario(msgspec.Struct, forbid_unknown_fields=True):
    request: dict[str, Any] | str
    expected: dict[str, Any]
    bidders: dict[str, ScenarioBidder] = {}
    seen: list[str] = []
    catalogue: ScenarioCatalogue = msgspec.field(default_factory=ScenarioCatalogue)
    budgets: dict[str, dict[str, Any]] = {}
    feeds: dict[str, dict[str, Any]] = {}

    @property
    def body(self) -> bytes:
        return self.request.encode() if isinstance(self.request, str) else msgspec.json.encode(self.request)


def scenario_files() -> list[Path]:
    return sorted(FOLDER.glob("*.json"))


def read_scenario(path: Path) -> Scenario:
    return msgspec.json.decode(path.read_bytes(), type=Scenario)


@asynccontextmanager
async def listening(scenario: Scenario) -> AsyncIterator[dict[str, HostileBidder]]:
    """Every bidder of the scenario on a port of its own."""
    async with AsyncExitStack() as stack:
        bidders = {
            name: await stack.enter_async_context(hostile_bidder(answer_of(bidder.answer)))
            for name, bidder in scenario.bidders.items()
        }
        for name, bidder in scenario.bidders.items():
            if bidder.answer.get("unreachable"):
                bidders[name].port = await closed_port()
                bidders[name].url = f"http://127.0.0.1:{bidders[name].port}/bid"
        yield bidders


def decoded(head: bytes, body: bytes) -> dict[str, Any]:
    """A request that a bidder got, compressed or not."""
    plain = gzip.decompress(body) if b"\r\ncontent-encoding: gzip\r\n" in head.lower() else body
    return msgspec.json.decode(plain, type=dict[str, Any])


async def closed_port() -> int:
    """A port on which nobody listens any more."""
    server = await asyncio.start_server(lambda _reader, writer: writer.close(), "127.0.0.1", 0)
    port: int = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    return port


def answer_of(answer: dict[str, Any]) -> Answer:
    """What the bidder does with a request.

    `{"json": ...}`, `{"text": ...}` or `{"bytes": count}` with 200, each with an optional `after_ms` or `drip_ms`
    (milliseconds between single bytes); `{"status": n}`; `{"hangs_up": true}`; `{"silent": true}`.
    """
    if answer.get("hangs_up"):
        return says(b"HTTP/1.1 200 OK\r\nContent-Le", then_close=True)
    if answer.get("silent") or answer.get("unreachable"):
        return _stays_silent
    payload = _payload(answer)
    if "drip_ms" in answer:
        return _drips(payload, answer["drip_ms"] / 1000)
    if "after_ms" in answer:
        return _late(payload, answer["after_ms"] / 1000)
    return says(payload)


def _payload(answer: dict[str, Any]) -> bytes:
    if "status" in answer:
        return b"HTTP/1.1 %d Some Status\r\nContent-Length: 0\r\n\r\n" % answer["status"]
    if "bytes" in answer:
        return ok(b" " * answer["bytes"])
    return ok(answer["text"].encode() if "text" in answer else msgspec.json.encode(answer["json"]))


async def _stays_silent(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    await reader.read()


def _late(payload: bytes, seconds: float) -> Answer:
    async def answer(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(seconds)
        writer.write(payload)

    return answer


def _drips(payload: bytes, seconds: float) -> Answer:
    async def answer(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for byte in payload:
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(seconds)

    return answer


def differences(expected: Any, actual: Any, path: str = "") -> list[str]:
    """Where `actual` does not have what `expected` names."""
    if isinstance(expected, dict) and expected and expected.keys() <= {"$contains", "$lacks"}:
        return _text_differences(expected, actual, path)
    if isinstance(expected, dict):
        if not isinstance(actual, dict):
            return [f"{path}: {actual!r} is no object"]
        return [
            line
            for name, value in expected.items()
            for line in (
                differences(value, actual[name], f"{path}.{name}")
                if name in actual
                else _missing(value, f"{path}.{name}")
            )
        ]
    if isinstance(expected, list):
        if not isinstance(actual, list) or len(actual) != len(expected):
            return [f"{path}: {actual!r} is not a list of {len(expected)}"]
        return [
            line
            for index, (one, other) in enumerate(zip(expected, actual, strict=True))
            for line in differences(one, other, f"{path}[{index}]")
        ]
    return [] if expected == actual else [f"{path}: expected {expected!r}, got {actual!r}"]


def _missing(expected: Any, path: str) -> list[str]:
    """A field that is expected to be null may be left out."""
    return [] if expected is None else [f"{path}: missing"]


def _text_differences(expected: dict[str, list[str]], actual: Any, path: str) -> list[str]:
    text = str(actual)
    lines = [f"{path}: {part!r} is not in {text!r}" for part in expected.get("$contains", []) if part not in text]
    return lines + [f"{path}: {part!r} is in {text!r}" for part in expected.get("$lacks", []) if part in text]
