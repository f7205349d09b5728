"""Which bidders are asked: the reasons to pass one over, in the order in which they are looked for."""

from __future__ import annotations

from typing import NamedTuple

from domain.catalogue import Bidder
from domain.openrtb.codes import NoBidReason, NonBidStatus
from domain.sale import Sale


class Skip(NamedTuple):
    """Why a bidder is not asked."""

    code: int
    """A seat-non-bid status, which includes the no-bid reasons."""
    reason: str


ROBOT = Skip(NoBidReason.KNOWN_CRAWLER, "Not asked: the page was fetched by a known robot.")
OVER_QUOTA = Skip(NonBidStatus.REQUEST_BLOCKED, "Not asked: the bidder's limit of requests per second is reached.")
NO_TIME = Skip(NonBidStatus.OPTIMIZED, "Not asked: too little of the auction's time was left.")


def reason_to_skip(bidder: Bidder, sale: Sale, *, is_robot: bool) -> Skip | None:
    """The first reason not to ask the bidder for any of the imps; None: it is asked."""
    if is_robot:
        return ROBOT
    if bidder.seats:
        if sale.seats_allowed and sale.seats_allowed.isdisjoint(bidder.seats):
            return Skip(NonBidStatus.REQUEST_BLOCKED, "Not asked: none of the bidder's seats is allowed (wseat).")
        if sale.seats_blocked.issuperset(bidder.seats):
            return Skip(NonBidStatus.REQUEST_BLOCKED, "Not asked: all of the bidder's seats are blocked (bseat).")
    if bidder.media_types and not any(
        media_type in bidder.media_types for each in sale.imps.values() for media_type in each.media_types
    ):
        return Skip(
            NonBidStatus.MEDIA_TYPE_UNSUPPORTED, f"Not asked: the bidder buys {' and '.join(bidder.media_types)} only."
        )
    if bidder.countries and sale.country not in bidder.countries:
        where = sale.country or "an unknown country"
        return Skip(NonBidStatus.REQUEST_BLOCKED, f"Not asked: the bidder does not buy in {where}.")
    return None
