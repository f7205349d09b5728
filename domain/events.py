"""The catalogue of everything that can have happened.

Events are immutable facts in the past tense, one tagged Struct each, JSON on the wire.
The tag `type` stands first, so that a reader can skip a type without decoding the rest.
A field may be added to a version when it has a default that says of older events what is true of them; every other
change of a shape is a new version, with an upcaster in `domain/upcasters/`: see `docs/EVOLUTION.md`.

- `gavel.auctions`, keyed by auction id: BidRequested, BidPlaced, BidRefused, AuctionAwarded, AuctionUnsold,
  BidderAnsweredLate.
- `gavel.engagements`, keyed by auction id: ImpressionRecorded, ClickRecorded, NoticeDelivered, NoticeFailed,
  EngagementVoided; and LedgerDayClosed, once in every partition.
- `gavel.catalogue`, keyed by aggregate id: …Registered, …Changed, EntityPaused, EntityResumed, EntityArchived,
  CurrencyRateSet.
- `gavel.feeds.…`, keyed by the feed client's id: see `domain/feed_events.py`.
"""

from __future__ import annotations

import re
from datetime import date, datetime
from typing import Any

import msgspec

from domain import catalogue
from domain.event_parts import (
    DirectDemand,
    EngagementKind,
    ImpOffered,
    InvalidTraffic,
    Inventory,
    LateBid,
    NoticeKind,
    NoticeUrls,
    OtherBid,
    OutcomeStatus,
    RankedBy,
    SegmentsRead,
    StatedPrice,
    Verdict,
    Viewer,
)


def _snake_case(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


def _version(number: int) -> Any:
    """A default that stands in the JSON all the same, as a plain one would not."""
    return msgspec.field(default_factory=lambda: number)


class Event(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, tag_field="type", tag=_snake_case):
    """What every event has. `id` is a UUIDv7 in text."""

    id: str
    at: datetime
    """UTC, when it happened."""
    correlation_id: str
    """The auction, or for the catalogue the aggregate, that the event belongs to."""
    causation_id: str
    """The command or the event that led to it."""
    v: int = _version(1)
    """Version of this event type's shape."""


# -- gavel.auctions --------------------------------------------------------------------------------


class BidRequested(Event, frozen=True, kw_only=True):
    """A publisher asked for bids. All following events of the auction share its key."""

    auction_id: str
    request_id: str
    """`BidRequest.id` as the publisher sent it."""
    auction_type: int
    """OpenRTB `at`: 1 first price, 2 second price plus."""
    currency: str
    tmax_ms: int
    imps: tuple[ImpOffered, ...]
    request: msgspec.Raw
    """The bid request with personal data minimised; unknown fields kept."""
    test: bool = False
    robot: bool = False
    """A known robot fetched the page: nobody was asked, and no report counts it."""
    restricted_by: tuple[str, ...] = ()
    """Why bidders and log got neither ids nor precise place: coppa, lmt, dnt, gdpr, us_privacy; gdpr_geo: no place."""
    segments: SegmentsRead | None = None
    """None as well where no live campaign is for segments, or none may bid."""


class BidPlaced(Event, frozen=True, kw_only=True):
    """A bidder's best valid bid for an imp entered the ranking."""

    auction_id: str
    imp_id: str
    bidder_id: str
    bid_id: str
    price_micros: int
    currency: str
    latency_ms: float
    inventory: Inventory
    seat: str = ""
    deal_id: str | None = None
    crid: str | None = None
    adomain: tuple[str, ...] = ()
    width: int | None = None
    height: int | None = None
    notices: NoticeUrls | None = None
    other_bids: tuple[OtherBid, ...] = ()
    floor_micros: int | None = None
    """The floor that applied to it: its deal's, or the imp's for its media type and size. None: the imp's."""
    deal_at: int | None = None
    """The auction type of its deal, where that has its own."""
    group: int | None = None
    """The bidder's bids of one auction with the same number win or lose as a whole (`SeatBid.group` 1)."""
    stated: StatedPrice | None = None
    """The price as the bidder stated it, where it is in another currency or adjusted."""
    media_type: catalogue.MediaType | None = None
    test: bool = False
    direct: DirectDemand | None = None
    """Of the bidder `direct` only."""


class BidRefused(Event, frozen=True, kw_only=True):
    """A bidder that was considered has no bid in the ranking, and why."""

    auction_id: str
    imp_id: str
    bidder_id: str
    outcome: OutcomeStatus
    code: int
    """For `refused` an IAB loss reason, for all others a seat-non-bid code."""
    reason: str
    """A sentence for a person."""
    latency_ms: float | None = None
    bid_id: str | None = None
    price_micros: int | None = None
    currency: str | None = None
    seat: str = ""
    notices: NoticeUrls | None = None
    other_bids: tuple[OtherBid, ...] = ()
    test: bool = False


class AuctionAwarded(Event, frozen=True, kw_only=True):
    """An imp was sold. `revenue_micros` (publisher) and `fee_micros` (exchange) add up to the clearing price."""

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
    """1 first price, 2 second price plus, 3 the agreed price of a deal."""
    ranking: tuple[str, ...]
    """Ids of the bidders in the ranking, best first."""
    ranked_by: RankedBy
    inventory: Inventory
    held_ms: float
    """From the request's arrival to this decision."""
    seat: str = ""
    deal_id: str | None = None
    min_to_win_micros: int | None = None
    """What the winner would have had to reach: the next bid's price, or its own floor."""
    withdrawn: tuple[str, ...] = ()
    """Ids of the bidders whose bid stepped back because its group could not win as a whole."""
    test: bool = False
    direct: DirectDemand | None = None
    """Of the bidder `direct` only."""
    expires_at: datetime | None = None
    """Where `direct`: until when an impression counts, and so how long its cost stays reserved."""
    size: str = ""
    """Of the ad, as in an engagement."""


class AuctionUnsold(Event, frozen=True, kw_only=True):
    """No bid was left that could win the imp."""

    auction_id: str
    imp_id: str
    reason: str
    inventory: Inventory
    held_ms: float
    withdrawn: tuple[str, ...] = ()
    """As of an award."""
    test: bool = False


class BidderAnsweredLate(Event, frozen=True, kw_only=True):
    """A bidder that is logged as timed out did answer, after the auction's decision. It changes nothing."""

    auction_id: str
    bidder_id: str
    latency_ms: float
    """From the call to the whole answer."""
    http_status: int
    bids: tuple[LateBid, ...] = ()
    reason: str = ""
    """What is wrong with the answer, where something is."""
    test: bool = False


# -- gavel.engagements -----------------------------------------------------------------------------


class Engagement(Event, frozen=True, kw_only=True):
    """A person (or a robot) met an ad. Its token carries all that counting needs.

    It costs `clearing_price_micros` nano-units, of which `revenue_micros` are the publisher's and `fee_micros` the
    exchange's, if it is the first `valid` one of its kind for its imp, its kind is `charged_on`, and it is `charged`.
    Of a campaign that pays for clicks these three are the price of a click, in the impression as well.
    """

    auction_id: str
    imp_id: str
    bidder_id: str
    bid_id: str
    verdict: Verdict
    price_micros: int
    clearing_price_micros: int
    revenue_micros: int
    fee_micros: int
    currency: str
    inventory: Inventory
    awarded_at: datetime
    seat: str = ""
    deal_id: str | None = None
    campaign_id: str | None = None
    ad_id: str | None = None
    reason: str = ""
    """Why it does not count, or was not charged, where that is so."""
    test: bool = False
    advertiser_id: str | None = None
    charged_on: EngagementKind = "impression"
    charged: bool = True
    """False for a click that its campaign had no budget for, as far as could be told: it counts, and costs nothing."""
    charge_nanos: int = 0
    """What it takes from its campaign's budget where it costs something, in the campaign's currency."""
    size: str = ""
    """Of the ad, `300x250`; empty where the bid states none."""
    person: str = ""
    """A pseudonym of who met the ad, for reach and frequency; empty where nothing may be known."""
    ivt: InvalidTraffic | None = None
    """Why it is taken for invalid traffic, in one word that reports group by; `reason` says it in a sentence."""


class ImpressionRecorded(Engagement, frozen=True, kw_only=True):
    """The pixel in the markup was fetched."""

    viewer: Viewer | None = None
    """Only where the bidder asked for a billing notice."""


class ClickRecorded(Engagement, frozen=True, kw_only=True):
    """The click address was followed."""


class Notice(Event, frozen=True, kw_only=True):
    """A notice to a bidder came to an end."""

    auction_id: str
    imp_id: str
    bidder_id: str
    bid_id: str
    kind: NoticeKind
    url: str
    attempts: int
    test: bool = False


class NoticeDelivered(Notice, frozen=True, kw_only=True):
    http_status: int


class NoticeFailed(Notice, frozen=True, kw_only=True):
    reason: str


class EngagementVoided(Event, frozen=True, kw_only=True):
    """A compensating refund: the engagement it names no longer counts."""

    auction_id: str
    imp_id: str
    engagement_id: str
    kind: EngagementKind
    reason: str
    engagement: ImpressionRecorded | ClickRecorded | None = None
    """The engagement itself, so that no reader has to look for it."""


class LedgerDayClosed(Event, frozen=True, kw_only=True):
    """The books of a UTC day and of all days before it are closed, for what follows in the same partition.

    What belongs to a closed day and is logged behind this is booked on the first open day.
    """

    day: date
    partition: int
    """Where it stands: one is written to each of `partitions`."""
    partitions: int


# -- gavel.catalogue -------------------------------------------------------------------------------


class CatalogueEvent(Event, frozen=True, kw_only=True):
    """A change of one aggregate, keyed by its id.

    The log is the lock: an event whose `version` is not the aggregate's next one lost a race and has no
    effect, for every reader alike (see docs/decisions).
    """

    aggregate_id: str
    version: int


class PublisherRegistered(CatalogueEvent, frozen=True, kw_only=True):
    terms: catalogue.Publisher


class PublisherChanged(CatalogueEvent, frozen=True, kw_only=True):
    terms: catalogue.Publisher


class PlacementRegistered(CatalogueEvent, frozen=True, kw_only=True):
    terms: catalogue.Placement


class PlacementChanged(CatalogueEvent, frozen=True, kw_only=True):
    terms: catalogue.Placement


class BidderRegistered(CatalogueEvent, frozen=True, kw_only=True):
    terms: catalogue.Bidder


class BidderChanged(CatalogueEvent, frozen=True, kw_only=True):
    terms: catalogue.Bidder


class DealRegistered(CatalogueEvent, frozen=True, kw_only=True):
    terms: catalogue.Deal


class DealChanged(CatalogueEvent, frozen=True, kw_only=True):
    terms: catalogue.Deal


class AdvertiserRegistered(CatalogueEvent, frozen=True, kw_only=True):
    terms: catalogue.Advertiser


class AdvertiserChanged(CatalogueEvent, frozen=True, kw_only=True):
    terms: catalogue.Advertiser


class CampaignRegistered(CatalogueEvent, frozen=True, kw_only=True):
    terms: catalogue.Campaign


class CampaignChanged(CatalogueEvent, frozen=True, kw_only=True):
    terms: catalogue.Campaign


class AdRegistered(CatalogueEvent, frozen=True, kw_only=True):
    terms: catalogue.Ad


class AdChanged(CatalogueEvent, frozen=True, kw_only=True):
    terms: catalogue.Ad


class FeedClientRegistered(CatalogueEvent, frozen=True, kw_only=True):
    terms: catalogue.FeedClient


class FeedClientChanged(CatalogueEvent, frozen=True, kw_only=True):
    terms: catalogue.FeedClient


class AccessKeyRegistered(CatalogueEvent, frozen=True, kw_only=True):
    terms: catalogue.AccessKey


class AccessKeyChanged(CatalogueEvent, frozen=True, kw_only=True):
    terms: catalogue.AccessKey


class EntityPaused(CatalogueEvent, frozen=True, kw_only=True):
    """It takes no part in auctions until resumed."""


class EntityResumed(CatalogueEvent, frozen=True, kw_only=True):
    """It takes part again."""


class EntityArchived(CatalogueEvent, frozen=True, kw_only=True):
    """It will never take part again; its history stays."""


class CurrencyRateSet(CatalogueEvent, frozen=True, kw_only=True):
    """From now on one unit of `base` is `rate` units of `quote`; `rate` is decimal text."""

    base: str
    quote: str
    rate: str
