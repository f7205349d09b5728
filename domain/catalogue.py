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
RequiredField = Literal["crid", "adomain", "cat"]
Role = Literal["admin", "publisher", "advertiser", "feed_client"]


class Terms(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the owner of an entity states about it."""


class FloorRule(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A floor for some of the traffic; what is not stated is a wildcard. The most exact rule that fits counts."""

    floor_micros: int
    """In `currency`."""
    currency: str = "USD"
    country: str | None = None
    """ISO 3166-1 alpha-3."""
    device_type: int | None = None
    """AdCOM device type."""
    size: tuple[int, int] | None = None
    """Of the ad, in pixels."""
    media_type: MediaType | None = None


class Publisher(Terms, frozen=True, kw_only=True):
    name: str
    domain: str
    share_bps: int
    """What it gets of every clearing price."""
    floor_rules: tuple[FloorRule, ...] = ()
    """For its placements without a rule of their own that fits."""


class HouseAd(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The publisher's own ad; exactly one of `html` and `image_url`."""

    width: int
    height: int
    landing_url: str
    html: str | None = None
    image_url: str | None = None


class Placement(Terms, frozen=True, kw_only=True):
    """An ad space, named by `imp.tagid`. `badv`, `bcat`, `battr` and `bapp` are those of OpenRTB."""

    publisher_id: str
    name: str
    sizes: tuple[tuple[int, int], ...]
    floor_micros: int = 0
    """In `currency`."""
    auction: AuctionKind = "second_price"
    currency: str = "USD"
    floor_rules: tuple[FloorRule, ...] = ()
    badv: tuple[str, ...] = ()
    bcat: tuple[str, ...] = ()
    cattax: int = 1
    """The taxonomy of `bcat`."""
    battr: tuple[int, ...] = ()
    bapp: tuple[str, ...] = ()
    required_bid_fields: tuple[RequiredField, ...] = ()
    """What every bid must state, beyond what the specification requires."""
    house_ads: tuple[HouseAd, ...] = ()
    """What `GET /ad` shows where nothing was sold; nobody pays for it."""


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
    """What it prefers to bid in: told to it beside the auction's own."""
    sizes: tuple[tuple[int, int], ...] = ()
    """Of banners; other media have none."""
    device_types: tuple[int, ...] = ()
    placement_ids: tuple[str, ...] = ()
    price_adjustment_bps: int = 10_000
    """What of its price competes, for a bidder whose prices carry a margin that is not paid."""
    accepts_gzip: bool = False
    """It takes compressed requests."""


class Deal(Terms, frozen=True, kw_only=True):
    """A deal between publishers and buyers; its id is what bids name in `dealid`."""

    bidder_ids: tuple[str, ...]
    placement_ids: tuple[str, ...] = ()
    """Absent: all."""
    floor_micros: int = 0
    """In `currency`; for a fixed price the agreed one."""
    auction: AuctionKind | Literal["fixed_price"] = "second_price"
    currency: str = "USD"
    wseat: tuple[str, ...] = ()
    wadomain: tuple[str, ...] = ()


class CurrencyRate(Terms, frozen=True, kw_only=True):
    """One unit of `base` is `rate` units of `quote`."""

    base: str
    quote: str
    rate: str
    """Decimal text."""


class Advertiser(Terms, frozen=True, kw_only=True):
    name: str
    domain: str


class FrequencyCap(msgspec.Struct, frozen=True):
    impressions: int
    per_seconds: int


class SegmentTarget(msgspec.Struct, frozen=True, gc=False):
    client: str
    """The feed client's name."""
    segment: str


class Targeting(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    countries: tuple[str, ...] = ()
    placement_ids: tuple[str, ...] = ()
    device_types: tuple[int, ...] = ()
    sites: tuple[str, ...] = ()
    segments: tuple[SegmentTarget, ...] = ()


class Campaign(Terms, frozen=True, kw_only=True):
    """What an advertiser wants shown to whom, at what price and up to what sum. All money is in `currency`."""

    advertiser_id: str
    name: str
    bid_micros: int = 0
    """CPM, at most; 0 for a campaign that pays for clicks."""
    budget_nanos: int
    """For the whole flight. A nano-unit is what one impression costs at a CPM of one micro."""
    click_bid_nanos: int = 0
    """For one click, at most; 0 for a campaign that pays for impressions."""
    currency: str = "USD"
    daily_budget_nanos: int | None = None
    """For every UTC day."""
    starts_at: str | None = None
    """RFC 3339, included."""
    ends_at: str | None = None
    """RFC 3339, excluded."""
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
    """A data provider, the terms of its records, and what a load that replaces them all must keep to."""

    name: str
    """No other one ever has it: the addresses of its feed carry it."""
    ttl_seconds: int | None = None
    """How long a record is found after it was loaded; None: until it is gone."""
    allowed_shrinkage_percent: int | None = None
    """By how much fewer records than now there may be afterwards; None: by any number."""
    minimum_records: int | None = None
    """At least so many records there have to be afterwards; None: one."""
    unreadable_percent: int | None = None
    """At most this share of the upload's records may be refused; None: none of those that replace, of others any."""


class AccessKey(Terms, frozen=True, kw_only=True):
    """Somebody's key to the interface; the key itself is told once and never kept."""

    name: str
    role: Role
    subject_id: str | None = None
    """The publisher, advertiser or feed client that it is a key of; None for an admin's."""
    digest: str
    """SHA-256 of the key, in hex."""
