"""Deals that an imp can be bought under: those that the request lists, and those that the catalogue adds.

OpenRTB 2.6 sections 3.2.11, 3.2.12 and 7.3.
"""

from __future__ import annotations

import msgspec

from domain.currency import Rates
from domain.events import DealOffered
from domain.floors import Floor, floor_of
from domain.money import micros_from_decimal
from domain.openrtb.request import Deal

NO_SEATS: tuple[str, ...] = ()


class DealOnSale(msgspec.Struct, frozen=True, gc=False):
    """A deal of the request, registered with the exchange or not."""

    id: str
    floor: Floor
    """For `at` 3 the agreed price."""
    at: int | None
    """The deal's own auction type."""
    wseat: tuple[str, ...] = NO_SEATS
    """Empty: all seats."""
    wadomain: tuple[str, ...] = NO_SEATS
    """Empty: all advertisers."""
    bidder_ids: frozenset[str] | None = None
    """None: everybody."""
    is_registered: bool = False

    def floor_for(self, duration: int | None) -> Floor:
        """The floor of an ad of so many seconds; None: it has no duration, or does not say."""
        return self.floor

    @property
    def offered(self) -> DealOffered:
        return DealOffered(
            deal_id=self.id,
            floor_micros=self.floor.micros,
            at=self.at,
            is_registered=self.is_registered,
            stated_floor=self.floor.stated,
        )


def deal_of_request(deal: Deal, *, currency: str, rates: Rates) -> DealOnSale:
    """A deal as the request states it; its floor's currency is not the imp's."""
    floor = floor_of(micros_from_decimal(deal.bidfloor), deal.bidfloorcur, "The deal's", currency=currency, rates=rates)
    return DealOnSale(deal.id, floor, deal.at, deal.wseat or NO_SEATS, deal.wadomain or NO_SEATS)
