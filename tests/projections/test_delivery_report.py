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
from projections.queries.delivery import DeliveryReport, delivery_report
from projections.queries.delivery_groups import Question
from tests.projections import audit
from tests.projections.conftest import ReadSide
from tests.projections.traffic import START, Traffic

FROM = datetime(2026, 11, 20, 22, tzinfo=UTC)
TO = datetime(2026, 11, 22, tzinfo=UTC)
TOLERANCE = 5 * 0.0082
"""Of an estimate: five times the standard error that is promised."""

Table = dict[tuple[Any, ...], Counter[str]]


async def reported(read_side: ReadSide, lag: int | None = None, **asked: Any) -> DeliveryReport:
    return await delivery_report(read_side.db, Question(**({"start": FROM, "end": TO} | asked)), lag=lag)


async def rows_of(read_side: ReadSide, **asked: Any) -> list[dict[str, Any]]:
    """As JSON has them."""
    return list(msgspec.to_builtins(await reported(read_side, **asked))["rows"])


@pytest.fixture
async def table(read_side: ReadSide) -> Table:
    """A projected log, as the auditor counts it."""
    await read_side.log.append_traffic(Traffic(1), 300)
    await read_side.run_to_the_end("delivery")
    return audit.delivery_of(await audit.logged(read_side))


def counts(row: dict[str, Any]) -> dict[str, int]:
    return {name: row[name] for name in audit.COUNTS}


def told(key: tuple[Any, ...], name: str) -> Any:
    """What a report in UTC says of a key of the auditor's."""
    match name:
        case "hour":
            return f"{key[0][:13]}:00:00Z"
        case "day":
            return key[0][:10]
        case _:
            return key[audit.PLACES.get(name, audit.PLACES.get(f"{name}_id", -1))]


def grouped(table: Table, *names: str) -> Table:
    groups: Table = {}
    for key, row in table.items():
        groups.setdefault((*(told(key, name) for name in names), key[-1]), Counter()).update(row)
    return groups


@pytest.mark.parametrize(
    "by",
    [
        (),
        ("hour",),
        ("publisher", "country"),
        ("bidder", "deal"),
        ("site", "device_type", "placement"),
        ("advertiser", "campaign", "ad"),
        ("size", "day"),
    ],
)
async def test_rows_by_any_dimensions(read_side: ReadSide, table: Table, by: tuple[str, ...]) -> None:
    """Each group has the counts, the money and the rates that follow from the log, split by currency."""
    report = await reported(read_side, by=by, lag=7)
    rows = msgspec.to_builtins(report)["rows"]
    by_key = {(*(row[name] for name in by), row["currency"]): row for row in rows}
    expected = grouped(table, *by)
    assert len(by_key) == len(rows)
    assert by_key.keys() == expected.keys()
    for key, row in by_key.items():
        group = expected[key]
        assert counts(row) == {name: group[name] for name in audit.COUNTS}
        assert Decimal(row["spend"]) * 10**9 == group["spend_nanos"]
        assert Decimal(row["revenue"]) * 10**9 == group["revenue_nanos"]
        assert Decimal(row["revenue"]) + Decimal(row["fee"]) == Decimal(row["spend"])
        assert row["ctr"] == (round(group["clicks"] / group["impressions"], 6) if group["impressions"] else None)
        assert row["win_rate"] == (round(group["wins"] / group["bids"], 6) if group["bids"] else None)
        assert row["fill_rate"] == (round(group["wins"] / group["imps"], 6) if group["imps"] else None)
        if group["impressions"]:
            exact = Decimal(group["spend_nanos"]) / group["impressions"] / 10**6
            assert abs(Decimal(row["ecpm"]) - exact) <= Decimal("0.0000005")
        assert not {"hour", "day", "campaign", "ad", "deal", "size"} - set(by) & row.keys()
    assert report.lag == 7


async def test_direct_campaigns_are_told_from_each_other(read_side: ReadSide, table: Table) -> None:
    """A campaign that pays for clicks owes nothing for impressions, and each one's bids and wins are its own."""
    rows = await rows_of(read_side, by=["campaign"], filters={"bidder": ["direct"], "currency": ["USD"]})
    assert [row["campaign"] for row in rows] == ["c-clicked", "c-shown"]
    for row in rows:
        mine = [each for key, each in table.items() if row["campaign"] in key and key[-1] == "USD"]
        assert row["bids"] == sum(each["bids"] for each in mine) > row["wins"] > row["impressions"] > 0
        assert Decimal(row["spend"]) * 10**9 == sum(each["spend_nanos"] for each in mine) > 0


async def test_robots_count_nowhere(read_side: ReadSide) -> None:
    """A page that a known robot fetched is in the log and in no report."""
    traffic = Traffic(3)
    [request, *_] = traffic.auction(test=False)
    assert isinstance(request, BidRequested)
    await read_side.log.append([msgspec.structs.replace(request, robot=True)])
    await read_side.log.append([request := traffic.auction(test=False)[0]])
    await read_side.run_to_the_end("delivery")
    totals = (await reported(read_side)).totals
    assert isinstance(request, BidRequested)
    assert (totals.requests, totals.imps) == (1, len(request.imps))


async def test_totals(read_side: ReadSide, table: Table) -> None:
    """Counts are over everything; money of several currencies stays apart, of one it stands beside the counts."""
    report = msgspec.to_builtins(await reported(read_side, by=["bidder"]))
    everything: Counter[str] = sum(table.values(), Counter())
    assert counts(report["totals"]) == {name: everything[name] for name in audit.COUNTS}
    assert "spend" not in report["totals"]
    by_currency = grouped(table)
    assert {each["currency"]: Decimal(each["spend"]) * 10**9 for each in report["totals"]["by_currency"]} == {
        currency: row["spend_nanos"] for (currency,), row in by_currency.items()
    }

    euros = msgspec.to_builtins(await reported(read_side, by=["site"], filters={"currency": ["EUR"]}))["totals"]
    assert Decimal(euros["fee"]) * 10**9 == by_currency["EUR",]["fee_nanos"]
    assert "by_currency" not in euros


async def test_ranges(read_side: ReadSide, table: Table) -> None:
    """The end of a range is not in it; quarters of an hour are the finest that there is."""
    rows = await rows_of(read_side, end=FROM + timedelta(hours=1), by=["hour"])
    assert {row["hour"] for row in rows} == {"2026-11-20T22:00:00Z"}
    rows = await rows_of(read_side, start=START, end=START + timedelta(minutes=15), by=["hour"])
    quarter = [row["bids"] for key, row in table.items() if key[0] == "2026-11-20T22:30"]
    assert sum(row["bids"] for row in rows) == sum(quarter) > 0


async def test_filters(read_side: ReadSide, table: Table) -> None:
    """Only what meets all of them; of several values of one, any."""
    report = await reported(
        read_side, filters={"bidder": ["b-fast", "direct"], "device_type": ["4"], "publisher": [""]}
    )
    matching = [
        row
        for key, row in table.items()
        if told(key, "bidder") in ("b-fast", "direct")
        and told(key, "device_type") == 4
        and told(key, "publisher") == ""
    ]
    assert report.totals.bids == sum(row["bids"] for row in matching) > 0
    hour = await reported(read_side, filters={"hour": ["2026-11-20T23:00:00"], "day": ["2026-11-20"]})
    assert hour.totals.bids == sum(row["bids"] for key, row in table.items() if key[0][:13] == "2026-11-20T23") > 0


async def test_nothing_was_delivered(read_side: ReadSide) -> None:
    """An empty report has no rows, zero counts and no rates."""
    report = msgspec.to_builtins(await reported(read_side, start=START))
    assert report["rows"] == ()
    assert counts(report["totals"]) == dict.fromkeys(audit.COUNTS, 0)
    assert report["totals"]["ctr"] is None
    assert report["totals"]["by_currency"] == ()


@pytest.mark.parametrize(
    ("wrong", "name"),
    [
        ({"by": ["weather"]}, "by"),
        ({"filters": {"weather": ["fine"]}}, "weather"),
        ({"filters": {"device_type": ["phone"]}}, "device_type"),
        ({"filters": {"hour": ["noon"]}}, "hour"),
        ({"end": FROM}, "to"),
    ],
)
async def test_reports_that_make_no_sense(read_side: ReadSide, wrong: dict[str, Any], name: str) -> None:
    """They are refused with the name of what is wrong."""
    with pytest.raises(InvalidInput, match=f"^{name}:"):
        await reported(read_side, **wrong)


async def test_a_report_is_bounded(read_side: ReadSide, monkeypatch: pytest.MonkeyPatch) -> None:
    """More rows than the bound are refused instead of filling the memory."""
    monkeypatch.setattr(query, "ROWS_MAX", 3)
    await read_side.log.append_traffic(Traffic(2), 20)
    await read_side.run_to_the_end("delivery")
    with pytest.raises(InvalidInput, match="more than 3 rows"):
        await reported(read_side, by=["site", "publisher"])
