"""What events are made of: the words and values that several of them share."""

from __future__ import annotations

from typing import Literal

import msgspec

from domain import catalogue

OutcomeStatus = Literal["no_bid", "timeout", "error", "refused", "skipped"]
Verdict = Literal["valid", "duplicate", "expired", "bot", "rate_limited", "test"]
"""`forged` is a verdict too, but is counted in metrics only: nothing in a forged token can be believed."""
NoticeKind = Literal["win", "loss", "billing"]
EngagementKind = Literal["impression", "click"]
InvalidTraffic = Literal["robot", "not_a_browser", "data_centre", "device_mismatch", "rate_ip", "rate_ad"]
RankedBy = Literal["redis", "process"]
SegmentsRead = Literal["found", "none", "nobody", "paused", "restricted", "unavailable"]
"""Whether a viewer is in segments that campaigns are for, or why nobody knows: the request has no id of it, no feed
client of theirs is active, a law or its own wish forbids to look, or Redis did not answer in time.
"""
FeedMode = Literal["merge", "replace"]
"""What a bulk load does to records that it does not bring: leaves them, or has them gone."""

# gc=False throughout: values that are made by the million and can never be part of a cycle.


class FeedSource(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Where a change of a feed comes from: of a source only what stands behind all that it has told before counts."""

    name: str
    """Of the client's own: an upload that has a name, or a partition of a connector's topic."""
    place: int
    """Grows from one to the next: the line, the offset."""


class Inventory(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """What was on sale, in the words that reports group by; it travels with every event that is counted.

    Carrying it spares every projection a join. Unknown is the empty string, or 0 for the device type.
    """

    publisher_id: str = ""
    placement_id: str = ""
    site: str = ""
    """Domain of the site, or bundle of the app."""
    country: str = ""
    """ISO 3166-1 alpha-3, as in OpenRTB."""
    device_type: int = 0
    """AdCOM device type."""


class StatedPrice(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A price or floor as somebody stated it, where the auction's own figure is another one."""

    price_micros: int
    """In `currency`."""
    currency: str
    rate: str = "1"
    """Units of the auction's currency for one of `currency`, decimal text: exactly what was multiplied by.

    Empty where there was no rate: nothing can be held against it.
    """
    adjustment_bps: int = 10_000
    """What the bidder's price adjustment leaves of its price."""


class DealOffered(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A deal that could be bid under."""

    deal_id: str
    floor_micros: int | None = 0
    """In the auction's currency; None where there was no rate into it, so that no bid could meet it."""
    at: int | None = None
    """The deal's own auction type."""
    is_registered: bool = False
    """It stands in the catalogue; else the request alone names it."""
    stated_floor: StatedPrice | None = None


class ImpOffered(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """One impression opportunity as it was auctioned."""

    imp_id: str
    floor_micros: int
    """In the auction's currency, the lowest of what depends on the bid; 0 if no rate leads from the stated floor."""
    inventory: Inventory
    media_types: tuple[catalogue.MediaType, ...] = ()
    stated_floor: StatedPrice | None = None
    """The floor as stated, where that is in another currency."""
    deals: tuple[DealOffered, ...] = ()
    is_private: bool = False
    """Only bids under one of the deals were admitted."""
    share_bps: int | None = None
    """The publisher's share of the clearing price."""


class NoticeUrls(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """Where the bidder wants to hear about its bid, macros unfilled, and what only its answer says of them."""

    nurl: str | None = None
    """Absent as well where the markup is fetched from it: then the caller calls it."""
    burl: str | None = None
    lurl: str | None = None
    response_bid_id: str | None = None
    """`BidResponse.bidid`."""
    ad_id: str | None = None
    """`Bid.adid`."""
    multiplier: float | None = None
    """`Imp.qty.multiplier`."""


class OtherBid(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A further bid of the same bidder for the same imp: only its best one competes."""

    bid_id: str
    code: int
    """IAB loss reason."""
    reason: str
    price_micros: int | None = None
    """In the event's `currency`."""
    seat: str = ""
    notices: NoticeUrls | None = None


class DirectDemand(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """Whose ad a bid of the exchange's own campaigns is for, and how that campaign pays."""

    advertiser_id: str
    campaign_id: str
    ad_id: str
    charged_on: EngagementKind = "impression"
    click_price_nanos: int = 0
    """What a click costs, in the auction's currency, where clicks are charged; the price of the bid is its eCPM."""
    person: str = ""
    """The pseudonym that the campaign's frequency cap counts; empty where it has none."""
    charge_nanos: int = 0
    """Of an award: what one impression or click takes from the budget, in the campaign's currency."""
    segments: tuple[catalogue.SegmentTarget, ...] = ()
    """Those that the campaign is for and the viewer was found in; of no other one is anything kept."""


class LateBid(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A bid that came too late to be looked at any closer."""

    bid_id: str
    imp_id: str
    price_micros: int
    currency: str


class Viewer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """What a billing notice says of who saw the ad (OpenRTB 2.6, section 7.8)."""

    ip: str = ""
    """Cut to its network."""
    user_agent: str = ""
