"""A history for projections to replay: the events of auctions and engagements as a day of traffic leaves them."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple, TypedDict

import msgspec
from uuid_utils import uuid7

from bench.bid_requests import COUNTRIES, SITES, bid_requests
from domain.event_parts import ImpOffered, Inventory
from domain.events import AuctionAwarded, AuctionUnsold, BidPlaced, BidRefused, BidRequested, Event, ImpressionRecorded
from domain.money import split_share
from domain.openrtb.codes import NonBidStatus

BIDDERS = ("bidder-atlas", "bidder-borealis", "bidder-cetus")
BID_SHARE = 0.7
SEEN_SHARE = 0.8
SHARE_BPS = 8_000
WIDTH, HEIGHT = 300, 250
SIZE = f"{WIDTH}x{HEIGHT}"
PEOPLE = 100_000
"""Who meet the ads, each as likely as any other."""
STARTED = datetime(2026, 3, 1, tzinfo=UTC)
HOURS = 24
DISTINCT_REQUESTS = 500


class History(NamedTuple):
    """One auction's events by topic; all have the auction's id as their key."""

    auction_id: str
    auction: Sequence[Event]
    engagements: Sequence[Event]


def histories(count: int, *, seed: int = 7) -> Iterator[History]:
    """So many auctions spread evenly over a day, three outcomes each, most of them sold and seen."""
    chance = random.Random(seed)
    requests = [msgspec.Raw(body) for body in bid_requests(DISTINCT_REQUESTS)]
    step = timedelta(hours=HOURS) / count
    for number in range(count):
        yield _history(STARTED + number * step, requests[number % DISTINCT_REQUESTS], chance)


def _history(at: datetime, request: msgspec.Raw, chance: random.Random) -> History:
    auction_id = _id_at(at)
    site = chance.choice(SITES)
    inventory = Inventory(
        publisher_id=f"pub-{site}", site=site, country=chance.choice(COUNTRIES), device_type=chance.choice((1, 2, 4))
    )
    requested = BidRequested(
        **_head(auction_id, at),
        auction_id=auction_id,
        request_id=f"{auction_id}-request",
        auction_type=2,
        currency="USD",
        tmax_ms=200,
        imps=(ImpOffered(imp_id="1", floor_micros=250_000, inventory=inventory, media_types=("banner",)),),
        request=request,
    )
    outcomes = [_outcome(auction_id, at, bidder, inventory, chance) for bidder in BIDDERS]
    placed = sorted((each for each in outcomes if isinstance(each, BidPlaced)), key=lambda bid: -bid.price_micros)
    if not placed:
        unsold = AuctionUnsold(
            **_head(auction_id, at),
            auction_id=auction_id,
            imp_id="1",
            reason="Nobody bid.",
            inventory=inventory,
            held_ms=42.0,
        )
        return History(auction_id, [requested, *outcomes, unsold], [])
    award = _award(auction_id, at, placed, inventory)
    seen = [_impression(award, at + timedelta(seconds=2), chance)] if chance.random() < SEEN_SHARE else []
    return History(auction_id, [requested, *outcomes, award], seen)


def _outcome(
    auction_id: str, at: datetime, bidder_id: str, inventory: Inventory, chance: random.Random
) -> BidPlaced | BidRefused:
    latency_ms = round(chance.uniform(5, 80), 3)
    if chance.random() >= BID_SHARE:
        return BidRefused(
            **_head(auction_id, at),
            auction_id=auction_id,
            imp_id="1",
            bidder_id=bidder_id,
            outcome="no_bid",
            code=NonBidStatus.NO_BID,
            reason=NonBidStatus.NO_BID.sentence,
            latency_ms=latency_ms,
        )
    return BidPlaced(
        **_head(auction_id, at),
        auction_id=auction_id,
        imp_id="1",
        bidder_id=bidder_id,
        bid_id=f"{auction_id}-{bidder_id}",
        price_micros=chance.randrange(300, 5_000) * 1_000,
        currency="USD",
        latency_ms=latency_ms,
        inventory=inventory,
        seat="seat-1",
        crid="cr-181",
        adomain=("brand.example",),
        width=WIDTH,
        height=HEIGHT,
    )


def _award(auction_id: str, at: datetime, placed: list[BidPlaced], inventory: Inventory) -> AuctionAwarded:
    best = placed[0]
    second_micros = placed[1].price_micros if len(placed) > 1 else 250_000
    clearing_micros = min(best.price_micros, second_micros + 10_000)
    revenue_micros, fee_micros = split_share(clearing_micros, SHARE_BPS)
    return AuctionAwarded(
        **_head(auction_id, at),
        auction_id=auction_id,
        imp_id="1",
        bidder_id=best.bidder_id,
        bid_id=best.bid_id,
        price_micros=best.price_micros,
        clearing_price_micros=clearing_micros,
        revenue_micros=revenue_micros,
        fee_micros=fee_micros,
        currency="USD",
        auction_type=2,
        ranking=tuple(each.bidder_id for each in placed),
        ranked_by="redis",
        inventory=inventory,
        held_ms=42.0,
        seat=best.seat,
        size=SIZE,
    )


def _impression(award: AuctionAwarded, at: datetime, chance: random.Random) -> ImpressionRecorded:
    return ImpressionRecorded(
        **_head(award.auction_id, at),
        auction_id=award.auction_id,
        imp_id=award.imp_id,
        bidder_id=award.bidder_id,
        bid_id=award.bid_id,
        verdict="valid",
        price_micros=award.price_micros,
        clearing_price_micros=award.clearing_price_micros,
        revenue_micros=award.revenue_micros,
        fee_micros=award.fee_micros,
        currency=award.currency,
        inventory=award.inventory,
        awarded_at=award.at,
        seat=award.seat,
        size=award.size,
        person=f"person-{chance.randrange(PEOPLE)}",
    )


class _Head(TypedDict):
    """What every event has."""

    id: str
    at: datetime
    correlation_id: str
    causation_id: str


def _head(auction_id: str, at: datetime) -> _Head:
    return _Head(id=_id_at(at), at=at, correlation_id=auction_id, causation_id=auction_id)


def _id_at(at: datetime) -> str:
    return str(uuid7(nanoseconds=int(at.timestamp()) * 1_000_000_000 + at.microsecond * 1_000))
