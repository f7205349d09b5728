"""Whether the seat may buy here, and under the deal that its bid names.

OpenRTB 2.6 sections 3.2.1 (`wseat`, `bseat`), 3.2.11, 3.2.12 and 7.3.
"""

from __future__ import annotations

from domain.bid_rules.refusal import Refusal, clip, listing
from domain.deals import DealOnSale
from domain.domain_names import is_within_any
from domain.market import RegisteredBidder
from domain.openrtb.codes import LossReason
from domain.openrtb.parse import ParsedBid
from domain.openrtb.response import Bid
from domain.sale import ImpOnSale, Sale


def seat_refusal(seat: str, bidder: RegisteredBidder, sale: Sale) -> Refusal | None:
    """A seat that the bid names must be the bidder's; it must be allowed and not blocked by the request.

    Who registered no seats may name any but those that others registered.
    """
    own = bidder.terms.seats
    if seat and own and seat not in own:
        return Refusal(LossReason.SEAT_BLOCKED, f"The seat {clip(seat)!r} is none of the bidder's.")
    if not own and seat in sale.seats_registered:
        return Refusal(LossReason.SEAT_BLOCKED, f"The seat {clip(seat)!r} is registered by another bidder.")
    if sale.seats_allowed and seat not in sale.seats_allowed:
        return Refusal(LossReason.SEAT_BLOCKED, f"The seat {clip(seat)!r} is not among the allowed ones (wseat).")
    if seat in sale.seats_blocked:
        return Refusal(LossReason.SEAT_BLOCKED, f"The seat {clip(seat)!r} is blocked (bseat).")
    return None


def deal_refusal(
    parsed: ParsedBid, bidder: RegisteredBidder, for_sale: ImpOnSale, deal: DealOnSale | None
) -> Refusal | None:
    """`deal` is what the bid's `dealid` stands for, if it stands for something; a private auction needs one."""
    dealid = parsed.bid.dealid
    if not dealid:
        if for_sale.is_private:
            return Refusal(LossReason.INVALID_DEAL_ID, "The auction is private and the bid names no deal.")
        return None
    if deal is None:
        return Refusal(LossReason.INVALID_DEAL_ID, f"The imp is not offered under a deal {clip(dealid)!r}.")
    if deal.bidder_ids is not None and bidder.id not in deal.bidder_ids:
        return Refusal(LossReason.INVALID_DEAL_ID, f"The deal {clip(deal.id)!r} is not open to this bidder.")
    if deal.wseat and parsed.seat not in deal.wseat:
        return Refusal(
            LossReason.SEAT_BLOCKED,
            f"The deal {clip(deal.id)!r} is not open to the seat {clip(parsed.seat)!r} (wseat).",
        )
    return _advertiser_refusal(parsed.bid, deal) if deal.wadomain else None


def _advertiser_refusal(bid: Bid, deal: DealOnSale) -> Refusal | None:
    advertisers = bid.adomain or ()
    if advertisers and all(is_within_any(each, deal.advertisers) for each in advertisers):
        return None
    return Refusal(
        LossReason.NOT_ALLOWED_IN_DEAL,
        f"The deal {clip(deal.id)!r} is not open to the advertiser {listing(advertisers)} (wadomain).",
    )
