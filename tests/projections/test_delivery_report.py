"""The delivery report against figures counted from the log without it."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

import msgspec
import pytest

from domain.errors import InvalidInput
from domain.events import AuctionAwarded, BidRequested, ClickRecorded, ImpressionRecorded
from domain.money import amount_text
from projections.queries import delivery as query
from projections.queries.delivery import DeliveryReport, delivery_report
from projections.queries.delivery_groups import Question
from tests.projections import audit
from tests.projections.conftest import ReadSide
from tests.projections.traffic import START, Traffic
from tests.recount import recount

FROM = datetime(2026, 11, 20, 22, tzinfo=UTC)
TO = datetime(2026, 11, 22, tzinfo=UTC)
TOLERANCE = 5 * 0.0082
"""Of an estimate: five times the standard error that is promised."""
GROUPINGS = (
    (),
    ("hour",),
    ("publisher", "country"),
    ("bidder", "deal"),
    ("site", "device_type", "placement"),
    ("advertiser", "campaign", "ad"),
    ("size", "day"),
)

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


async def test_rows_by_any_dimensions(read_side: ReadSide, table: Table) -> None:
    """Each group has the counts, the money and the rates that follow from the log, split by currency."""
    for by in GROUPINGS:
        report = await reported(read_side, by=by, lag=7)
        rows = msgspec.to_builtins(report)["rows"]
        by_key = {(*(row[name] for name in by), row["currency"]): row for row in rows}
        expected = grouped(table, *by)
        assert len(by_key) == len(rows)
        assert by_key.keys() == expected.keys()
        for key, row in by_key.items():
            assert_follows(row, expected[key])
            assert not ({"hour", "day", "campaign", "ad", "deal", "size"} - set(by)) & row.keys()
        assert report.lag == 7


def assert_follows(row: dict[str, Any], group: Counter[str]) -> None:
    """The row says what the auditor's sums say."""
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


async def test_reach(read_side: ReadSide, table: Table) -> None:
    """How many different people saw what: of an hour, of a campaign, of all; who comes back is one person."""
    assert table, "traffic was projected"
    people = audit.people_of(await audit.logged(read_side))
    for by in ((), ("hour",), ("campaign", "site")):
        expected: dict[tuple[Any, ...], set[str]] = {}
        for key, persons in people.items():
            expected.setdefault((*(told(key, name) for name in by), key[-1]), set()).update(persons)
        rows = await rows_of(read_side, by=by)
        assert {key: len(persons) for key, persons in expected.items()} == {
            (*(row[name] for name in by), row["currency"]): approximately(row["reach"]) for row in rows if row["reach"]
        }
    totals = (await reported(read_side, by=["hour"])).totals
    everybody = set().union(*people.values())
    assert approximately(totals.reach) == len(everybody) < sum(len(persons) for persons in people.values())


def approximately(reach: int) -> Any:
    return pytest.approx(reach, rel=TOLERANCE, abs=1)


async def test_engagements_under_their_auctions(read_side: ReadSide, table: Table) -> None:
    """Attributed to the auction, an impression counts in the hour of its award, where the win is counted too."""
    rows = await rows_of(read_side, by=["hour"], attributed="auction", filters={"currency": ["USD"]})
    hours: dict[str, Counter[str]] = {}
    for key, sums in table.items():
        if key[-1] == "USD":
            hours.setdefault(f"{key[1][:13]}:00:00Z", Counter()).update(sums)
    assert {row["hour"]: counts(row) for row in rows} == {
        hour: {name: sums[name] for name in audit.COUNTS} for hour, sums in hours.items()
    }
    by_event = await rows_of(read_side, by=["hour"], filters={"currency": ["USD"]})
    assert [row["wins"] for row in by_event][:3] == [row["wins"] for row in rows][:3]
    assert [row["impressions"] for row in by_event][:3] != [row["impressions"] for row in rows][:3]


async def test_hours_and_days_of_a_zone(read_side: ReadSide, table: Table) -> None:
    """Hours begin where the zone's clocks say so, also where that is a quarter or half past; days at its midnight."""
    for name in ("Europe/Berlin", "Asia/Kolkata", "Asia/Kathmandu", "America/St_Johns"):
        zone = ZoneInfo(name)
        expected: Counter[tuple[str, str]] = Counter()
        for key, sums in table.items():
            local = datetime.fromisoformat(f"{key[0]}:00+00:00").astimezone(zone)
            expected[local.date().isoformat(), local.replace(minute=0).isoformat()] += sums["bids"]
        rows = await rows_of(read_side, by=["day", "hour"], zone=zone)
        told_bids: Counter[tuple[str, str]] = Counter()
        for row in rows:
            told_bids[row["day"], row["hour"]] += row["bids"]
        assert +told_bids == +expected
        day = rows[-1]["day"]
        only = await reported(read_side, by=["day"], zone=zone, filters={"day": [day]})
        assert only.totals.bids == sum(count for (of, _), count in expected.items() if of == day)


async def test_the_database_knows_every_zone(read_side: ReadSide) -> None:
    """Whatever zone may be asked for, Postgres has its rules."""
    known = {name for (name,) in await read_side.fetch("SELECT name FROM pg_timezone_names")}
    assert {name for name in available_timezones() if name not in ("localtime", "Factory")} <= known


async def test_the_night_when_clocks_are_put_back(read_side: ReadSide) -> None:
    """The hour that comes twice has two rows, which their offsets tell apart, and the day has all of it."""
    night = datetime(2026, 10, 25, tzinfo=UTC)
    await read_side.log.append_traffic(Traffic(8, start=night, minutes=120), 60)
    await read_side.run_to_the_end("delivery")
    asked = {"start": night, "end": night + timedelta(hours=2), "zone": ZoneInfo("Europe/Berlin")}
    rows = await rows_of(read_side, by=["hour"], filters={"currency": ["USD"]}, **asked)
    assert [row["hour"] for row in rows] == ["2026-10-25T02:00:00+02:00", "2026-10-25T02:00:00+01:00"]
    assert all(row["requests"] for row in rows)
    [day] = await rows_of(read_side, by=["day"], filters={"currency": ["USD"]}, **asked)
    assert (day["day"], day["requests"]) == ("2026-10-25", sum(row["requests"] for row in rows))


async def test_top_lists(read_side: ReadSide, table: Table) -> None:
    """The first few of each currency, the highest first; the totals are still of all."""
    assert table, "traffic was projected"
    everything = await reported(read_side, by=["site", "bidder"])
    rows = list(msgspec.to_builtins(everything)["rows"])
    for order in ("spend", "ctr", "bids", "ecpm"):
        top = await reported(read_side, by=["site", "bidder"], top=3, order=order)
        for currency in ("EUR", "USD"):
            expected = sorted((measure(row, order) for row in rows if row["currency"] == currency), reverse=True)
            listed = [row for row in msgspec.to_builtins(top)["rows"] if row["currency"] == currency]
            assert [measure(row, order) for row in listed] == expected[:3]
            assert all(row in rows for row in listed)
            ordered = await rows_of(read_side, by=["site", "bidder"], order=order, filters={"currency": [currency]})
            assert [measure(row, order) for row in ordered] == expected
        assert top.totals == everything.totals


def measure(row: dict[str, Any], name: str) -> Decimal:
    """Null comes last."""
    return Decimal(-1) if row[name] is None else Decimal(str(row[name]))


async def test_a_voided_engagement_no_longer_counts(read_side: ReadSide) -> None:
    """It is taken back once, in the hour where it counted, whenever it is voided; no other one takes its place."""
    traffic = Traffic(6)
    award = next(
        each
        for each in iter(lambda: traffic.auction(test=False)[-1], None)
        if isinstance(each, AuctionAwarded) and each.direct is None
    )
    first, second = (traffic.engagement(ImpressionRecorded, award, "valid") for _ in range(2))
    click = traffic.engagement(ClickRecorded, award, "valid")
    void = traffic.void(first)
    totals = []
    async with read_side.running("delivery"):
        for batch in ([first, click], [void], [void, traffic.void(first), second, traffic.void(second)]):
            await read_side.log.append(batch)
            await read_side.caught_up("delivery")
            total = (await reported(read_side)).totals
            totals.append((total.impressions_gross, total.impressions, total.clicks, total.spend))
    spend = amount_text(award.clearing_price_micros)
    assert totals == [(1, 1, 1, spend), (1, 0, 1, "0.00"), (2, 0, 1, "0.00")]
    assert await read_side.fetch("SELECT FROM dead_letters") == []
    assert await audit.delivery_in(read_side) == audit.delivery_of(await audit.logged(read_side))


async def test_a_void_that_names_nothing_is_parked(read_side: ReadSide) -> None:
    """Whose figures it would take back cannot be known: it is kept for an operator, and changes nothing."""
    traffic = Traffic(6)
    award = next(
        each for each in iter(lambda: traffic.auction(test=False)[-1], None) if isinstance(each, AuctionAwarded)
    )
    void = traffic.void(traffic.engagement(ImpressionRecorded, award, "valid"))
    await read_side.log.append([msgspec.structs.replace(void, engagement=None)])
    await read_side.run_to_the_end("delivery")
    [letter] = await read_side.fetch("SELECT error FROM dead_letters")
    assert f"does not hold the engagement {void.engagement_id}" in letter["error"]


async def test_the_auditors_script_agrees(read_side: ReadSide, table: Table) -> None:
    """`tests/recount.py`, which reads the topics itself, finds the same figures by publisher, bidder and campaign."""
    assert table, "traffic was projected"
    counted = await recount(read_side.addresses.kafka_url.removeprefix("kafka://"), read_side.names.namespace)
    rows = await rows_of(read_side, by=["publisher", "bidder", "campaign", "hour"])
    sums: dict[tuple[str, ...], Counter[str]] = {}
    for row in rows:
        nanos = {unit: int(Decimal(row[unit]) * 10**9) for unit in ("spend", "revenue", "fee")}
        key = (row["publisher"], row["bidder"], row["campaign"], row["hour"][:13])
        sums.setdefault(key, Counter()).update(nanos | {kind: row[kind] for kind in ("impressions", "clicks")})
    assert {key: row for key, row in sums.items() if row.total()} == {
        key: row for key, row in counted["by publisher, bidder, campaign and hour"].items() if row.total()
    }
    assert counted["counts"]["engagement_voided"] > 0, "voids are part of the traffic"


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
