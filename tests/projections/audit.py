"""What the read models should hold, counted from the log's JSON with dictionaries and none of the product's rules."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import Any

import msgspec

from tests.projections.conftest import ReadSide

DIMENSIONS = ("publisher_id", "placement_id", "site", "country")
COUNTS = ("requests", "imps", "bids", "wins", "impressions_gross", "impressions", "clicks_gross", "clicks")
SUMS = (*COUNTS, "spend_nanos", "revenue_nanos", "fee_nanos")


async def logged(read_side: ReadSide) -> list[dict[str, Any]]:
    """Every event of auctions and engagements, as JSON."""
    names = read_side.names
    payloads = await read_side.log.payloads(names.auctions) + await read_side.log.payloads(names.engagements)
    return [msgspec.json.decode(payload) for payload in payloads]


def delivery_of(events: Iterable[dict[str, Any]]) -> dict[tuple[Any, ...], Counter[str]]:
    """Hour and dimensions to what `delivery` should say of them."""
    table: dict[tuple[Any, ...], Counter[str]] = defaultdict(Counter)
    seen: set[str] = set()
    counted: set[tuple[str, str, str]] = set()
    for event in events:
        if event.get("test"):
            continue
        match event["type"]:
            case "bid_requested" if not event.get("robot"):
                table[_key(event, event["imps"][0]["inventory"], "")]["requests"] += 1
                for imp in event["imps"]:
                    table[_key(event, imp["inventory"], "")]["imps"] += 1
            case "bid_placed":
                table[_key(event, event["inventory"], event["bidder_id"])]["bids"] += 1
            case "auction_awarded":
                table[_key(event, event["inventory"], event["bidder_id"])]["wins"] += 1
            case "impression_recorded" | "click_recorded" as kind if event["id"] not in seen:
                seen.add(event["id"])
                row = table[_key(event, event["inventory"], event["bidder_id"])]
                name = "impressions" if kind == "impression_recorded" else "clicks"
                row[f"{name}_gross"] += 1
                engagement = (event["auction_id"], event["imp_id"], kind)
                if event["verdict"] == "valid" and engagement not in counted:
                    counted.add(engagement)
                    row[name] += 1
                    if name == "impressions":
                        row["spend_nanos"] += event["clearing_price_micros"]
                        row["revenue_nanos"] += event["revenue_micros"]
                        row["fee_nanos"] += event["fee_micros"]
    return dict(table)


def _key(event: dict[str, Any], inventory: dict[str, Any], bidder_id: str) -> tuple[Any, ...]:
    words = (inventory.get(name, "") for name in DIMENSIONS)
    return (event["at"][:13], *words, inventory.get("device_type", 0), bidder_id, event["currency"])


async def delivery_in(read_side: ReadSide) -> dict[tuple[Any, ...], Counter[str]]:
    """What `delivery` does say, in the same form."""
    rows = await read_side.fetch("SELECT * FROM delivery")
    keys = (*DIMENSIONS, "device_type", "bidder_id", "currency")
    return {
        (row["hour"].strftime("%Y-%m-%dT%H"), *(row[key] for key in keys)): +Counter(
            {name: int(row[name]) for name in SUMS}
        )
        for row in rows
    }


async def check(read_side: ReadSide) -> None:
    """Both read models hold exactly what was logged, and nothing was parked."""
    events = await logged(read_side)
    assert await delivery_in(read_side) == delivery_of(events)
    await check_auction_log(read_side, events)
    assert await read_side.fetch("SELECT * FROM dead_letters") == []


async def check_auction_log(read_side: ReadSide, events: Iterable[dict[str, Any]]) -> None:
    """Each event has its row, with what it says, and there is no other row."""
    by_id = {event["id"]: event for event in events}
    requests = {event["auction_id"]: event for event in by_id.values() if event["type"] == "bid_requested"}
    auctions = await read_side.fetch("SELECT auction_id::text AS id, request, test FROM auctions")
    assert {row["id"]: (msgspec.json.decode(row["request"]), row["test"]) for row in auctions} == {
        auction_id: (event["request"], event.get("test", False)) for auction_id, event in requests.items()
    }
    outcomes = await read_side.fetch(
        "SELECT event_id::text AS id, imp_id, bidder_id, outcome, price_micros, latency_ms FROM auction_outcomes"
    )
    assert {row["id"]: tuple(row.values())[1:] for row in outcomes} == {
        each["id"]: (
            each["imp_id"],
            each["bidder_id"],
            each.get("outcome", "placed"),
            each.get("price_micros"),
            each["latency_ms"],
        )
        for each in by_id.values()
        if each["type"] in ("bid_placed", "bid_refused")
    }
    awards = await read_side.fetch(
        "SELECT event_id::text AS id, sold, clearing_price_micros, ranking, held_ms FROM auction_awards"
    )
    assert {row["id"]: tuple(row.values())[1:] for row in awards} == {
        each["id"]: (
            each["type"] == "auction_awarded",
            each.get("clearing_price_micros"),
            each.get("ranking"),
            each["held_ms"],
        )
        for each in by_id.values()
        if each["type"] in ("auction_awarded", "auction_unsold")
    }
    engagements = await read_side.fetch("SELECT event_id::text AS id, kind, verdict FROM auction_engagements")
    assert {row["id"]: (f"{row['kind']}_recorded", row["verdict"]) for row in engagements} == {
        each["id"]: (each["type"], each["verdict"])
        for each in by_id.values()
        if each["type"] in ("impression_recorded", "click_recorded")
    }
