"""Which bidders are asked: the reasons to pass one over, in the order in which they are looked for."""

from __future__ import annotations

from domain.catalogue import Bidder
from domain.openrtb.codes import NonBidStatus
from domain.sale import Sale
from domain.skip import ROBOT, Skip


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
