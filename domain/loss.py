"""Why a bid that was in the ranking did not win, as its bidder may learn it: OpenRTB 2.6 section 4.4.1."""

from __future__ import annotations

from typing import NamedTuple

from domain.auction import AGREED_PRICE
from domain.events import AuctionAwarded, AuctionUnsold, BidPlaced
from domain.openrtb.codes import LossReason


class Loss(NamedTuple):
    """`${AUCTION_LOSS}` and `${AUCTION_MIN_TO_WIN}`."""

    code: int
    min_to_win_micros: int | None
    """In the auction's currency; None where no price alone would have won."""


def loss_of(bid: BidPlaced, decision: AuctionAwarded | AuctionUnsold) -> Loss:
    """Why the bid lost the imp that the decision is about.

    What would have won is what the winner pays (the worked table of the specification), for an agreed price what it
    bid. A bid without a deal cannot go before one with a deal, nor one that stepped back with its group before any.
    """
    if isinstance(decision, AuctionUnsold) or bid.bidder_id in decision.withdrawn:
        return Loss(LossReason.LOST_TO_HIGHER_BID, None)
    if decision.deal_id is not None and bid.deal_id is None:
        return Loss(LossReason.LOST_TO_DEAL, None)
    return Loss(LossReason.LOST_TO_HIGHER_BID, _price_to_beat(decision))


def loss_beside(code: int, decision: AuctionAwarded | AuctionUnsold) -> Loss:
    """Why another bid of a bidder lost, that was refused or less good than the one that competed, which `code` says."""
    if isinstance(decision, AuctionUnsold) or code != LossReason.LOST_TO_HIGHER_BID:
        return Loss(code, None)
    return Loss(code, _price_to_beat(decision))


def _price_to_beat(award: AuctionAwarded) -> int:
    return award.price_micros if award.auction_type == AGREED_PRICE else award.clearing_price_micros
