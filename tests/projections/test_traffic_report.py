"""The report of traffic against figures counted from the log without it, and beside the report of delivery."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from domain.errors import InvalidInput
from domain.event_parts import InvalidTraffic, Verdict
from domain.events import AuctionAwarded, ClickRecorded, Engagement, EngagementVoided, Event, ImpressionRecorded
from projections.queries.delivery import delivery_report
from projections.queries.delivery_groups import Question
from projections.queries.traffic import traffic_report
from tests.projections.conftest import ReadSide
from tests.projections.traffic import Traffic

FROM = datetime(2026, 11, 20, 22, tzinfo=UTC)
TO = datetime(2026, 11, 22, tzinfo=UTC)
HOUR = timedelta(hours=1)


def sold(traffic: Traffic) -> AuctionAwarded:
    """An award that is not a test."""
    while True:
        for event in traffic.auction(test=False):
            if isinstance(event, AuctionAwarded):
                return event


def hit(
    traffic: Traffic, award: AuctionAwarded, verdict: Verdict, ivt: InvalidTraffic | None = None, **changes: Any
) -> Engagement:
    kind = changes.pop("of", ImpressionRecorded)
    return msgspec.structs.replace(traffic.engagement(kind, award, verdict), at=FROM, ivt=ivt, **changes)


async def told(read_side: ReadSide, **asked: Any) -> dict[str, Any]:
    report = await traffic_report(read_side.db, **{"start": FROM, "end": TO, **asked})
    told: dict[str, Any] = msgspec.to_builtins(report)
    return told


def counts(**given: int) -> dict[str, Any]:
    """A row's counts: those that are not given are 0."""
    names = ("gross", "valid", "duplicate", "expired", "voided", "invalid", "robot", "not_a_browser", "data_centre")
    more = ("device_mismatch", "rate_ip", "rate_ad", "unspecified")
    return {name: given.get(name, 0) for name in (*names, *more)}


async def test_every_hit_under_its_reason(read_side: ReadSide) -> None:
    """Each reason has its figure, tests none; a second valid hit is a duplicate, and a voided one no longer valid."""
    traffic = Traffic(1)
    award, other = sold(traffic), sold(traffic)
    first, refunded = hit(traffic, award, "valid"), hit(traffic, other, "valid")
    logged: list[Event] = [
        first,
        first,
        hit(traffic, award, "valid"),
        hit(traffic, award, "duplicate"),
        hit(traffic, award, "expired"),
        hit(traffic, award, "bot", "robot"),
        hit(traffic, award, "bot", "robot"),
        hit(traffic, award, "bot", "not_a_browser"),
        hit(traffic, award, "bot", "data_centre"),
        hit(traffic, award, "bot", "device_mismatch"),
        hit(traffic, award, "rate_limited", "rate_ip"),
        hit(traffic, award, "rate_limited", "rate_ad"),
        hit(traffic, award, "bot"),
        hit(traffic, award, "test", test=True),
        refunded,
        traffic.void(refunded),
        traffic.void(refunded),
        hit(traffic, award, "valid", of=ClickRecorded),
    ]
    await read_side.log.append(logged)
    await read_side.run_to_the_end("traffic")
    report = await told(read_side)
    impressions, click = sorted(report["rows"], key=lambda row: row["kind"], reverse=True)
    invalid = {"robot": 2, "not_a_browser": 1, "data_centre": 1, "device_mismatch": 1, "rate_ip": 1, "rate_ad": 1}
    expected = counts(gross=13, valid=1, duplicate=2, expired=1, voided=1, invalid=8, unspecified=1, **invalid) | {
        "invalid_rate": 0.615385
    }
    assert impressions == {"kind": "impression", **expected}
    assert report["totals"]["impression"] == expected
    assert click == {"kind": "click", **counts(gross=1, valid=1), "invalid_rate": 0.0}


async def test_it_agrees_with_the_log_and_with_delivery(read_side: ReadSide) -> None:
    """By hour and publisher, gross and net are what a plain count of the log gives, and what delivery says."""
    traffic = Traffic(7)
    made: list[Event] = []
    for _ in range(300):
        story = traffic.auction()
        made += [*story, *traffic.engagements(story)]
    await read_side.log.append(made)
    await read_side.run_to_the_end("traffic", "delivery")
    gross, net = Counter[tuple[str, str, str]](), Counter[tuple[str, str, str]]()
    counted, seen = dict[tuple[str, str, type], tuple[str, tuple[str, str, str]]](), set[str]()
    for event in made:
        if isinstance(event, Engagement) and not event.test and event.id not in seen:
            seen.add(event.id)
            kind = "click" if isinstance(event, ClickRecorded) else "impression"
            key = (f"{event.at:%Y-%m-%dT%H:00:00Z}", event.inventory.publisher_id, kind)
            gross[key] += 1
            slot = (event.auction_id, event.imp_id, type(event))
            if event.verdict == "valid" and slot not in counted:
                counted[slot] = (event.id, key)
                net[key] += 1
    voided = {event.engagement_id for event in made if isinstance(event, EngagementVoided)}
    for engagement_id, key in counted.values():
        net[key] -= engagement_id in voided
    report = await told(read_side, by=["hour", "publisher"])
    rows = {(row["hour"], row["publisher"], row["kind"]): row for row in report["rows"]}
    assert {key: row["gross"] for key, row in rows.items()} == gross
    assert {key: row["valid"] for key, row in rows.items() if row["valid"]} == +net
    delivered = (await delivery_report(read_side.db, Question(start=FROM, end=TO))).totals
    totals = report["totals"]
    assert (totals["impression"]["gross"], totals["impression"]["valid"]) == (
        delivered.impressions_gross,
        delivered.impressions,
    )
    assert (totals["click"]["gross"], totals["click"]["valid"]) == (delivered.clicks_gross, delivered.clicks)


async def test_what_is_asked_for(read_side: ReadSide) -> None:
    """Filters and days narrow the rows; what is no dimension, and an empty range, is refused by name."""
    traffic = Traffic(3)
    award = sold(traffic)
    inventory = msgspec.structs.replace(award.inventory, publisher_id="p-1", placement_id="q-1")
    hits = [hit(traffic, award, "bot", "robot", inventory=inventory), hit(traffic, award, "valid")]
    await read_side.log.append(hits)
    await read_side.run_to_the_end("traffic")
    asked = {"by": ["day", "placement"], "filters": {"publisher": ["p-1", "p-2"]}}
    [row] = (await told(read_side, **asked))["rows"]
    assert (row["day"], row["placement"], row["robot"]) == ("2026-11-20", "q-1", 1)
    assert not (await told(read_side, start=FROM + HOUR, end=FROM + 2 * HOUR))["rows"]
    for bad in ({"by": ["country"]}, {"filters": {"ivt": ["robot"]}}, {"end": FROM}):
        with pytest.raises(InvalidInput):
            await told(read_side, **bad)
