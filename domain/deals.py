"""Deals that an imp can be bought under: those that the request lists, and those that the catalogue adds.

OpenRTB 2.6 sections 3.2.11, 3.2.12 and 7.3. A deal that both name has the request's terms, and the catalogue's bounds.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

import msgspec

from domain import catalogue
from domain.auction import AGREED_PRICE, FIRST_PRICE, SECOND_PRICE
from domain.domain_names import domain_names, is_within_any
from domain.event_parts import DealOffered
from domain.floors import DurationFloors, Floor, FloorTerms, higher
from domain.money import micros_from_decimal
from domain.openrtb.request import Deal

ALL: tuple[str, ...] = ()
NOBODY: frozenset[str] = frozenset()
_AUCTION_TYPES = {"first_price": FIRST_PRICE, "second_price": SECOND_PRICE, "fixed_price": AGREED_PRICE}
_THE_DEALS = "The deal's"


class DealOnSale(msgspec.Struct, frozen=True, gc=False):
    """A deal that an imp can be bought under."""

    id: str
    floor: Floor
    """For `at` 3 the agreed price."""
    at: int | None
    """The deal's own auction type."""
    wseat: tuple[str, ...] = ALL
    """Empty: all seats."""
    wadomain: tuple[str, ...] = ALL
    """Empty: all advertisers."""
    bidder_ids: frozenset[str] | None = None
    """None: everybody."""
    is_registered: bool = False
    advertisers: frozenset[str] = NOBODY
    """`wadomain` in one spelling."""
    by_duration: DurationFloors | None = None
    """In the place of `floor`, where it says something of the ad's duration."""
    least: Floor | None = None
    """What the catalogue asks for whatever the duration, where the request asks by duration."""

    def floor_for(self, duration: int | None) -> Floor:
        """The floor of an ad of so many seconds; None: it has no duration, or does not say."""
        floor = None if self.by_duration is None else self.by_duration.for_duration(duration)
        if floor is None:
            return self.floor
        return floor if self.least is None else higher(floor, self.least)

    @property
    def offered(self) -> DealOffered:
        return DealOffered(
            deal_id=self.id,
            floor_micros=self.floor.micros,
            at=self.at,
            is_registered=self.is_registered,
            stated_floor=self.floor.stated,
        )


class RegisteredDeals(msgspec.Struct, frozen=True, gc=False):
    """The catalogue's deals for one placement."""

    deals: Mapping[str, DealOnSale] = MappingProxyType({})
    ids_of_bidder: Mapping[str, tuple[str, ...]] = MappingProxyType({})
    """By bidder: the deals that are offered to it."""


NO_DEALS = RegisteredDeals()


class DealBook:
    """The catalogue's deals in one currency, found by placement. Never changes."""

    def __init__(self, deals: Mapping[str, catalogue.Deal], terms: FloorTerms) -> None:
        self._everywhere: list[DealOnSale] = []
        self._by_placement: dict[str, list[DealOnSale]] = {}
        for deal_id, deal in deals.items():
            on_sale = _registered(deal_id, deal, terms)
            if not deal.placement_ids:
                self._everywhere.append(on_sale)
            for placement_id in deal.placement_ids:
                self._by_placement.setdefault(placement_id, []).append(on_sale)
        self._everywhere_alone = _indexed(self._everywhere)
        self._found: dict[str, RegisteredDeals] = {}

    def __repr__(self) -> str:
        return f"DealBook(everywhere={len(self._everywhere)}, placements={len(self._by_placement)})"

    def covering(self, placement_id: str) -> RegisteredDeals:
        """The deals that an imp of the placement (empty: of none) can be bought under."""
        of_it = self._by_placement.get(placement_id)
        if of_it is None:
            return self._everywhere_alone
        if placement_id not in self._found:
            self._found[placement_id] = _indexed([*self._everywhere, *of_it])
        return self._found[placement_id]


def deals_on_sale(
    stated: Iterable[Deal] | None, registered: RegisteredDeals, terms: FloorTerms, longest: int | None
) -> Mapping[str, DealOnSale]:
    """By id: the request's first, then those that the catalogue adds. `longest` is the longest ad of the imp."""
    if not stated:
        return registered.deals
    own = {deal.id: _stated(deal, registered.deals.get(deal.id), terms, longest) for deal in stated}
    return own | {deal_id: deal for deal_id, deal in registered.deals.items() if deal_id not in own}


def _stated(deal: Deal, registered: DealOnSale | None, terms: FloorTerms, longest: int | None) -> DealOnSale:
    """A deal as the request states it; its floor's currency is not the imp's."""
    floor = terms.floor(micros_from_decimal(deal.bidfloor), deal.bidfloorcur, _THE_DEALS)
    on_sale = DealOnSale(
        deal.id,
        floor,
        deal.at,
        deal.wseat or ALL,
        deal.wadomain or ALL,
        advertisers=domain_names(deal.wadomain) if deal.wadomain else NOBODY,
        by_duration=(
            terms.by_duration(deal, deal.bidfloorcur, _THE_DEALS, longest=longest)
            if deal.durfloors or deal.mincpmpersec
            else None
        ),
    )
    return on_sale if registered is None else _within_both(on_sale, registered)


def _within_both(stated: DealOnSale, registered: DealOnSale) -> DealOnSale:
    """The request's terms, inside of the catalogue's bounds."""
    seats, advertisers = _common_seats(stated, registered), _common_advertisers(stated, registered)
    return DealOnSale(
        stated.id,
        higher(stated.floor, registered.floor),
        registered.at if stated.at is None else stated.at,
        seats or ALL,
        advertisers or ALL,
        NOBODY if seats is None or advertisers is None else registered.bidder_ids,
        is_registered=True,
        advertisers=domain_names(advertisers) if advertisers else NOBODY,
        by_duration=stated.by_duration,
        least=registered.floor,
    )


def _common_seats(first: DealOnSale, second: DealOnSale) -> tuple[str, ...] | None:
    """The seats that both let in, where an empty list lets in all; None: nobody."""
    if not (first.wseat and second.wseat):
        return first.wseat or second.wseat
    of_second = frozenset(second.wseat)
    return tuple(dict.fromkeys(seat for seat in first.wseat if seat in of_second)) or None


def _common_advertisers(first: DealOnSale, second: DealOnSale) -> tuple[str, ...] | None:
    """The same for advertisers: the narrower of a domain and one below it."""
    if not (first.wadomain and second.wadomain):
        return first.wadomain or second.wadomain
    narrower = [each for each in first.wadomain if is_within_any(each, second.advertisers)]
    narrower += [each for each in second.wadomain if is_within_any(each, first.advertisers)]
    return tuple(dict.fromkeys(narrower)) or None


def _registered(deal_id: str, deal: catalogue.Deal, terms: FloorTerms) -> DealOnSale:
    return DealOnSale(
        deal_id,
        terms.floor(deal.floor_micros, deal.currency, _THE_DEALS),
        _AUCTION_TYPES[deal.auction],
        deal.wseat,
        deal.wadomain,
        frozenset(deal.bidder_ids),
        is_registered=True,
        advertisers=domain_names(deal.wadomain),
    )


def _indexed(deals: Iterable[DealOnSale]) -> RegisteredDeals:
    by_id = {deal.id: deal for deal in deals}
    if not by_id:
        return NO_DEALS
    ids_of_bidder: dict[str, list[str]] = {}
    for deal in by_id.values():
        for bidder_id in deal.bidder_ids or NOBODY:
            ids_of_bidder.setdefault(bidder_id, []).append(deal.id)
    return RegisteredDeals(by_id, {bidder_id: tuple(ids) for bidder_id, ids in ids_of_bidder.items()})
