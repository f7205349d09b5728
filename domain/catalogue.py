"""What the catalogue holds: the terms of every entity, as its owner states them.

Terms are what a create command carries and what an entity answers with, beside `id`, `version` and `status`.
Money is micros in here; the API's decimal strings are turned into it at the edge.
"""

from __future__ import annotations

from typing import Literal

import msgspec

Status = Literal["active", "paused", "archived"]
AuctionKind = Literal["first_price", "second_price"]
MediaType = Literal["banner", "video", "audio", "native"]
Pacing = Literal["even", "asap"]


class Terms(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the owner of an entity states about it."""


class Publisher(Terms, frozen=True, kw_only=True):
    name: str
    domain: str
    share_bps: int


class Placement(Terms, frozen=True, kw_only=True):
    publisher_id: str
    name: str
    sizes: tuple[tuple[int, int], ...]
    floor_micros: int = 0
    auction: AuctionKind = "second_price"


class Bidder(Terms, frozen=True, kw_only=True):
    """An external DSP behind HTTP. An absent list means: all of them."""

    name: str
    endpoint: str
    seats: tuple[str, ...] = ()
    media_types: tuple[MediaType, ...] = ()
    countries: tuple[str, ...] = ()
    qps_limit: int | None = None
    timeout_ms: int | None = None
    currency: str = "USD"


class Deal(Terms, frozen=True, kw_only=True):
    bidder_ids: tuple[str, ...]
    placement_ids: tuple[str, ...] = ()
    floor_micros: int = 0
    auction: AuctionKind | Literal["fixed_price"] = "second_price"


class Advertiser(Terms, frozen=True, kw_only=True):
    name: str
    domain: str


class FrequencyCap(msgspec.Struct, frozen=True):
    impressions: int
    per_seconds: int


class SegmentTarget(msgspec.Struct, frozen=True):
    client: str
    segment: str


class Targeting(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    countries: tuple[str, ...] = ()
    placement_ids: tuple[str, ...] = ()
    device_types: tuple[int, ...] = ()
    sites: tuple[str, ...] = ()
    segments: tuple[SegmentTarget, ...] = ()


class Campaign(Terms, frozen=True, kw_only=True):
    advertiser_id: str
    name: str
    bid_micros: int
    budget_nanos: int
    daily_budget_nanos: int | None = None
    starts_at: str | None = None
    ends_at: str | None = None
    pacing: Pacing = "even"
    frequency_cap: FrequencyCap | None = None
    targeting: Targeting = Targeting()


class Ad(Terms, frozen=True, kw_only=True):
    campaign_id: str
    name: str
    width: int
    height: int
    landing_url: str
    html: str | None = None
    image_url: str | None = None


class FeedClient(Terms, frozen=True, kw_only=True):
    name: str
    ttl_seconds: int | None = None
    allowed_shrinkage_percent: int | None = None
