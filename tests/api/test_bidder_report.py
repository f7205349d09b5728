"""`GET /v1/reports/bidders`: what an auction meant for each bidder, as JSON and as CSV."""

from __future__ import annotations

import csv
import io
from typing import Any

import msgspec
import pytest

from tests.api.conftest import Auction
from tests.api.running_api import RunningApi, until

PATH = "/v1/reports/bidders"


async def report_of(api: RunningApi, query: str = "") -> tuple[int, Any]:
    async with api.http.get(f"{PATH}{query}", headers=api.authorized) as response:
        return response.status, msgspec.json.decode(await response.read())


async def test_how_bidders_did(api: RunningApi, auction: Auction) -> None:
    """The winner has its win, its rates and its latency under its name, in JSON and in CSV; one can be asked for."""
    assert auction
    rows: list[dict[str, Any]] = []

    async def is_counted() -> bool:
        nonlocal rows
        _, report = await report_of(api)
        rows = [row for row in report["rows"] if row["won"] and row["name"]]
        return bool(rows)

    await until(is_counted, seconds=20)
    winner = rows[0]
    assert 0 < winner["won"] <= winner["placed"] <= winner["asked"]
    assert 0 < winner["win_rate"] <= 1
    assert sum(bar["imps"] for bar in winner["latency"]["histogram"]) == winner["asked"]

    _, hourly = await report_of(api, f"?by=hour&bidder={winner['bidder']}")
    assert {row["bidder"] for row in hourly["rows"]} == {winner["bidder"]}
    assert sum(row["won"] for row in hourly["rows"]) >= winner["won"]

    async with api.http.get(
        f"{PATH}?bidder={winner['bidder']}", headers=api.authorized | {"Accept": "text/csv"}
    ) as said:
        assert said.headers["Content-Type"].startswith("text/csv")
        [line] = csv.DictReader(io.StringIO(await said.text()))
    assert line["name"] == winner["name"]
    assert int(line["won"]) >= winner["won"]
    assert "hour" not in line


@pytest.mark.parametrize(
    ("query", "path"), [("?by=planet", "by"), ("?from=yesterday", "from"), ("?from=2026-11-02&to=2026-11-01", "to")]
)
async def test_a_report_that_cannot_be_made(api: RunningApi, query: str, path: str) -> None:
    """The fault is named."""
    status, problem = await report_of(api, query)
    assert (status, [fault["path"] for fault in problem["errors"]]) == (400, [path])
