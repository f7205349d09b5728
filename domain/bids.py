"""Whether a bid may enter the ranking: the rules of `bid_rules` for one bid, in the order in which they are looked at.

Each refusal has its IAB loss reason and a sentence. OpenRTB 2.6 sections 4.2.2 and 4.2.3 (bids), 4.5 (loss reasons).
"""

from __future__ import annotations

from typing import NamedTuple

from domain.bid_rules.block_lists import block_list_refusal, malformed_advertiser_refusal
from domain.bid_rules.language import language_refusal
from domain.bid_rules.media import RUNNING, media_refusal, media_type_of, tells_media_type
from domain.bid_rules.playback import duration_of, playback_refusal
from domain.bid_rules.prices import priced
from domain.bid_rules.refusal import Refusal
from domain.bid_rules.required_fields import required_field_refusal
from domain.bid_rules.seats_and_deals import deal_refusal, seat_refusal
from domain.bid_rules.secure import secure_refusal
from domain.bid_rules.sizes import size_refusal
from domain.bid_rules.tracking import tracking_refusal
from domain.catalogue import MediaType
from domain.deals import DealOnSale
from domain.event_parts import StatedPrice
from domain.market import RegisteredBidder
from domain.openrtb.codes import LossReason
from domain.openrtb.parse import ParsedBid
from domain.openrtb.response import Bid
from domain.sale import ImpOnSale, Sale


class Admitted(NamedTuple):
    """A bid that competes, its price and floor in the auction's currency."""

    price_micros: int
    floor_micros: int
    deal: DealOnSale | None
    media_type: MediaType
    stated: StatedPrice | None = None
    """The price as the bidder stated it, where that is in another currency or adjusted."""


def judge(
    parsed: ParsedBid, bidder: RegisteredBidder, sale: Sale, for_sale: ImpOnSale, currency: str
) -> Admitted | Refusal:
    """Admits a bidder's bid for the imp or says why not: the first broken rule. `currency` is the response's."""
    bid = parsed.bid
    deal = for_sale.deals.get(bid.dealid) if bid.dealid else None
    media_type = media_type_of(bid, for_sale.media_types)
    refusal = (
        seat_refusal(parsed.seat, bidder, sale)
        or deal_refusal(parsed, bidder, for_sale, deal)
        or media_refusal(bid, for_sale, media_type)
        or _advertising_refusal(parsed, sale, for_sale, media_type)
    )
    if refusal is not None:
        return refusal
    if not (bid.adm or bid.nurl):
        return Refusal(LossReason.MISSING_MARKUP, "The bid has neither markup (adm) nor an address for it (nurl).")
    duration = duration_of(bid) if media_type in RUNNING or not tells_media_type(bid) else None
    refusal = _showing_refusal(bid, for_sale, media_type, duration)
    if refusal is not None:
        return refusal
    price = priced(bid, bidder, sale, for_sale, currency=currency, deal=deal, media_type=media_type, duration=duration)
    if isinstance(price, Refusal):
        return price
    refusal = tracking_refusal(bid, media_type)
    if refusal is not None:
        return refusal
    return Admitted(price.price_micros, price.floor_micros, deal, media_type, price.stated)


def _advertising_refusal(parsed: ParsedBid, sale: Sale, for_sale: ImpOnSale, media_type: MediaType) -> Refusal | None:
    """Who advertises what, in which words."""
    bid, placement = parsed.bid, for_sale.placement
    return (
        (malformed_advertiser_refusal(bid) if bid.adomain else None)
        or (required_field_refusal(bid, placement.terms) if placement is not None else None)
        or block_list_refusal(parsed, sale, for_sale, media_type)
        or language_refusal(bid, sale.request)
    )


def _showing_refusal(bid: Bid, for_sale: ImpOnSale, media_type: MediaType, duration: int | None) -> Refusal | None:
    """Whether the space, the player and the page can show the ad."""
    return (
        (size_refusal(bid, for_sale) if media_type == "banner" else None)
        or playback_refusal(bid, for_sale.imp, media_type, duration)
        or (secure_refusal(bid, media_type) if for_sale.imp.secure == 1 else None)
    )
