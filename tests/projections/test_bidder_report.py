"""The bidders' report against figures counted from the log without it."""

from __future__ import annotations

from collections import Counter, defaultdict
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from domain.errors import InvalidInput
from domain.event_parts import Inventory
from domain.events import BidderAnsweredLate, BidPlaced, BidRefused
from gavel.process_clock import fresh_id
from projections.queries.bidder_health import bidder_report
from tests.projections import audit
from tests.projections.conftest import ReadSide
from tests.projections.traffic import Traffic

FROM = datetime(2026, 11, 20, 22, tzinfo=UTC)
TO = datetime(2026, 11, 22, tzinfo=UTC)


def head(**fields: Any) -> dict[str, Any]:
    auction_id = fresh_id()
    common = {"id": fresh_id(), "at": FROM, "correlation_id": auction_id, "causation_id": auction_id}
    return {**common, "auction_id": auction_id, "bidder_id": "b", **fields}


def refused(outcome: str, code: int, latency_ms: float | None = None, **fields: Any) -> BidRefused:
    more = {"outcome": outcome, "code": code, "latency_ms": latency_ms, "imp_id": "1", "reason": "", **fields}
    return BidRefused(**head(**more))


def placed(latency_ms: float, **fields: Any) -> BidPlaced:
    more = {"imp_id": "1", "bid_id": "x", "price_micros": 1, "currency": "USD", "latency_ms": latency_ms, **fields}
    return BidPlaced(inventory=Inventory(), **head(**more))


async def told(read_side: ReadSide, **asked: Any) -> list[dict[str, Any]]:
    given = {"start": FROM, "end": TO, "by_hour": False, "bidder": None, **asked}
    rows: list[dict[str, Any]] = msgspec.to_builtins((await bidder_report(read_side.db, **given)).rows)
    return rows


async def test_what_is_told_of_one_bidder(read_side: ReadSide) -> None:
    """Outcomes, reasons in words, rates and the histogram, with tests and robots left out."""
    late = {"latency_ms": 400.0, "http_status": 200}
    await read_side.log.append(
        [
            placed(4.9),
            placed(5.0),
            placed(5.1),
            placed(90, test=True),
            refused("refused", 100, 30.0),
            refused("no_bid", 8, 12.0),
            refused("no_bid", 70_000, 12.0),
            refused("no_bid", -3, 12.0),
            refused("timeout", 101, 235.0),
            refused("error", 103, 1_000.1),
            refused("skipped", 203, 235.0),
            refused("skipped", 3),
            refused("error", 103, 9.0, test=True),
            BidderAnsweredLate(**head(**late)),
            BidderAnsweredLate(**head(**late, test=True)),
        ]
    )
    await read_side.run_to_the_end("bidder_health")
    [row] = await told(read_side)
    latency, reasons = row.pop("latency"), row.pop("reasons")
    assert row == {
        "bidder": "b",
        "name": None,
        "considered": 10,
        "asked": 9,
        "placed": 3,
        "refused": 1,
        "no_bid": 3,
        "timeout": 1,
        "error": 1,
        "skipped": 1,
        "won": 0,
        "late": 1,
        "bid_rate": round(3 / 9, 6),
        "win_rate": 0.0,
        "failure_rate": round(2 / 9, 6),
    }
    assert [(each["outcome"], each["code"], each["imps"]) for each in reasons] == [
        ("no_bid", 500, 2),
        ("error", 103, 1),
        ("no_bid", 8, 1),
        ("refused", 100, 1),
        ("skipped", 203, 1),
        ("timeout", 101, 1),
    ]
    sentences = {each["code"]: each["sentence"] for each in reasons}
    assert sentences[100] == "The bid was below the auction's floor"
    assert sentences[8] == "Unmatched user"
    assert {bar["ms"]: bar["imps"] for bar in latency["histogram"] if bar["imps"]} == {
        5: 2,
        10: 1,
        20: 3,
        50: 1,
        300: 1,
        None: 1,
    }
    assert (latency["p50_ms"], latency["p95_ms"], latency["p99_ms"]) == (20, None, None)


async def test_every_bidder_and_hour(read_side: ReadSide) -> None:
    """Of mixed traffic, each bidder's counts in each hour are what an auditor counts; names come from the catalogue."""
    traffic = Traffic(4)
    await read_side.log.append([traffic.bidder("b-fast", "Fast")])
    await read_side.log.append_traffic(traffic, 300)
    await read_side.run_to_the_end("bidder_health", "catalogue")
    expected: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for event in await audit.logged(read_side):
        kind = {"bid_placed": "placed", "auction_awarded": "won"}.get(event["type"], event.get("outcome"))
        if kind is not None and not event.get("test"):
            expected[event["at"][:13], event["bidder_id"]][kind] += 1
    rows = await told(read_side, by_hour=True)
    kinds = ("placed", "won", "no_bid", "timeout", "error", "refused", "skipped")
    assert {(row["hour"][:13], row["bidder"]): Counter({kind: row[kind] for kind in kinds}) for row in rows} == expected
    assert {row["name"] for row in rows if row["bidder"] == "b-fast"} == {"Fast"}
    [one] = await told(read_side, bidder="b-fast")
    assert one["placed"] == sum(row["placed"] for row in rows if row["bidder"] == "b-fast") > 0
    assert sum(bar["imps"] for bar in one["latency"]["histogram"]) == one["asked"]


async def test_a_range_that_holds_nothing(read_side: ReadSide) -> None:
    """No rows; a range that ends before it begins is refused."""
    assert not await told(read_side)
    with pytest.raises(InvalidInput, match=r"^to:"):
        await told(read_side, start=TO, end=FROM)
