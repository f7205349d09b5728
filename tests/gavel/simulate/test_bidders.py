"""The simulated bidders, as processes of their own and over HTTP."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gavel.simulate.bidder_processes import PORTS_FILE, BidderProcesses
from gavel.simulate.bidders import HOST
from gavel.simulate.characters import CHARACTERS, MISBEHAVIOURS
from gavel.simulate.example_catalogue import PREMIUM_DEAL
from gavel.simulate.exchange_client import ExchangeClient, ExchangeUnreachable

ADVERTISERS = {character.advertiser for character in CHARACTERS.values()}


def request(number: int = 1, floor: float = 0.1, deal: str | None = None) -> bytes:
    imp: dict[str, Any] = {"id": "1", "bidfloor": floor, "banner": {"w": 300, "h": 250}}
    if deal:
        imp["pmp"] = {"deals": [{"id": deal, "bidfloor": 5.0}]}
    return msgspec.json.encode({"id": f"request-{number}", "imp": [imp], "tmax": 100})


@pytest.fixture
async def ports(tmp_path: Path) -> AsyncIterator[dict[str, int]]:
    async with BidderProcesses(tmp_path, seed=1):
        yield msgspec.json.decode((tmp_path / PORTS_FILE).read_bytes())


async def answers(port: int, bodies: list[bytes]) -> list[tuple[int, bytes]]:
    """Status and body of each answer; status 0 where the bidder hung up."""
    client = ExchangeClient(f"http://{HOST}:{port}")

    async def ask(body: bytes) -> tuple[int, bytes]:
        try:
            answer = await client.post("/bid", body)
        except ExchangeUnreachable:
            return 0, b""
        return answer.status, answer.body

    found = await asyncio.gather(*(ask(body) for body in bodies))
    client.close()
    return found


async def test_the_honest_bidders_bid_as_the_spec_wants_it(ports: dict[str, int]) -> None:
    """Every answer is 204, or a bid for the imp offered that fits, pays the floor and leads to its advertiser."""
    for character in ("swift", "lumen"):
        found = await answers(ports[character], [request(n, floor=0.6) for n in range(100)])
        assert {status for status, _ in found} == {200, 204}
        for n, (status, body) in enumerate(found):
            if status == 200:
                response = msgspec.json.decode(body)
                assert response["id"] == f"request-{n}"
                (bid,) = response["seatbid"][0]["bid"]
                assert (bid["impid"], bid["w"], bid["h"]) == ("1", 300, 250)
                assert bid["price"] >= 0.6
                assert "${GAVEL_CLICK_URL}" in bid["adm"]
                assert set(bid["adomain"]) < ADVERTISERS
                assert bid["ext"]["landing_url"].startswith(f"https://www.{bid['adomain'][0]}/")


async def test_the_dear_bidder_takes_up_its_deal(ports: dict[str, int]) -> None:
    """A deal that is offered is bid on, above its floor."""
    found = await answers(ports["lumen"], [request(n, deal=PREMIUM_DEAL) for n in range(40)])
    bids = [msgspec.json.decode(body)["seatbid"][0]["bid"][0] for status, body in found if status == 200]
    assert bids
    assert all(bid["dealid"] == PREMIUM_DEAL and bid["price"] > 5 for bid in bids)


async def test_the_rogue_misbehaves_in_every_way(ports: dict[str, int]) -> None:
    """Among many answers there are failures, lies and hang-ups, and still a majority of good ones."""
    found = await answers(ports["rogue"], [request(n, floor=0.4) for n in range(800)])
    seen = Counter(conduct(n, status, body) for n, (status, body) in enumerate(found))
    assert seen.keys() >= {"hung up", "error", "garbage", "empty", "wrong id", "lie about the bid"}, seen
    assert 300 < seen["good"] < 600
    assert len(MISBEHAVIOURS) == len(CHARACTERS["rogue"].misbehaviours)


async def test_bidders_come_back_as_they_were(tmp_path: Path) -> None:
    """After a restart they have the same ports and, for the same request, the same answers."""
    seen = []
    for _ in range(2):
        async with BidderProcesses(tmp_path, seed=5):
            ports = msgspec.json.decode((tmp_path / PORTS_FILE).read_bytes(), type=dict[str, int])
            good = await answers(ports["swift"], [request(n) for n in range(30)])
            bids = [body.replace(str(ports["swift"]).encode(), b"PORT") for _, body in good]
            seen.append((ports, bids))
    assert seen[0] == seen[1]


def conduct(number: int, status: int, body: bytes) -> str:
    """What an outsider can tell of one answer to `request(number, floor=0.4)`."""
    if status != 200:
        return {0: "hung up", 204: "good", 500: "error"}[status]
    try:
        response = msgspec.json.decode(body)
    except msgspec.DecodeError:
        return "garbage"
    if not response:
        return "empty"
    if response["id"] != f"request-{number}":
        return "wrong id"
    honest = all(
        bid["impid"] == "1"
        and isinstance(bid["price"], float | int)
        and 0.4 <= bid["price"] < 1_000
        and (bid["w"], bid["h"]) == (300, 250)
        and "adm" in bid
        and "dealid" not in bid
        for bid in response["seatbid"][0]["bid"]
    )
    return "good" if honest else "lie about the bid"
