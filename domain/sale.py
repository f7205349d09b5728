"""What a bid request puts on sale, in the auction's own terms: floors in micros, deals by id, blocks as sets."""

from __future__ import annotations

import msgspec

from domain.catalogue import MediaType
from domain.events import ImpOffered, Inventory
from domain.money import micros_from_decimal
from domain.openrtb.offer import auction_type_of, currency_of, floor_micros, inventory_of, media_types_of
from domain.openrtb.request import Banner, BidRequest, Deal, Imp

NOTHING: frozenset[str] = frozenset()


class DealOnSale(msgspec.Struct, frozen=True, gc=False):
    """A deal of the request, registered with the exchange or not."""

    deal: Deal
    floor_micros: int
    """In `floor_currency`; for `at` 3 the agreed price."""
    floor_currency: str


class ImpOnSale(msgspec.Struct, frozen=True, gc=False):
    """One imp, and what a bid for it must keep to."""

    imp: Imp
    inventory: Inventory
    media_types: tuple[MediaType, ...]
    floor_micros: int
    """In `floor_currency`."""
    floor_currency: str
    deals: dict[str, DealOnSale]
    is_private: bool
    """Only bids under one of the deals are admitted."""

    @property
    def offered(self) -> ImpOffered:
        return ImpOffered(
            imp_id=self.imp.id, floor_micros=self.floor_micros, inventory=self.inventory, media_types=self.media_types
        )


class Sale(msgspec.Struct, frozen=True, gc=False):
    """The whole request."""

    request: BidRequest
    auction_type: int
    currency: str
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


def on_sale(request: BidRequest) -> Sale:
    """Reads the request once, so that judging a bid need not."""
    return Sale(
        request,
        auction_type_of(request),
        currency_of(request),
        {imp.id: _imp_on_sale(request, imp) for imp in request.imp},
        _set(request.wseat),
        _set(request.bseat),
        request.badv or (),
        _set(request.bapp),
        _set(request.bcat),
        _set(request.acat),
    )


def allows_size(imp: Imp, banner: Banner, width: int, height: int) -> bool:
    """Whether a banner of this size may be shown: one of the listed sizes, or of a flexible format's proportions.

    No sizes listed means any; an interstitial may be smaller than the space.
    """
    formats = banner.format or ()
    sizes = [(each.w, each.h) for each in formats if each.w and each.h]
    if banner.w and banner.h:
        sizes.append((banner.w, banner.h))
    proportions = [each for each in formats if each.wratio and each.hratio]
    if (width, height) in sizes or not (sizes or proportions):
        return True
    if imp.instl == 1 and any(width <= (w or 0) and height <= (h or 0) for w, h in sizes):
        return True
    return any(
        width * (each.hratio or 0) == height * (each.wratio or 0) and width >= (each.wmin or 0) for each in proportions
    )


def _imp_on_sale(request: BidRequest, imp: Imp) -> ImpOnSale:
    pmp = imp.pmp
    deals = pmp.deals if pmp is not None else None
    return ImpOnSale(
        imp,
        inventory_of(request, imp),
        media_types_of(imp),
        floor_micros(imp),
        imp.bidfloorcur,
        {deal.id: DealOnSale(deal, micros_from_decimal(deal.bidfloor), deal.bidfloorcur) for deal in deals or ()},
        pmp is not None and pmp.private_auction == 1,
    )


def _set(values: tuple[str, ...] | None) -> frozenset[str]:
    return frozenset(values) if values else NOTHING
