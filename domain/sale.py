"""What a bid request puts on sale, in the auction's own terms: floors in micros, deals by id, blocks as sets."""

from __future__ import annotations

from decimal import Decimal

import msgspec

from domain.catalogue import Bidder, MediaType
from domain.currency import Rates, bid_converted, rate_text
from domain.deals import DealOnSale, deal_of_request
from domain.events import ImpOffered, Inventory, StatedPrice
from domain.floors import Floor, floor_of
from domain.limits import BASIS_POINTS
from domain.market import Market, RegisteredPlacement
from domain.money import micros_from_decimal
from domain.openrtb.offer import auction_type_of, currency_of, floor_micros, inventory_of, media_types_of
from domain.openrtb.parse import Members
from domain.openrtb.request import BidRequest, Imp
from domain.skip import Skip

NOTHING: frozenset[str] = frozenset()


class ImpOnSale(msgspec.Struct, frozen=True, gc=False):
    """One imp, and what a bid for it must keep to."""

    imp: Imp
    placement: RegisteredPlacement | None
    """The one that `tagid` names; its block lists and required fields hold beside the request's."""
    inventory: Inventory
    media_types: tuple[MediaType, ...]
    floor: Floor
    """The lowest that a bid outside of deals can have."""
    share_bps: int
    """What the publisher gets of the clearing price."""
    deals: dict[str, DealOnSale]
    """By id, all that somebody may bid under."""
    is_private: bool
    """Only bids under one of the deals are admitted."""
    closed: Skip | None
    """Why nobody is asked for it."""

    def floor_for(self, media_type: MediaType, size: tuple[int, int] | None, duration: int | None) -> Floor:
        """The floor of such an ad outside of deals; None: it has no size or duration, or does not say."""
        return self.floor

    def allows_size(self, width: int, height: int) -> bool:
        """Whether a banner of this size may be shown: a listed size, or one of a flexible format's proportions.

        Where the banner lists none the placement's count; none at all means any. An interstitial may be smaller.
        """
        banner = self.imp.banner
        if banner is None:
            return False
        formats = banner.format or ()
        sizes = [(each.w, each.h) for each in formats if each.w and each.h]
        if banner.w and banner.h:
            sizes.append((banner.w, banner.h))
        proportions = [each for each in formats if each.wratio and each.hratio]
        if not (sizes or proportions) and self.placement is not None:
            return not self.placement.terms.sizes or (width, height) in self.placement.terms.sizes
        if (width, height) in sizes or not (sizes or proportions):
            return True
        if self.imp.instl == 1 and any(width <= (w or 0) and height <= (h or 0) for w, h in sizes):
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
            deals=tuple(deal.offered for deal in self.deals.values()),
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
    advertisers_blocked: tuple[str, ...]
    apps_blocked: frozenset[str]
    categories_blocked: frozenset[str]
    categories_allowed: frozenset[str]
    """Empty: all."""

    @property
    def country(self) -> str:
        """ISO 3166-1 alpha-3, empty if unknown; one for all imps."""
        return next(iter(self.imps.values())).inventory.country

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

    A publisher of which the catalogue knows no share gets the default one.
    """
    currency = currency_of(request)
    return Sale(
        request,
        auction_type_of(request),
        currency,
        market.rates,
        {imp.id: _imp_on_sale(request, imp, currency, market, default_share_bps) for imp in request.imp},
        _set(request.wseat),
        _set(request.bseat),
        request.badv or (),
        _set(request.bapp),
        _set(request.bcat),
        _set(request.acat),
    )


def _imp_on_sale(request: BidRequest, imp: Imp, currency: str, market: Market, share_bps: int) -> ImpOnSale:
    pmp = imp.pmp
    deals = pmp.deals if pmp is not None else None
    return ImpOnSale(
        imp,
        None,
        inventory_of(request, imp),
        media_types_of(imp),
        floor_of(floor_micros(imp), imp.bidfloorcur, "The imp's", currency=currency, rates=market.rates),
        share_bps,
        {deal.id: deal_of_request(deal, currency=currency, rates=market.rates) for deal in deals or ()},
        pmp is not None and pmp.private_auction == 1,
        None,
    )


def _set(values: tuple[str, ...] | None) -> frozenset[str]:
    return frozenset(values) if values else NOTHING
