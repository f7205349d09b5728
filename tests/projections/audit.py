"""What the read models should hold, counted from the log's JSON with dictionaries and none of the product's rules."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import Any

import msgspec

from tests.projections.conftest import ReadSide

INVENTORY = ("publisher_id", "placement_id", "site", "country")
BUYER = ("bidder_id", "deal_id", "advertiser_id", "campaign_id", "ad_id", "size")
DIMENSIONS = (*INVENTORY, "device_type", *BUYER, "currency")
PLACES = {name: place for place, name in enumerate(("quarter", "auction_quarter", *DIMENSIONS))}
"""Where in a key of `delivery_of` each is; quarters of an hour as in `2026-11-20T22:45`."""
COUNTS = ("requests", "imps", "bids", "wins", "impressions_gross", "impressions", "clicks_gross", "clicks")
SUMS = (*COUNTS, "spend_nanos", "revenue_nanos", "fee_nanos")


async def logged(read_side: ReadSide) -> list[dict[str, Any]]:
    """Every event of auctions and engagements, as JSON."""
    names = read_side.names
    payloads = await read_side.log.payloads(names.auctions) + await read_side.log.payloads(names.engagements)
    return [msgspec.json.decode(payload) for payload in payloads]


def delivery_of(events: Iterable[dict[str, Any]]) -> dict[tuple[Any, ...], Counter[str]]:
    """Quarter and dimensions to what `delivery` should say of them."""
    table: dict[tuple[Any, ...], Counter[str]] = defaultdict(Counter)
    counted, voided = judged(events)
    seen: set[str] = set()
    for event in events:
        if event.get("test"):
            continue
        match event["type"]:
            case "bid_requested" if not event.get("robot"):
                table[_key(event, event["imps"][0]["inventory"])]["requests"] += 1
                for imp in event["imps"]:
                    table[_key(event, imp["inventory"])]["imps"] += 1
            case "bid_placed":
                table[_key(event, event["inventory"])]["bids"] += 1
            case "auction_awarded":
                table[_key(event, event["inventory"])]["wins"] += 1
            case "impression_recorded" | "click_recorded" as kind if event["id"] not in seen:
                seen.add(event["id"])
                row = table[_key(event, event["inventory"])]
                name = "impressions" if kind == "impression_recorded" else "clicks"
                row[f"{name}_gross"] += 1
                if event["id"] in counted and event["id"] not in voided:
                    row[name] += 1
                    if event.get("charged", True) and kind == f"{event.get('charged_on', 'impression')}_recorded":
                        row["spend_nanos"] += event["clearing_price_micros"]
                        row["revenue_nanos"] += event["revenue_micros"]
                        row["fee_nanos"] += event["fee_micros"]
    return dict(table)


def people_of(events: Iterable[dict[str, Any]]) -> dict[tuple[Any, ...], set[str]]:
    """Quarter and dimensions to the persons of the impressions that counted, voided ones too."""
    table: dict[tuple[Any, ...], set[str]] = defaultdict(set)
    counted, _ = judged(events)
    for event in events:
        if event["id"] in counted and event["type"] == "impression_recorded" and event.get("person"):
            table[_key(event, event["inventory"])].add(event["person"])
    return dict(table)


def judged(events: Iterable[dict[str, Any]]) -> tuple[set[str], set[str]]:
    """Ids of the engagements that count, each the first valid one of its kind, and of those that were voided."""
    first: dict[tuple[str, str, str], str] = {}
    voided: set[str] = set()
    for event in events:
        if event["type"] == "engagement_voided":
            voided.add(event["engagement_id"])
        elif event.get("verdict") == "valid" and not event.get("test"):
            first.setdefault((event["auction_id"], event["imp_id"], event["type"]), event["id"])
    return set(first.values()), voided


def _key(event: dict[str, Any], inventory: dict[str, Any]) -> tuple[Any, ...]:
    words = (inventory.get(name, "") for name in INVENTORY)
    if event["type"] == "bid_placed" and event.get("width"):
        event = event | {"size": f"{event['width']}x{event['height']}"}
    buyer = event | event.get("direct", {})
    own, auction = _quarter(event["at"]), _quarter(event.get("awarded_at", event["at"]))
    buyers = (buyer.get(name) or "" for name in BUYER)
    return (own, auction, *words, inventory.get("device_type", 0), *buyers, event["currency"])


def _quarter(at: str) -> str:
    return f"{at[:13]}:{int(at[14:16]) // 15 * 15:02}"


async def delivery_in(read_side: ReadSide) -> dict[tuple[Any, ...], Counter[str]]:
    """What `delivery` does say, in the same form."""
    rows = await read_side.fetch("SELECT * FROM delivery JOIN delivery_lines USING (line)")
    return {
        (
            *(row[name].strftime("%Y-%m-%dT%H:%M") for name in ("quarter", "auction_quarter")),
            *(row[name] for name in DIMENSIONS),
        ): Counter({name: count for name in SUMS if (count := int(row[name]))})
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
    assert {row["id"]: (row["kind"], row["verdict"]) for row in engagements} == {
        each["id"]: (each["type"].removesuffix("_recorded"), each["verdict"])
        for each in by_id.values()
        if each["type"] in ("impression_recorded", "click_recorded")
    } | {each["id"]: (each["kind"], "voided") for each in by_id.values() if each["type"] == "engagement_voided"}
