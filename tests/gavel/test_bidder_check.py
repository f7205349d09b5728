"""`gavel bidders check` against real bidders on real sockets: what it finds is what an auction would make of them."""

from __future__ import annotations

import asyncio
import gzip
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest
from redis.asyncio import Redis

from domain.catalogue import CurrencyRate
from domain.currency import Rates
from domain.errors import InvalidInput
from domain.names import Names
from gavel import bidder_check
from gavel.bidder_check import Report, check_bidder
from gavel.process_clock import fresh_id
from gavel.sample_request import sample_request
from tests.commands.auction_scenario import closed_port
from tests.commands.eventually import eventually
from tests.commands.hostile_bidder import HostileBidder, hostile_bidder, ok, says
from tests.commands.test_catalogue_view import put_entity
from tests.gavel.shell import Shell

SAMPLE = sample_request("r")
BANNER = {"id": "b1", "impid": "banner", "price": 1.5, "adm": "<b>ad</b>", "w": 300, "h": 250}
VIDEO = {"id": "v1", "impid": "video", "price": 0.2, "adm": '<VAST version="4.2"/>', "mtype": 2}


def bids(*each: dict[str, Any], request_id: str = "r", currency: str = "USD") -> bytes:
    return ok(msgspec.json.encode({"id": request_id, "cur": currency, "seatbid": [{"bid": list(each)}]}))


async def check(bidder: HostileBidder, body: bytes = SAMPLE, *, accepts_gzip: bool = False) -> Report:
    return await check_bidder(bidder.url, body, allow_private=True, accepts_gzip=accepts_gzip)


def found(report: Report) -> list[tuple[str, str]]:
    """But for the time that a busy machine took to connect."""
    return [(each.level, each.what) for each in report.findings if each.what != "slow_connection"]


NO_CONTENT = b"HTTP/1.1 204 No Content\r\n\r\n"


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        pytest.param(bids(BANNER), [], id="a good bid"),
        pytest.param(NO_CONTENT, [("note", "no_bid")], id="204"),
        pytest.param(ok(b""), [("note", "no_bid")], id="an empty body"),
        pytest.param(ok(b"{}"), [("note", "no_bid")], id="an empty object"),
        pytest.param(ok(b'{"id":"r","nbr":8}'), [("note", "no_bid")], id="a reason"),
        pytest.param(ok(b"oops"), [("fault", "malformed")], id="no JSON"),
        pytest.param(bids(BANNER, request_id="other"), [("fault", "malformed")], id="another request's answer"),
        pytest.param(ok(b"").replace(b"200 OK", b"404 No"), [("fault", "status")], id="a wrong status"),
        pytest.param(b"SSH-2.0\r\n", [("fault", "broken")], id="no HTTP"),
        pytest.param(bids(BANNER, VIDEO), [("fault", "bid_refused")], id="a bid below the floor"),
        pytest.param(bids({"id": "x"}), [("fault", "bid_refused")], id="a bid that cannot be read"),
    ],
)
async def test_what_an_answer_is_found_to_be(answer: bytes, expected: list[tuple[str, str]]) -> None:
    """Each kind of answer has its own finding, and only faults make the bidder unfit."""
    async with hostile_bidder(says(answer)) as bidder:
        report = await check(bidder)
        assert len(bidder.requests) == bidder_check.CALLS
    assert found(report) == expected
    assert report.ok == all(level != "fault" for level, _ in expected)


async def test_every_bid_is_judged_with_its_code_and_sentence() -> None:
    """One competes, one of the same bidder is beaten, one is below its floor, one cannot be read."""
    worse = {**BANNER, "id": "b2", "price": 1}
    async with hostile_bidder(says(bids(BANNER, worse, VIDEO, {"id": "x"}))) as bidder:
        report = await check(bidder)
    assert {(bid.imp_id, bid.bid_id): (bid.price, bid.verdict, bid.code) for bid in report.bids} == {
        ("banner", "b1"): ("1.50", "admitted", 0),
        ("banner", "b2"): ("1.00", "beaten", 102),
        ("banner", "x"): (None, "refused", 3),
        ("video", "v1"): ("0.20", "refused", 100),
    }
    [sentence] = [each.sentence for each in report.findings if "v1" in each.sentence]
    assert "refused (code 100): The imp's floor is 0.50 USD, the bid 0.20." in sentence


async def test_a_reason_for_no_bid_is_told() -> None:
    """The bidder's own `nbr` is put into words."""
    async with hostile_bidder(says(ok(b'{"id":"r","nbr":8}'))) as bidder:
        report = await check(bidder)
    assert "Unmatched user" in report.findings[0].sentence


async def test_a_redirect_is_explained() -> None:
    """The exchange does not follow it, and says what to do instead."""
    moved = b"HTTP/1.1 301 Moved\r\nLocation: https://bidder.example/\r\nContent-Length: 0\r\n\r\n"
    async with hostile_bidder(says(moved)) as bidder:
        report = await check(bidder)
    assert found(report) == [("fault", "status")]
    assert "the status 301. Redirects are not followed" in report.findings[0].sentence


async def test_a_late_bidder_hears_by_how_much() -> None:
    """Its answers cost it the auction, and those that come after all are told."""
    release = asyncio.Event()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await release.wait()
        await says(bids(BANNER))(reader, writer)

    body = msgspec.json.encode({**msgspec.json.decode(SAMPLE), "tmax": 400})
    async with hostile_bidder(answer) as bidder:
        checking = asyncio.create_task(check(bidder, body))
        await eventually(lambda: len(bidder.requests) == bidder_check.CALLS)
        release.set()  # which may be in time for the last call
        report = await checking
    assert not report.ok
    assert [what for _, what in found(report)] == ["late", "answered_late"]
    late = next(each for each in report.findings if each.what == "late")
    assert late.sentence.endswith(" of 5 calls: The bidder did not answer in time.")
    assert [call.status for call in report.calls[:4]] == [None] * 4
    assert report.time_ms == 385


async def test_nobody_there() -> None:
    """A bidder that cannot be reached is called once."""
    url = f"http://127.0.0.1:{await closed_port()}/"
    report = await check_bidder(url, SAMPLE, allow_private=True, accepts_gzip=False)
    assert (found(report), len(report.calls)) == ([("fault", "unreachable")], 1)


async def test_a_bidder_that_closes_its_connections() -> None:
    """It works, and pays for each connection anew."""
    async with hostile_bidder(says(bids(BANNER), then_close=True)) as bidder:
        report = await check(bidder)
    assert (report.ok, found(report)) == (True, [("warning", "no_keep_alive")])


async def test_an_address_that_the_exchange_would_not_call() -> None:
    """The check calls a private address, and says that the exchange as it is set up would not."""
    async with hostile_bidder(says(bids(BANNER))) as bidder:
        report = await check_bidder(bidder.url, SAMPLE, allow_private=False, accepts_gzip=False)
    assert (report.ok, found(report)) == (True, [("warning", "private_address")])
    assert "GAVEL_ALLOW_PRIVATE_ENDPOINTS" in report.findings[0].sentence


async def test_a_missing_rate_is_not_the_bidders_fault() -> None:
    """Who bids in euro is warned where nobody knows a rate; with one, what the bid is worth is judged by the floor."""
    low = {**VIDEO, "price": 0.4}
    rates = Rates([CurrencyRate(base="EUR", quote="USD", rate="1.2")])
    async with hostile_bidder(says(bids(BANNER, low, currency="EUR"))) as bidder:
        unknown = await check(bidder)
        known = await check_bidder(bidder.url, SAMPLE, allow_private=True, accepts_gzip=False, rates=rates)
    assert (unknown.ok, found(unknown)) == (True, [("warning", "no_rate")] * 2)
    assert [(bid.verdict, bid.code) for bid in unknown.bids] == [("refused", 3)] * 2
    assert (known.ok, found(known)) == (False, [("fault", "bid_refused")])
    assert [(bid.verdict, bid.code) for bid in known.bids] == [("admitted", 0), ("refused", 100)]


async def test_a_missing_rate_hides_no_fault() -> None:
    """What else is wrong with a bid in another currency is a fault as ever."""
    async with hostile_bidder(says(bids({**BANNER, "w": 1, "h": 1}, currency="EUR"))) as bidder:
        report = await check(bidder)
    assert (report.ok, found(report)) == (False, [("fault", "bid_refused")])


async def test_a_compressed_request_says_the_same() -> None:
    """With `accepts_gzip` the bidder gets the same request in gzip."""
    async with hostile_bidder(says(bids(BANNER))) as bidder:
        await check(bidder)
        await check(bidder, accepts_gzip=True)
        (_, plain), (head, packed) = bidder.requests[0], bidder.requests[-1]
    assert b"\r\nContent-Encoding: gzip\r\n" in head
    assert msgspec.json.decode(gzip.decompress(packed)) == msgspec.json.decode(plain)


@pytest.mark.parametrize(
    ("url", "changes", "expected"),
    [
        pytest.param("ftp://bidder.example/", {}, "URL: must start with", id="no URL"),
        pytest.param("http://169.254.169.254/", {}, "link-local", id="a metadata service"),
        pytest.param("http://bidder.example/", {"imp": []}, "imp: ", id="a request that is refused"),
        pytest.param("http://bidder.example/", {"device": {"ua": "Googlebot/2.1"}}, "known robot", id="a robot's"),
    ],
)
async def test_what_cannot_be_tried(url: str, changes: dict[str, Any], expected: str) -> None:
    """A URL or a request that no auction would use is refused before anybody is called."""
    body = msgspec.json.encode({**msgspec.json.decode(SAMPLE), **changes})
    with pytest.raises(InvalidInput, match=expected):
        await check_bidder(url, body, allow_private=True, accepts_gzip=False)


# -- the command -----------------------------------------------------------------------------------------


command = partial(Shell("bidders", {}), "check")
"""`gavel bidders check`, in a process of its own."""


@pytest.mark.parametrize(("answer", "code"), [(bids(BANNER, request_id="own"), 0), (ok(b"["), 1)])
async def test_the_exit_code_tells_a_script(tmp_path: Path, answer: bytes, code: int) -> None:
    """0 for a bidder that can take part, 1 for one that cannot; the caller's own request is what is sent."""
    own = tmp_path / "request.json"
    own.write_bytes(msgspec.json.encode({**msgspec.json.decode(SAMPLE), "id": "own"}))
    async with hostile_bidder(says(answer)) as bidder:
        told = await command(bidder.url, "--request", str(own), "--json")
        assert told.code == code, told
        assert msgspec.json.decode(bidder.requests[0][1])["id"] == "own"
    assert msgspec.json.decode(told.out)["ok"] == (code == 0)


@pytest.mark.parametrize(("rate", "verdict"), [("1.2", "admitted"), (None, "refused")])
async def test_the_rates_are_those_of_the_installation(
    tmp_path: Path, redis_url: str, rate: str | None, verdict: str
) -> None:
    """Those registered where `--data` points to; without one, or with a Redis that is away, there is a warning."""
    names = Names(f"t{fresh_id()[-12:]}")
    if rate is not None:
        async with Redis.from_url(redis_url) as redis:
            terms = CurrencyRate(base="EUR", quote="USD", rate=rate)
            await put_entity(redis, names, "currency_rate", "EUR-USD", terms)
    address = redis_url if rate is not None else f"redis://127.0.0.1:{await closed_port()}/0"
    installation = {"redis_url": address, "namespace": names.namespace}
    (tmp_path / "installation.json").write_bytes(msgspec.json.encode(installation))
    own = tmp_path / "request.json"
    own.write_bytes(SAMPLE)
    options = ("--data", str(tmp_path), "--request", str(own), "--json")
    async with hostile_bidder(says(bids(BANNER, currency="EUR"))) as bidder:
        told = await command(bidder.url, *options)
    report = msgspec.json.decode(told.out)
    assert (told.code, report["bids"][0]["verdict"]) == (0, verdict)
    assert [each["what"] for each in report["findings"] if each["what"] == "no_rate"] == ["no_rate"] * (rate is None)


async def test_a_person_is_told_in_sentences() -> None:
    """Without `--json` findings, bids and the verdict are text, whatever a bidder calls its bid; wrong use is 2."""
    strange = {**BANNER, "id": "[red]b1[/nothing]"}
    async with hostile_bidder(says(bids(strange, request_id="?"))) as bidder:
        told = await command(bidder.url)
    assert (told.code, "not the id of the request" in told.out) == (1, True)
    told = await command("ftp://bidder.example/")
    assert (told.code, "must start with" in told.err) == (2, True)
