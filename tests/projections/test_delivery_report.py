"""The delivery report against figures counted from the log without it."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from domain.errors import InvalidInput
from domain.events import BidRequested
from projections.queries import delivery as query
from projections.queries.delivery import delivery_report
from tests.projections import audit
from tests.projections.conftest import ReadSide
from tests.projections.traffic import START, Traffic

FROM = datetime(2026, 11, 20, 22, tzinfo=UTC)
TO = datetime(2026, 11, 22, tzinfo=UTC)
PLACES = {"hour": 0, "publisher": 1, "placement": 2, "site": 3, "country": 4, "device_type": 5, "bidder": 6}
"""Name in a report to its place in the keys of `audit.delivery_of`; the last one is the currency."""


@pytest.fixture
async def table(read_side: ReadSide) -> dict[tuple[Any, ...], Counter[str]]:
    """A projected log, as the auditor counts it."""
    await read_side.log.append_traffic(Traffic(1), 300)
    await read_side.run_to_the_end("delivery")
    return audit.delivery_of(await audit.logged(read_side))


def counts(row: dict[str, Any]) -> dict[str, int]:
    return {name: row[name] for name in audit.COUNTS}


def grouped(table: dict[tuple[Any, ...], Counter[str]], *names: str) -> dict[tuple[Any, ...], Counter[str]]:
    groups: dict[tuple[Any, ...], Counter[str]] = {}
    for key, row in table.items():
        group = (*(key[PLACES[name]] for name in names), key[-1])
        groups.setdefault(group, Counter()).update(row)
    return groups


@pytest.mark.parametrize(
    "by", [(), ("hour",), ("publisher", "country"), ("bidder",), ("site", "device_type", "placement")]
)
async def test_rows_by_any_dimensions(
    read_side: ReadSide, table: dict[tuple[Any, ...], Counter[str]], by: tuple[str, ...]
) -> None:
    """Each group has the counts, the money and the rates that follow from the log, split by currency."""
    report = await delivery_report(read_side.db, start=FROM, end=TO, by=by, lag=7)
    rows = msgspec.to_builtins(report)["rows"]
    told = {(*(row[name][:13] if name == "hour" else row[name] for name in by), row["currency"]): row for row in rows}
    expected = grouped(table, *by)
    assert len(told) == len(rows)
    assert told.keys() == expected.keys()
    for key, row in told.items():
        group = expected[key]
        assert counts(row) == {name: group[name] for name in audit.COUNTS}
        assert Decimal(row["spend"]) * 10**9 == group["spend_nanos"]
        assert Decimal(row["revenue"]) + Decimal(row["fee"]) == Decimal(row["spend"])
        assert row["ctr"] == (round(group["clicks"] / group["impressions"], 6) if group["impressions"] else None)
        assert row["win_rate"] == (round(group["wins"] / group["bids"], 6) if group["bids"] else None)
        assert row["fill_rate"] == (round(group["wins"] / group["imps"], 6) if group["imps"] else None)
        if group["impressions"]:
            exact = Decimal(group["spend_nanos"]) / group["impressions"] / 10**6
            assert abs(Decimal(row["ecpm"]) - exact) <= Decimal("0.0000005")
        assert not {"day", "campaign", "ad"} & row.keys()
    assert report.lag == 7


async def test_robots_count_nowhere(read_side: ReadSide) -> None:
    """A page that a known robot fetched is in the log and in no report."""
    traffic = Traffic(3)
    [request, *_] = traffic.auction(test=False)
    assert isinstance(request, BidRequested)
    await read_side.log.append([msgspec.structs.replace(request, robot=True)])
    await read_side.log.append([request := traffic.auction(test=False)[0]])
    await read_side.run_to_the_end("delivery")
    totals = (await delivery_report(read_side.db, start=FROM, end=TO)).totals
    assert isinstance(request, BidRequested)
    assert (totals.requests, totals.imps) == (1, len(request.imps))


async def test_totals(read_side: ReadSide, table: dict[tuple[Any, ...], Counter[str]]) -> None:
    """Counts are over everything; money of several currencies stays apart, of one it stands beside the counts."""
    report = msgspec.to_builtins(await delivery_report(read_side.db, start=FROM, end=TO, by=["bidder"]))
    everything: Counter[str] = sum(table.values(), Counter())
    assert counts(report["totals"]) == {name: everything[name] for name in audit.COUNTS}
    assert "spend" not in report["totals"]
    by_currency = grouped(table)
    assert {each["currency"]: Decimal(each["spend"]) * 10**9 for each in report["totals"]["by_currency"]} == {
        currency: row["spend_nanos"] for (currency,), row in by_currency.items()
    }

    euros = msgspec.to_builtins(
        await delivery_report(read_side.db, start=FROM, end=TO, by=["site"], filters={"currency": "EUR"})
    )["totals"]
    assert Decimal(euros["fee"]) * 10**9 == by_currency["EUR",]["fee_nanos"]
    assert "by_currency" not in euros


async def test_days_and_ranges(read_side: ReadSide, table: dict[tuple[Any, ...], Counter[str]]) -> None:
    """Days are UTC days; the end of a range is not in it."""
    days = msgspec.to_builtins(await delivery_report(read_side.db, start=FROM, end=TO, by=["day"]))["rows"]
    expected: Counter[tuple[str, str]] = Counter()
    for key, row in table.items():
        expected[key[0][:10], key[-1]] += row["bids"]
    assert {(row["day"], row["currency"]): row["bids"] for row in days} == expected
    hour = msgspec.to_builtins(
        await delivery_report(read_side.db, start=FROM, end=FROM + timedelta(hours=1), by=["hour"])
    )["rows"]
    assert {row["hour"] for row in hour} == {"2026-11-20T22:00:00Z"}


async def test_filters(read_side: ReadSide, table: dict[tuple[Any, ...], Counter[str]]) -> None:
    """Only what meets all of them."""
    report = await delivery_report(
        read_side.db, start=FROM, end=TO, filters={"bidder": "b-fast", "device_type": "4", "publisher": ""}
    )
    matching = [row for key, row in table.items() if key[PLACES["bidder"]] == "b-fast" and key[5] == 4 and key[1] == ""]
    assert report.totals.bids == sum(row["bids"] for row in matching) > 0


async def test_nothing_was_delivered(read_side: ReadSide) -> None:
    """An empty report has no rows, zero counts and no rates."""
    report = msgspec.to_builtins(await delivery_report(read_side.db, start=START, end=TO))
    assert report["rows"] == ()
    assert counts(report["totals"]) == dict.fromkeys(audit.COUNTS, 0)
    assert report["totals"]["ctr"] is None
    assert report["totals"]["by_currency"] == ()


@pytest.mark.parametrize(
    ("wrong", "name"),
    [
        ({"by": ["weather"]}, "by"),
        ({"filters": {"weather": "fine"}}, "weather"),
        ({"filters": {"device_type": "phone"}}, "device_type"),
        ({"end": FROM}, "to"),
    ],
)
async def test_reports_that_make_no_sense(read_side: ReadSide, wrong: dict[str, Any], name: str) -> None:
    """They are refused with the name of what is wrong."""
    with pytest.raises(InvalidInput, match=f"^{name}:"):
        await delivery_report(read_side.db, **({"start": FROM, "end": TO} | wrong))


async def test_a_report_is_bounded(read_side: ReadSide, monkeypatch: pytest.MonkeyPatch) -> None:
    """More rows than the bound are refused instead of filling the memory."""
    monkeypatch.setattr(query, "ROWS_MAX", 3)
    await read_side.log.append_traffic(Traffic(2), 20)
    await read_side.run_to_the_end("delivery")
    with pytest.raises(InvalidInput, match="more than 3 rows"):
        await delivery_report(read_side.db, start=FROM, end=TO, by=["site", "publisher"])
