"""What a bid request puts on sale, in the auction's own terms: floors in micros, deals by id, blocks as sets.

A placement of the catalogue that `imp.tagid` names brings its floors, sizes, publisher and deals, and, where the
request states none, the auction's kind.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import NamedTuple

import msgspec

from domain.auction import FIRST_PRICE, SECOND_PRICE
from domain.catalogue import Bidder, MediaType
from domain.currency import Rates, bid_converted, rate_text
from domain.deals import NO_DEALS, DealOnSale, RegisteredDeals, deals_on_sale
from domain.domain_names import domain_names
from domain.errors import Fault, InvalidInput
from domain.event_parts import ImpOffered, Inventory, StatedPrice
from domain.floors import Floor, FloorsByAd, FloorTerms, Size
from domain.imp_floors import floors_of, listed_sizes
from domain.limits import BASIS_POINTS
from domain.market import Market, RegisteredPlacement
from domain.money import micros_from_decimal
from domain.openrtb.offer import (
    auction_type_of,
    currency_of,
    inventory_of,
    longest_ad,
    media_types_of,
    publisher_id_of,
    states_sizes,
)
from domain.openrtb.parse import Members
from domain.openrtb.request import BidRequest, Imp
from domain.skip import PLACEMENT_PAUSED, Skip

NOTHING: frozenset[str] = frozenset()


class ImpOnSale(msgspec.Struct, frozen=True, gc=False):
    """One imp, and what a bid for it must keep to."""

    imp: Imp
    placement: RegisteredPlacement | None
    """The one that `tagid` names; its block lists and required fields hold beside the request's."""
    inventory: Inventory
    media_types: tuple[MediaType, ...]
    floor: Floor
    """What every bid outside of deals must reach, floors by duration left aside."""
    floors_by_ad: FloorsByAd | None
    """None: the same for all ads."""
    share_bps: int
    """What the publisher gets of the clearing price."""
    deals: Mapping[str, DealOnSale]
    """By id, all that somebody may bid under."""
    registered_deals: RegisteredDeals
    """Those that the catalogue knows."""
    is_private: bool
    """Only bids under one of the deals are admitted."""
    closed: Skip | None
    """Why nobody is asked for it."""

    def floor_for(self, media_type: MediaType, size: Size | None, duration: int | None) -> Floor:
        """The floor of such an ad outside of deals; None: it has no size or duration, or does not say."""
        return self.floor if self.floors_by_ad is None else self.floors_by_ad.for_ad(media_type, size, duration)

    @property
    def brings_sizes(self) -> bool:
        """Whether the placement's sizes count, because the banner states none."""
        banner, placement = self.imp.banner, self.placement
        return banner is not None and placement is not None and bool(placement.terms.sizes) and not states_sizes(banner)

    def allows_size(self, width: int, height: int) -> bool:
        """Whether a banner of this size may be shown: a listed size, or one of a flexible format's proportions.

        Where the banner lists none the placement's count; none at all means any. An interstitial may be smaller.
        """
        banner = self.imp.banner
        if banner is None:
            return False
        sizes = listed_sizes(self.imp, None if self.placement is None else self.placement.terms)
        proportions = [each for each in banner.format or () if each.wratio and each.hratio]
        if (width, height) in sizes or not (sizes or proportions):
            return True
        if self.imp.instl == 1 and any(width <= w and height <= h for w, h in sizes):
            return True
        return any(
            width * (each.hratio or 0) == height * (each.wratio or 0) and width >= (each.wmin or 0)
            for each in proportions
        )

    @property
    def offered(self) -> ImpOffered:
        return ImpOffered(
            imp_id=self.imp.id,
            floor_micros=self.floor.micros or 0,
            inventory=self.inventory,
            media_types=self.media_types,
            stated_floor=self.floor.stated,
            deals=tuple([deal.offered for deal in self.deals.values()]) if self.deals else (),
            is_private=self.is_private,
            share_bps=self.share_bps,
        )


class Sale(msgspec.Struct, frozen=True, gc=False):
    """The whole request."""

    request: BidRequest
    auction_type: int
    currency: str
    rates: Rates
    imps: dict[str, ImpOnSale]
    """By imp id, in the request's order."""
    seats_allowed: frozenset[str]
    """Empty: all."""
    seats_blocked: frozenset[str]
    seats_registered: frozenset[str]
    """Those that a bidder of the catalogue has for itself."""
    advertisers_blocked: frozenset[str]
    """Domain names in one spelling."""
    apps_blocked: frozenset[str]
    categories_blocked: frozenset[str]
    categories_allowed: frozenset[str]
    """Empty: all."""

    @property
    def country(self) -> str:
        """ISO 3166-1 alpha-3, empty if unknown; one for all imps."""
        return next(iter(self.imps.values())).inventory.country

    @property
    def device_type(self) -> int:
        """AdCOM device type, 0 if unknown; one for all imps."""
        return next(iter(self.imps.values())).inventory.device_type

    @property
    def is_test(self) -> bool:
        return self.request.test == 1

    def price_of(self, price: Decimal, currency: str, bidder: Bidder) -> tuple[int, StatedPrice | None] | None:
        """What competes of a bidder's price, in micros of the auction's currency, and the price as it was stated.

        The price is converted first and adjusted then, rounded down both times; where neither changes anything there
        is nothing more to state. None: there is no rate into the auction's currency.
        """
        micros = micros_from_decimal(price)
        adjustment_bps = bidder.price_adjustment_bps
        if currency == self.currency and adjustment_bps == BASIS_POINTS:
            return micros, None
        rate = self.rates.between(currency, self.currency)
        if rate is None:
            return None
        stated = StatedPrice(
            price_micros=micros, currency=currency, rate=rate_text(rate), adjustment_bps=adjustment_bps
        )
        return bid_converted(micros, rate) * adjustment_bps // BASIS_POINTS, stated


def on_sale(request: BidRequest, members: Members, market: Market, *, default_share_bps: int) -> Sale:
    """Reads the request once, so that judging a bid need not; `members` are its members as they came.

    A publisher of which the catalogue knows no share gets the default one. Raises InvalidInput where a placement
    belongs to another publisher of the catalogue than the one that asks.
    """
    currency = currency_of(request)
    publisher_id = publisher_id_of(request)
    placements = _placements(request, market, publisher_id)
    seller = _Seller(request, market, FloorTerms(currency, market.rates), publisher_id, default_share_bps)
    return Sale(
        request,
        auction_type_of(request) if "at" in members else _auction_type_of(placements),
        currency,
        market.rates,
        {imp.id: _imp_on_sale(imp, placement, seller) for imp, placement in zip(request.imp, placements, strict=True)},
        _set(request.wseat),
        _set(request.bseat),
        market.registered_seats,
        domain_names(request.badv) if request.badv else NOTHING,
        _set(request.bapp),
        _set(request.bcat),
        _set(request.acat),
    )


class _Seller(NamedTuple):
    """What all imps of a request share."""

    request: BidRequest
    market: Market
    terms: FloorTerms
    publisher_id: str
    """As the request states it."""
    default_share_bps: int


def _placements(request: BidRequest, market: Market, publisher_id: str) -> list[RegisteredPlacement | None]:
    """The stored placement of each imp, where its tag id names one."""
    stored = market.placements
    if not stored:
        return [None] * len(request.imp)
    placements = [stored.get(imp.tagid) if imp.tagid else None for imp in request.imp]
    if publisher_id in market.publishers:
        faults = [
            Fault(f"imp[{index}].tagid", "names a placement of another publisher than the request's")
            for index, placement in enumerate(placements)
            if placement is not None and placement.terms.publisher_id != publisher_id
        ]
        if faults:
            raise InvalidInput(faults)
    return placements


def _auction_type_of(placements: list[RegisteredPlacement | None]) -> int:
    """The kind that all placements agree on, else the specification's default."""
    all_first = all(each is not None and each.terms.auction == "first_price" for each in placements)
    return FIRST_PRICE if all_first else SECOND_PRICE


def _imp_on_sale(imp: Imp, placement: RegisteredPlacement | None, seller: _Seller) -> ImpOnSale:
    market = seller.market
    publisher_id = seller.publisher_id if placement is None else placement.terms.publisher_id
    publisher = market.publishers.get(publisher_id)
    inventory = inventory_of(seller.request, imp, publisher_id)
    stored = None if placement is None else placement.terms
    floor, floors_by_ad = floors_of(imp, stored, publisher, inventory=inventory, terms=seller.terms)
    pmp = imp.pmp
    registered = NO_DEALS
    if market.deals:
        registered = market.deal_book(seller.terms.currency).covering("" if placement is None else placement.id)
    return ImpOnSale(
        imp,
        placement,
        inventory,
        media_types_of(imp),
        floor,
        floors_by_ad,
        seller.default_share_bps if publisher is None else publisher.share_bps,
        deals_on_sale(pmp.deals if pmp is not None else None, registered, seller.terms, _longest_ad(imp)),
        registered,
        pmp is not None and pmp.private_auction == 1,
        PLACEMENT_PAUSED if placement is not None and placement.status != "active" else None,
    )


def _longest_ad(imp: Imp) -> int | None:
    """Seconds that a video or audio ad for the imp may run at most, where that is known."""
    known = [longest_ad(offered) for offered in (imp.video, imp.audio) if offered is not None]
    return max((each for each in known if each is not None), default=None)


def _set(values: tuple[str, ...] | None) -> frozenset[str]:
    return frozenset(values) if values else NOTHING
