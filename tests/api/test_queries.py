"""`/v1/auctions`, `/v1/reports/delivery`, `/v1/projections`: what was written is read."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import msgspec
import pytest

from tests.api.conftest import Auction, hold
from tests.api.running_api import RunningApi, until
from tests.api.test_engagements import BROWSER


async def get(api: RunningApi, path: str, **headers: str) -> tuple[int, Any, Any]:
    """Status, body and headers."""
    async with api.http.get(path, headers=api.authorized | headers) as response:
        return response.status, msgspec.json.decode(await response.read()), response.headers


async def story_of(api: RunningApi, auction: Auction, *, engagements: int = 0) -> dict[str, Any]:
    """The story, once the read model has it with so many engagements."""
    story: dict[str, Any] = {}

    async def is_told() -> bool:
        nonlocal story
        status, story, _ = await get(api, f"/v1/auctions/{auction.id}")
        return status == 200 and len(story["engagements"]) >= engagements and story["status"] == "awarded"

    await until(is_told, seconds=20)
    return story


async def test_the_whole_story_of_an_auction(api: RunningApi, auction: Auction) -> None:
    """Who was asked, what each answered and why one won, what it pays, and what came of it."""
    async with api.http.get(auction.impression_url, headers=BROWSER):
        pass
    story = await story_of(api, auction, engagements=1)
    assert (story["id"], story["test"]) == (auction.id, False)
    [imp] = story["imps"]
    outcomes = {outcome["bidder"]: outcome for outcome in imp["outcomes"]}
    assert (outcomes["High"]["status"], outcomes["High"]["price"], outcomes["High"]["rank"]) == ("won", "2.50", 1)
    assert (outcomes["Low"]["status"], outcomes["Low"]["price"], outcomes["Low"]["rank"]) == ("lost", "1.20", 2)
    assert outcomes["Low"]["code"] == 102
    assert imp["award"]["clearing_price"] == "1.21"
    assert [(each["kind"], each["verdict"]) for each in story["engagements"]] == [("impression", "valid")]
    assert story["request"]["device"]["ip"] == "192.0.2.0"


async def test_the_list_can_be_narrowed(api: RunningApi) -> None:
    """By site, by result and by bidder; newest first."""
    site = {"domain": "narrow.example", "publisher": {"id": "pub-1"}}
    first, second = await hold(api, site=site), await hold(api, site=site)
    await story_of(api, first)
    await story_of(api, second)
    _, page, _ = await get(api, "/v1/auctions?site=narrow.example&status=awarded")
    assert [auction["id"] for auction in page["items"]] == [second.id, first.id]
    _, page, _ = await get(api, "/v1/auctions?site=narrow.example&status=unsold")
    assert page["items"] == []
    winner = (await story_of(api, first))["imps"][0]["award"]["bidder_id"]
    _, page, _ = await get(api, f"/v1/auctions?site=narrow.example&bidder={winner}&limit=1")
    assert [auction["id"] for auction in page["items"]] == [second.id]


@pytest.mark.parametrize("auction_id", ["nonsense", "01936f2a-5c1e-7cc3-98c4-dc0c0c07398f", "x" * 300])
async def test_an_unknown_auction(api: RunningApi, auction_id: str) -> None:
    """Whatever is asked for, what is not there is a 404 problem."""
    status, problem, _ = await get(api, f"/v1/auctions/{auction_id}")
    assert (status, problem["type"]) == (404, "/problems/not-found")


@pytest.mark.parametrize("query", ["status=sold", "limit=0", "cursor=xyz", "cursor=AA"])
async def test_a_bad_filter_is_named(api: RunningApi, query: str) -> None:
    """The fault's path is the parameter."""
    status, problem, _ = await get(api, f"/v1/auctions?{query}")
    assert (status, [fault["path"] for fault in problem["errors"]]) == (400, [query.partition("=")[0]])


async def test_the_report_counts_what_happened(api: RunningApi) -> None:
    """Auctions, bids, wins, impressions and money of a site, worked out by hand, as JSON and as CSV."""
    site = {"domain": "report.example", "publisher": {"id": "pub-report"}}
    for _ in range(3):
        auction = await hold(api, site=site)
        async with api.http.get(auction.impression_url, headers=BROWSER):
            pass
        async with api.http.get(auction.impression_url, headers=BROWSER):
            pass
    expected = {
        "requests": 3, "imps": 3, "bids": 6, "wins": 3, "impressions_gross": 6, "impressions": 3, "clicks": 0,
        "fill_rate": 1.0, "win_rate": 0.5, "spend": "0.00363", "revenue": "0.002904", "fee": "0.000726", "ecpm": "1.21",
    }  # fmt: skip
    report: dict[str, Any] = {}

    async def is_counted() -> bool:
        nonlocal report
        _, report, _ = await get(api, "/v1/reports/delivery?by=site,publisher&site=report.example")
        return report["totals"]["impressions_gross"] == 6 and report["totals"]["bids"] == 6

    await until(is_counted, seconds=20)
    [row] = report["rows"]
    assert row == row | expected | {"site": "report.example", "publisher": "pub-report"}
    assert report["totals"] == report["totals"] | expected

    headers = api.authorized | {"Accept": "text/csv"}
    async with api.http.get("/v1/reports/delivery?by=site&site=report.example", headers=headers) as response:
        assert response.headers["Content-Type"].startswith("text/csv")
        [line] = csv.DictReader(io.StringIO(await response.text()))
    assert line == line | {name: str(value) for name, value in expected.items()}


async def test_a_report_covers_the_hours_asked_for(api: RunningApi, auction: Auction) -> None:
    """`from` is included and `to` is not; an hour ago there was nothing."""
    await story_of(api, auction)
    now = datetime.now(UTC)
    hour = now.replace(minute=0, second=0, microsecond=0)
    yesterday = quote((hour - timedelta(days=1)).isoformat())
    _, report, _ = await get(
        api, f"/v1/reports/delivery?from={yesterday}&to={quote((hour - timedelta(hours=2)).isoformat())}"
    )
    assert report["rows"] == []
    unescaped = (hour + timedelta(hours=1)).isoformat()
    _, report, _ = await get(api, f"/v1/reports/delivery?from={yesterday}&to={unescaped}")
    assert report["totals"]["requests"] > 0


@pytest.mark.parametrize(
    ("query", "path", "says"),
    [
        ("by=planet", "by", "hour"),
        ("planet=mars", "planet", "hour"),
        ("from=yesterday", "from", "ISO 8601"),
        ("to=2026-13-45", "to", "ISO 8601"),
        ("from=2026-11-02&to=2026-11-01", "to", "later"),
        ("device_type=phone", "device_type", "int"),
    ],
)
async def test_a_report_that_cannot_be_made(api: RunningApi, query: str, path: str, says: str) -> None:
    """The fault is named, with what is allowed where that is a list."""
    status, problem, _ = await get(api, f"/v1/reports/delivery?{query}")
    assert status == 400
    assert [fault["path"] for fault in problem["errors"]] == [path]
    assert says in problem["errors"][0]["message"]


async def test_a_report_in_an_unknown_form(api: RunningApi) -> None:
    """What is on offer is told to who accepts neither."""
    status, problem, _ = await get(api, "/v1/reports/delivery", Accept="application/pdf")
    assert (status, problem["type"]) == (406, "/problems/not-acceptable")
    assert "text/csv" in problem["detail"]


async def test_answers_say_how_far_behind_they_are(api: RunningApi) -> None:
    """Every answer of a read model carries its lag."""
    for path in ("/v1/auctions", "/v1/bidders", "/v1/reports/delivery"):
        _, _, headers = await get(api, path)
        assert headers["Gavel-Lag"] == "unknown" or int(headers["Gavel-Lag"]) >= 0


async def test_a_position_that_is_not_reached(api: RunningApi) -> None:
    """Who waits in vain is told to come again, and how long was waited."""
    topic = api.services.names.catalogue
    token = {"Gavel-Token": f"{topic}/0/999999999", "Prefer": "respond-async, wait=1"}
    status, problem, headers = await get(api, "/v1/bidders", **token)
    assert (status, problem["type"]) == (503, "/problems/not-yet")
    assert (headers["Preference-Applied"], headers["Retry-After"]) == ("wait=1", "1")


async def test_a_position_of_another_topic_is_not_waited_for(api: RunningApi) -> None:
    """A read model misses nothing of a topic that it does not read."""
    token = {"Gavel-Token": f"{api.services.names.catalogue}/0/999999999", "Prefer": "wait=20"}
    status, _, headers = await get(api, "/v1/auctions", **token)
    assert status == 200
    assert "Preference-Applied" not in headers


@pytest.mark.parametrize("token", ["nonsense", "topic/1", "other.topic/0/1", "a/b/c", "t/0/99999999999999999999"])
async def test_a_token_that_no_command_gave(api: RunningApi, token: str) -> None:
    """It is refused, not waited for."""
    status, problem, _ = await get(api, "/v1/bidders", **{"Gavel-Token": token, "Prefer": "wait=5"})
    assert (status, [fault["path"] for fault in problem["errors"]]) == (400, ["Gavel-Token"])


async def test_projections_tell_where_they_stand(api: RunningApi) -> None:
    """Each names its partitions, with the next offset and the log's end."""
    status, projections, _ = await get(api, "/v1/projections")
    assert status == 200
    by_name = {each["name"]: each for each in projections}
    assert {"catalogue", "catalogue_cache", "auction_log", "delivery"} <= by_name.keys()
    for projection in projections:
        assert projection["status"] == "running"
        assert projection["lag"] >= 0
        for partition in projection["partitions"]:
            assert partition["next_offset"] <= partition["high_watermark"]
    assert {each["topic"] for each in by_name["delivery"]["partitions"]} == {
        api.services.names.auctions,
        api.services.names.engagements,
    }
