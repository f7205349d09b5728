"""Which bidders are asked, and for which imps: the reasons to pass one over, in the order of looking for them."""

from __future__ import annotations

from domain.catalogue import Bidder
from domain.openrtb.codes import NonBidStatus
from domain.sale import ImpOnSale, Sale
from domain.skip import ROBOT, Skip


def reason_to_skip(bidder: Bidder, sale: Sale, *, is_robot: bool) -> Skip | None:
    """The first reason not to ask the bidder for any of the imps; None: there is none that holds for all."""
    if is_robot:
        return ROBOT
    if bidder.seats:
        if sale.seats_allowed and sale.seats_allowed.isdisjoint(bidder.seats):
            return _blocked("none of the bidder's seats is allowed (wseat)")
        if sale.seats_blocked.issuperset(bidder.seats):
            return _blocked("all of the bidder's seats are blocked (bseat)")
    if bidder.countries and sale.country not in bidder.countries:
        return _blocked(f"the bidder does not buy in {sale.country or 'an unknown country'}")
    if bidder.device_types and sale.device_type not in bidder.device_types:
        what = f"devices of type {sale.device_type}" if sale.device_type else "unknown devices"
        return _blocked(f"the bidder does not buy on {what}")
    return None


def reason_not_to_offer(bidder: Bidder, for_sale: ImpOnSale) -> Skip | None:
    """The first reason not to ask the bidder for this imp; None: it is asked."""
    if for_sale.closed is not None:
        return for_sale.closed
    if bidder.placement_ids and (for_sale.placement is None or for_sale.placement.id not in bidder.placement_ids):
        return _blocked("the bidder does not buy this placement")
    bought = bidder.media_types
    wanted = [each for each in for_sale.media_types if not bought or each in bought]
    if not wanted:
        return Skip(NonBidStatus.MEDIA_TYPE_UNSUPPORTED, f"Not asked: the bidder buys {' and '.join(bought)} only.")
    if bidder.sizes and wanted == ["banner"] and not any(for_sale.allows_size(*size) for size in bidder.sizes):
        return _blocked("the bidder buys none of the banner's sizes")
    return None


def has_targets_of_imps(bidder: Bidder) -> bool:
    """Whether the bidder wants some imps and not others of one request."""
    return bool(bidder.media_types or bidder.sizes or bidder.placement_ids)


def _blocked(why: str) -> Skip:
    return Skip(NonBidStatus.REQUEST_BLOCKED, f"Not asked: {why}.")
