"""Events about campaigns for the tests of budgets, and what the log says of a campaign, added up in plain numbers."""

from __future__ import annotations

import secrets
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec

from domain.event_parts import DirectDemand, EngagementKind, Inventory
from domain.events import AuctionAwarded, ClickRecorded, EngagementVoided, ImpressionRecorded
from tests.projections.traffic import Log


def fresh_id() -> str:
    """A UUIDv7 of now."""
    milliseconds = int(datetime.now(UTC).timestamp() * 1000)
    return str(UUID(int=milliseconds << 80 | 7 << 76 | 2 << 62 | secrets.randbits(62)))


def award(
    nanos: int,
    *,
    campaign: str = "c-1",
    at: datetime | None = None,
    shown_s: float = 3_600,
    charged_on: EngagementKind = "impression",
    person: str = "",
    auction_id: str | None = None,
    test: bool = False,
) -> AuctionAwarded:
    """One that may be shown for so many seconds; its price in the auction's currency is another than the campaign's."""
    at, auction_id = at or datetime.now(UTC), auction_id or fresh_id()
    demand = DirectDemand(
        advertiser_id="adv-1",
        campaign_id=campaign,
        ad_id="ad-1",
        charged_on=charged_on,
        person=person,
        charge_nanos=nanos,
    )
    return AuctionAwarded(
        id=fresh_id(),
        at=at,
        correlation_id=auction_id,
        causation_id=auction_id,
        auction_id=auction_id,
        imp_id="1",
        bidder_id="direct",
        bid_id="bid",
        price_micros=nanos * 2,
        clearing_price_micros=nanos * 2,
        revenue_micros=nanos,
        fee_micros=nanos,
        currency="USD",
        auction_type=2,
        ranking=("direct",),
        ranked_by="redis",
        inventory=Inventory(),
        held_ms=1.0,
        direct=demand,
        expires_at=at + timedelta(seconds=shown_s),
        test=test,
    )


def met(
    kind: type[ImpressionRecorded | ClickRecorded], of: AuctionAwarded, **more: Any
) -> ImpressionRecorded | ClickRecorded:
    """An engagement with the awarded ad, valid unless said otherwise."""
    assert of.direct is not None
    told: dict[str, Any] = {
        "id": fresh_id(),
        "at": datetime.now(UTC),
        "correlation_id": of.auction_id,
        "causation_id": of.id,
        "auction_id": of.auction_id,
        "imp_id": of.imp_id,
        "bidder_id": of.bidder_id,
        "bid_id": of.bid_id,
        "verdict": "valid",
        "price_micros": of.price_micros,
        "clearing_price_micros": of.clearing_price_micros,
        "revenue_micros": of.revenue_micros,
        "fee_micros": of.fee_micros,
        "currency": of.currency,
        "inventory": of.inventory,
        "awarded_at": of.at,
        "campaign_id": of.direct.campaign_id,
        "charged_on": of.direct.charged_on,
        "charge_nanos": of.direct.charge_nanos,
    }
    return kind(**(told | more))


def void(of: ImpressionRecorded | ClickRecorded) -> EngagementVoided:
    return EngagementVoided(
        id=fresh_id(),
        at=datetime.now(UTC),
        correlation_id=of.auction_id,
        causation_id="command",
        auction_id=of.auction_id,
        imp_id=of.imp_id,
        engagement_id=of.id,
        kind="click" if isinstance(of, ClickRecorded) else "impression",
        reason="Refunded.",
        engagement=of,
    )


async def logged_spending(log: Log, engagements: str, campaign: str = "c-1") -> Counter[str]:
    """Nano-units spent, impressions and clicks of a campaign: the plain reading of what stands in the topic."""
    found: Counter[str] = Counter(spent=0, impressions=0, clicks=0)
    first: dict[tuple[str, str, str], dict[str, Any]] = {}
    voided = set()
    for payload in await log.payloads(engagements):
        event = msgspec.json.decode(payload)
        if event["type"] == "engagement_voided":
            voided.add(event["engagement_id"])
        elif event.get("campaign_id") == campaign and event["verdict"] == "valid":
            first.setdefault((event["auction_id"], event["imp_id"], event["type"]), event)
    for (_, _, event_type), event in first.items():
        if event["id"] not in voided:
            kind = event_type.removesuffix("_recorded")
            found[f"{kind}s"] += 1
            if event.get("charged_on", "impression") == kind and event.get("charged", True):
                found["spent"] += event["charge_nanos"]
    return found
