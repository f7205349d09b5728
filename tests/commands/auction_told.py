"""An auction's events as somebody would tell them who looks at nothing else: prices in decimals, bidders by name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from domain.events import ImpressionRecorded
from domain.money import cpm_text
from domain.notices import Notice

SEEN_AT = "2026-01-01T00:00:00Z"
"""1767225600000 as ${AUCTION_IMP_TS}."""
Event = dict[str, Any]


def told(events: list[Event], bidder_names: Mapping[str, str]) -> dict[str, Any]:
    """What the events say, under the words that a scenario's `expected` uses; `bidder_names` is by id."""
    awards = {each["imp_id"]: each for each in events if each["type"] == "auction_awarded"}
    floors = {imp["imp_id"]: imp["floor_micros"] for imp in events[0]["imps"]}
    outcomes: dict[str, dict[str, Any]] = {}
    for event in events:
        if event["type"] in {"bid_placed", "bid_refused"}:
            outcome = _outcome(event, awards.get(event["imp_id"]), floors[event["imp_id"]])
            outcomes.setdefault(event["imp_id"], {})[bidder_names[event["bidder_id"]]] = outcome
    return {
        "requested": events[0],
        "imps": {imp["imp_id"]: _imp(imp) for imp in events[0]["imps"]},
        "outcomes": outcomes,
        "awards": {imp_id: _award(event, bidder_names) for imp_id, event in awards.items()},
        "unsold": {
            event["imp_id"]: {"reason": event["reason"], "withdrawn": _names(event.get("withdrawn"), bidder_names)}
            for event in events
            if event["type"] == "auction_unsold"
        },
        "late": {
            bidder_names[event["bidder_id"]]: event for event in events if event["type"] == "bidder_answered_late"
        },
    }


def notices_told(notices: Iterable[Notice], bidder_names: Mapping[str, str]) -> dict[str, list[str]]:
    """What each bidder hears, as kind and address, in alphabetical order: notices have no other one."""
    heard: dict[str, list[str]] = {}
    for notice in notices:
        heard.setdefault(bidder_names[notice.bidder_id], []).append(f"{notice.key.kind} {notice.url}")
    return {name: sorted(each) for name, each in heard.items()}


def impression(events: list[Event], imp_id: str) -> Event:
    """The event of a valid impression of the imp's winner, at SEEN_AT."""
    [award] = [each for each in events if each["type"] == "auction_awarded" and each["imp_id"] == imp_id]
    counted = {name: award[name] for name in ImpressionRecorded.__struct_fields__ if name in award}
    viewer = {"ip": "192.0.2.0", "user_agent": "Browser"}
    seen = {"verdict": "valid", "awarded_at": award["at"], "at": SEEN_AT, "viewer": viewer}
    return {"type": "impression_recorded", **counted, **seen}


def _imp(imp: dict[str, Any]) -> dict[str, Any]:
    """What was on sale."""
    return {
        "floor": cpm_text(imp["floor_micros"]),
        "stated_floor": _stated(imp.get("stated_floor")),
        "media_types": imp.get("media_types"),
        "inventory": imp["inventory"],
        "share_bps": imp.get("share_bps"),
        "is_private": imp.get("is_private", False),
        "deals": {
            deal["deal_id"]: {
                "floor": _cpm(deal.get("floor_micros", 0)),
                "stated_floor": _stated(deal.get("stated_floor")),
                "at": deal.get("at"),
                "is_registered": deal.get("is_registered", False),
            }
            for deal in imp.get("deals", [])
        },
    }


def _outcome(event: Event, award: Event | None, imp_floor_micros: int) -> dict[str, Any]:
    """What became of one bidder for one imp; a placed bid that names no floor of its own had the imp's."""
    if event["type"] == "bid_refused":
        status = event["outcome"]
    else:
        status = "won" if award is not None and award["bidder_id"] == event["bidder_id"] else "lost"
    return {
        "status": status,
        "code": event.get("code"),
        "reason": event.get("reason"),
        "bid_id": event.get("bid_id"),
        "seat": event.get("seat", ""),
        "price": _cpm(event.get("price_micros")),
        "currency": event.get("currency"),
        "stated": _stated(event.get("stated")),
        "floor": cpm_text(event.get("floor_micros", imp_floor_micros)),
        "deal_id": event.get("deal_id"),
        "group": event.get("group"),
        "media_type": event.get("media_type"),
        "size": [event["width"], event["height"]] if "width" in event and "height" in event else None,
        "notices": event.get("notices"),
        "was_called": "latency_ms" in event,
        "others": [[each["bid_id"], each["code"]] for each in event.get("other_bids", [])],
        "why_others": [each["reason"] for each in event.get("other_bids", [])],
        "direct": event.get("direct"),
    }


def _award(event: Event, bidder_names: Mapping[str, str]) -> dict[str, Any]:
    return {
        "bidder": bidder_names[event["bidder_id"]],
        "bid_id": event["bid_id"],
        "seat": event.get("seat", ""),
        "price": cpm_text(event["price_micros"]),
        "clearing_price": cpm_text(event["clearing_price_micros"]),
        "min_to_win": _cpm(event.get("min_to_win_micros")),
        "revenue": cpm_text(event["revenue_micros"]),
        "fee": cpm_text(event["fee_micros"]),
        "currency": event["currency"],
        "auction_type": event["auction_type"],
        "deal_id": event.get("deal_id"),
        "ranking": _names(event["ranking"], bidder_names),
        "withdrawn": _names(event.get("withdrawn"), bidder_names),
        "ranked_by": event["ranked_by"],
        "direct": event.get("direct"),
        "lives_seconds": _lifetime(event),
    }


def _lifetime(event: Event) -> int | None:
    """Whole seconds from the award to the end of what it reserved."""
    if "expires_at" not in event:
        return None
    lives = datetime.fromisoformat(event["expires_at"]) - datetime.fromisoformat(event["at"]).replace(microsecond=0)
    return int(lives.total_seconds())


def _names(ids: list[str] | None, bidder_names: Mapping[str, str]) -> list[str]:
    return [bidder_names[bidder_id] for bidder_id in ids or []]


def _stated(stated: dict[str, Any] | None) -> dict[str, Any] | None:
    if stated is None:
        return None
    return {"rate": "1", "adjustment_bps": 10_000, **stated, "price": cpm_text(stated["price_micros"])}


def _cpm(micros: int | None) -> str | None:
    return None if micros is None else cpm_text(micros)
