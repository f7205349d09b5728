"""The catalogue as one auction sees it: everybody who may buy, and on what terms. Replaced whole, never mutated."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from types import MappingProxyType
from typing import Any

import msgspec

from domain.catalogue import Bidder, Deal, Placement, Publisher, Status
from domain.currency import NO_RATES, Rates
from domain.deals import DealBook
from domain.direct.index import NO_CAMPAIGNS, DirectIndex
from domain.floors import FloorTerms
from domain.limits import AUCTION_CURRENCIES_CACHED_MAX

_NOTHING: Mapping[str, Any] = MappingProxyType({})


class RegisteredBidder(msgspec.Struct, frozen=True):
    """A bidder as auctions see it."""

    id: str
    version: int
    status: Status
    terms: Bidder


class RegisteredPlacement(msgspec.Struct, frozen=True):
    """A placement that is not archived; a paused one, or one of a paused publisher, sells nothing."""

    id: str
    status: Status
    terms: Placement


class Market(msgspec.Struct, frozen=True, dict=True):
    """What stands in the catalogue at one moment."""

    bidders: tuple[RegisteredBidder, ...] = ()
    """Active ones, oldest first."""
    placements: Mapping[str, RegisteredPlacement] = _NOTHING
    publishers: Mapping[str, Publisher] = _NOTHING
    """All but archived ones."""
    deals: Mapping[str, Deal] = _NOTHING
    """Active ones, by the id that bids name."""
    rates: Rates = NO_RATES
    direct: DirectIndex = NO_CAMPAIGNS
    """The exchange's own campaigns, those that may bid."""
    feed_clients: frozenset[str] = frozenset()
    """The names of the active ones."""

    def replaced(
        self,
        *,
        bidders: tuple[RegisteredBidder, ...],
        placements: Mapping[str, RegisteredPlacement],
        publishers: Mapping[str, Publisher],
        deals: Mapping[str, Deal],
        rates: Rates,
        direct: DirectIndex,
        feed_clients: frozenset[str],
    ) -> Market:
        """The next market. Where neither deals nor rates are new, it goes on with the deal books of this one."""
        market = Market(bidders, placements, publishers, deals, rates, direct, feed_clients)
        if deals is self.deals and rates is self.rates:
            market.__dict__["_deal_books"] = self._deal_books
        return market

    def deal_book(self, currency: str) -> DealBook:
        """The deals with their floors in this currency."""
        books = self._deal_books
        if currency not in books:
            if len(books) >= AUCTION_CURRENCIES_CACHED_MAX:
                books.clear()
            books[currency] = DealBook(self.deals, FloorTerms(currency, self.rates))
        return books[currency]

    @cached_property
    def registered_seats(self) -> frozenset[str]:
        """Every seat that a bidder has for itself."""
        return frozenset(seat for bidder in self.bidders for seat in bidder.terms.seats)

    @cached_property
    def _deal_books(self) -> dict[str, DealBook]:
        return {}
