"""The parts of an auction's story, as `GET /v1/auctions/{id}` gives them; prices are CPM, decimal text."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import msgspec

from domain.catalogue import MediaType, SegmentTarget
from domain.event_parts import EngagementKind, NoticeKind, RankedBy, SegmentsRead, Verdict

AuctionStatus = Literal["awarded", "unsold"]
OutcomeStatus = Literal["won", "lost", "refused", "no_bid", "timeout", "error", "skipped"]


class Stated(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A price or floor as it was stated, where the auction's own figure is another one."""

    price: str
    currency: str
    rate: str
    """Units of the auction's currency for one of `currency`; empty: there is none, so that no bid could reach it."""
    adjustment_bps: int | None = None
    """What the bidder's price adjustment leaves of its price; None: all of it."""


class OtherBidStory(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A further bid of the same bidder for the same imp."""

    bid_id: str
    code: int
    reason: str
    price: str | None = None


class CampaignOfBid(msgspec.Struct, frozen=True, kw_only=True):
    """Whose ad a bid of the exchange's own campaigns is for."""

    advertiser_id: str
    campaign_id: str
    campaign: str
    """Its name."""
    ad_id: str


class Outcome(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What came of asking one bidder for one imp, and why."""

    bidder_id: str
    bidder: str
    """Its name; its id where the catalogue does not know it (yet)."""
    status: OutcomeStatus
    code: int
    """For won, lost and refused an IAB loss reason, for all others a seat-non-bid code."""
    reason: str
    price: str | None = None
    currency: str | None = None
    latency_ms: float | None = None
    rank: int | None = None
    """From 1, for bids that were ranked."""
    deal_id: str | None = None
    floor: str | None = None
    """The floor that applied to the bid, where that is not the imp's."""
    media_type: MediaType | None = None
    group: int | None = None
    """The bidder's bids of this auction with the same number win or lose as a whole."""
    stated: Stated | None = None
    other_bids: tuple[OtherBidStory, ...] = ()
    campaign: CampaignOfBid | None = None
    """Of the bidder `direct` only, where it has a bid."""
    segments: tuple[SegmentTarget, ...] = ()
    """Those that the campaign is for and the viewer was found in."""


class Award(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """To whom the imp went, and how the money is shared."""

    bidder_id: str
    bid_id: str
    price: str | None
    """What was bid; None where the reader may not know."""
    clearing_price: str
    currency: str
    auction_type: int
    """The rule that was applied: 1 first price, 2 second price plus, 3 the agreed price of a deal."""
    revenue: str
    """The publisher's."""
    fee: str
    """The exchange's."""
    ranked_by: RankedBy
    held_ms: float
    """From the request's arrival to the decision."""
    deal_id: str | None = None
    min_to_win: str | None = None
    """What the winner would have had to reach."""


class Deal(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A deal that could be bid under."""

    id: str
    floor: str | None
    """In the auction's currency; None: no rate leads into it, so that no bid could reach it."""
    at: int | None = None
    """Its own auction type."""
    registered: bool = False
    """It stands in the catalogue; else the request alone names it."""
    stated_floor: Stated | None = None


class ImpStory(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One impression opportunity: what was on sale, every bidder's outcome, the award."""

    id: str
    floor: str | None
    """As a deal's."""
    outcomes: tuple[Outcome, ...]
    award: Award | None = None
    unsold_reason: str | None = None
    stated_floor: Stated | None = None
    media_types: tuple[MediaType, ...] = ()
    deals: tuple[Deal, ...] = ()
    private: bool = False
    """Only bids under one of the deals were admitted."""
    share_bps: int | None = None
    """The publisher's share of the clearing price."""


class LateBidStory(msgspec.Struct, frozen=True, kw_only=True):
    """A bid that came after the decision."""

    bid_id: str
    imp_id: str
    price: str
    currency: str


class LateAnswer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A bidder that had timed out and did answer after the decision; it changes nothing."""

    bidder_id: str
    bidder: str
    latency_ms: float
    http_status: int
    bids: tuple[LateBidStory, ...] = ()
    reason: str = ""
    """What is wrong with the answer, where something is."""


class EngagementStory(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Somebody saw the ad, or clicked on it."""

    kind: EngagementKind
    at: datetime
    verdict: Verdict | Literal["voided"]
    """`voided`: not met, but taken back."""
    imp_id: str
    reason: str = ""


class NoticeStory(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A notice to a bidder that came to an end."""

    kind: NoticeKind
    at: datetime
    imp_id: str
    bidder_id: str
    bidder: str
    bid_id: str
    url: str
    delivered: bool
    attempts: int
    http_status: int | None = None
    reason: str | None = None
    """Why it was given up."""


class Paragraph(msgspec.Struct, frozen=True, kw_only=True):
    """Sentences for a person, in their order."""

    title: str
    sentences: tuple[str, ...]


class AuctionStory(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that the log says about one auction. Prices are CPM, decimal text."""

    id: str
    status: AuctionStatus
    test: bool
    robot: bool
    """A known robot fetched the page: nobody was asked."""
    restricted_by: tuple[str, ...]
    """Why neither bidders nor the log got ids and precise place."""
    at: datetime
    auction_type: int
    """OpenRTB `at`."""
    currency: str
    tmax_ms: int
    request: msgspec.Raw
    """As logged: personal data minimised."""
    imps: tuple[ImpStory, ...]
    late_answers: tuple[LateAnswer, ...]
    engagements: tuple[EngagementStory, ...]
    notices: tuple[NoticeStory, ...]
    segments: SegmentsRead | None = None
    """Whether the viewer was found in segments that live campaigns are for, or why not; None: there are none."""
    told: tuple[Paragraph, ...] = ()
    """The same as a person would tell it."""
