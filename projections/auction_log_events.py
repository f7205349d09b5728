"""What `auction_log` keeps of its events: all but what stands in another event of the auction, or in none of its rows.

The imps and the request are kept as they are written.
"""

from __future__ import annotations

from datetime import datetime

import msgspec

from domain.catalogue import MediaType, SegmentTarget
from domain.event_parts import (
    EngagementKind,
    LateBid,
    NoticeKind,
    OtherBid,
    OutcomeStatus,
    RankedBy,
    SegmentsRead,
    StatedPrice,
    Verdict,
)
from domain.excerpt import Excerpt


class BidRequested(Excerpt, frozen=True, kw_only=True, tag="bid_requested"):
    at: datetime
    auction_id: str
    request_id: str
    auction_type: int
    currency: str
    tmax_ms: int
    imps: msgspec.Raw
    request: msgspec.Raw
    test: bool = False
    robot: bool = False
    restricted_by: tuple[str, ...] = ()
    segments: SegmentsRead | None = None


class DirectDemand(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    segments: tuple[SegmentTarget, ...] = ()


class BidPlaced(Excerpt, frozen=True, kw_only=True, tag="bid_placed"):
    id: str
    auction_id: str
    imp_id: str
    bidder_id: str
    bid_id: str
    price_micros: int
    currency: str
    latency_ms: float
    seat: str = ""
    deal_id: str | None = None
    crid: str | None = None
    other_bids: tuple[OtherBid, ...] = ()
    floor_micros: int | None = None
    deal_at: int | None = None
    group: int | None = None
    stated: StatedPrice | None = None
    media_type: MediaType | None = None
    direct: DirectDemand | None = None


class BidRefused(Excerpt, frozen=True, kw_only=True, tag="bid_refused"):
    id: str
    auction_id: str
    imp_id: str
    bidder_id: str
    outcome: OutcomeStatus
    code: int
    reason: str
    latency_ms: float | None = None
    bid_id: str | None = None
    price_micros: int | None = None
    currency: str | None = None
    seat: str = ""
    other_bids: tuple[OtherBid, ...] = ()


class AuctionAwarded(Excerpt, frozen=True, kw_only=True, tag="auction_awarded"):
    id: str
    at: datetime
    auction_id: str
    imp_id: str
    bidder_id: str
    bid_id: str
    price_micros: int
    clearing_price_micros: int
    revenue_micros: int
    fee_micros: int
    currency: str
    auction_type: int
    ranking: tuple[str, ...]
    ranked_by: RankedBy
    held_ms: float
    seat: str = ""
    deal_id: str | None = None
    min_to_win_micros: int | None = None
    withdrawn: tuple[str, ...] = ()


class AuctionUnsold(Excerpt, frozen=True, kw_only=True, tag="auction_unsold"):
    id: str
    at: datetime
    auction_id: str
    imp_id: str
    reason: str
    held_ms: float
    withdrawn: tuple[str, ...] = ()


class BidderAnsweredLate(Excerpt, frozen=True, kw_only=True, tag="bidder_answered_late"):
    id: str
    at: datetime
    auction_id: str
    bidder_id: str
    latency_ms: float
    http_status: int
    bids: tuple[LateBid, ...] = ()
    reason: str = ""


class Engagement(Excerpt, frozen=True, kw_only=True):
    id: str
    at: datetime
    auction_id: str
    imp_id: str
    bidder_id: str
    bid_id: str
    verdict: Verdict
    reason: str = ""


class ImpressionRecorded(Engagement, frozen=True, kw_only=True, tag="impression_recorded"):
    pass


class ClickRecorded(Engagement, frozen=True, kw_only=True, tag="click_recorded"):
    pass


class EngagementVoided(Excerpt, frozen=True, kw_only=True, tag="engagement_voided"):
    id: str
    at: datetime
    auction_id: str
    imp_id: str
    kind: EngagementKind
    reason: str
    engagement: ImpressionRecorded | ClickRecorded | None = None


class Notice(Excerpt, frozen=True, kw_only=True):
    id: str
    at: datetime
    auction_id: str
    imp_id: str
    bidder_id: str
    bid_id: str
    kind: NoticeKind
    url: str
    attempts: int


class NoticeDelivered(Notice, frozen=True, kw_only=True, tag="notice_delivered"):
    http_status: int


class NoticeFailed(Notice, frozen=True, kw_only=True, tag="notice_failed"):
    reason: str


EXCERPTS = (
    BidRequested,
    BidPlaced,
    BidRefused,
    AuctionAwarded,
    AuctionUnsold,
    BidderAnsweredLate,
    ImpressionRecorded,
    ClickRecorded,
    EngagementVoided,
    NoticeDelivered,
    NoticeFailed,
)
