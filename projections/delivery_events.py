"""What `delivery` reads of the events that it counts.

`at` and inventories are taken as they are written: most events of a batch share theirs with others.
"""

from __future__ import annotations

import msgspec

from domain.event_parts import EngagementKind, Verdict
from domain.excerpt import Excerpt


class ImpOffered(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    inventory: msgspec.Raw


class DirectDemand(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    advertiser_id: str
    campaign_id: str
    ad_id: str


class BidRequested(Excerpt, frozen=True, kw_only=True, tag="bid_requested"):
    at: str
    currency: str
    imps: tuple[ImpOffered, ...]
    test: bool = False
    robot: bool = False


class BidPlaced(Excerpt, frozen=True, kw_only=True, tag="bid_placed"):
    at: str
    bidder_id: str
    currency: str
    inventory: msgspec.Raw
    deal_id: str | None = None
    width: int | None = None
    height: int | None = None
    test: bool = False
    direct: DirectDemand | None = None


class AuctionAwarded(Excerpt, frozen=True, kw_only=True, tag="auction_awarded"):
    at: str
    bidder_id: str
    currency: str
    inventory: msgspec.Raw
    deal_id: str | None = None
    test: bool = False
    direct: DirectDemand | None = None
    size: str = ""


class Engagement(Excerpt, frozen=True, kw_only=True):
    id: str
    at: str
    auction_id: str
    imp_id: str
    bidder_id: str
    verdict: Verdict
    clearing_price_micros: int
    revenue_micros: int
    fee_micros: int
    currency: str
    inventory: msgspec.Raw
    awarded_at: str
    deal_id: str | None = None
    campaign_id: str | None = None
    ad_id: str | None = None
    test: bool = False
    advertiser_id: str | None = None
    charged_on: EngagementKind = "impression"
    charged: bool = True
    size: str = ""
    person: str = ""


class ImpressionRecorded(Engagement, frozen=True, kw_only=True, tag="impression_recorded"):
    pass


class ClickRecorded(Engagement, frozen=True, kw_only=True, tag="click_recorded"):
    pass


class EngagementVoided(Excerpt, frozen=True, kw_only=True, tag="engagement_voided"):
    id: str
    engagement_id: str
    kind: EngagementKind
    engagement: ImpressionRecorded | ClickRecorded | None = None


EXCERPTS = (BidRequested, BidPlaced, AuctionAwarded, ImpressionRecorded, ClickRecorded, EngagementVoided)
