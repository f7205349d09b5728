"""What a bid's price is in the auction, and whether it reaches its floor.

OpenRTB 2.6 sections 3.2.4 (`bidfloor`), 3.2.12, 4.2.1 (`cur`) and 4.2.3 (`price`).
"""

from __future__ import annotations

from functools import reduce
from typing import NamedTuple

from domain.bid_rules.media import RUNNING, tells_media_type
from domain.bid_rules.refusal import Refusal
from domain.catalogue import MediaType
from domain.deals import DealOnSale
from domain.event_parts import StatedPrice
from domain.floors import Floor, higher
from domain.limits import BASIS_POINTS, MICROS_PER_UNIT, PRICE_MAX_MICROS
from domain.market import RegisteredBidder
from domain.money import cpm_text
from domain.openrtb.codes import LossReason
from domain.openrtb.response import Bid
from domain.sale import ImpOnSale, Sale

NO_RATE = "and there is no rate between them."
"""How the reasons end that a rate would do away with."""


class Priced(NamedTuple):
    """A price that reaches its floor, both in micros of the auction's currency."""

    price_micros: int
    floor_micros: int
    stated: StatedPrice | None
    """As the bidder stated it, where that is in another currency or adjusted."""


def priced(
    bid: Bid,
    bidder: RegisteredBidder,
    sale: Sale,
    for_sale: ImpOnSale,
    *,
    currency: str,
    deal: DealOnSale | None,
    media_type: MediaType,
    duration: int | None,
) -> Priced | Refusal:
    """The price, stated in `currency`, if it reaches the floor: the deal's for a bid under one, else the imp's."""
    price = sale.price_of(bid.price, currency, bidder.terms)
    if price is None:
        return Refusal(
            LossReason.INVALID_RESPONSE,
            f"The bid is in {currency}, the auction in {sale.currency}, {NO_RATE}",
        )
    micros, stated = price
    if micros > PRICE_MAX_MICROS:
        limit = f"{PRICE_MAX_MICROS // MICROS_PER_UNIT} {sale.currency}"
        return Refusal(LossReason.INVALID_RESPONSE, f"The price is above {limit}, which nobody pays.")
    if not micros and deal is None:
        return _without_price(bid, stated)
    if deal is None:
        floor, below = _floor_of_imp(bid, for_sale, media_type, duration), LossReason.BELOW_FLOOR
    else:
        floor, below = _floor_of_deal(bid, deal, media_type, duration), LossReason.BELOW_DEAL_FLOOR
    if floor.micros is None:
        return Refusal(below, _out_of_reach(floor, sale.currency))
    if micros < floor.micros:
        return Refusal(below, _below(micros, stated, floor, sale.currency))
    return Priced(micros, floor.micros, stated)


def _floor_of_imp(bid: Bid, for_sale: ImpOnSale, media_type: MediaType, duration: int | None) -> Floor:
    """The highest that the ad may be under, where the bid does not say of which type it is."""
    size = (bid.w, bid.h) if bid.w and bid.h else None
    if for_sale.floors_by_ad is None or tells_media_type(bid):
        return for_sale.floor_for(media_type, size, duration)
    return reduce(higher, (for_sale.floor_for(each, size, duration) for each in for_sale.media_types))


def _floor_of_deal(bid: Bid, deal: DealOnSale, media_type: MediaType, duration: int | None) -> Floor:
    """What a deal asks by duration is asked of ads that run."""
    runs = media_type in RUNNING or not tells_media_type(bid)
    return deal.floor_for(duration) if runs else deal.floor


def _without_price(bid: Bid, stated: StatedPrice | None) -> Refusal:
    if bid.price and stated is not None:
        why = f"Nothing is left of the price {_stated_text(stated)}, "
    else:
        why = "The price is 0, "
    return Refusal(LossReason.MISSING_PRICE, why + "which only a bid under a deal may offer.")


def _out_of_reach(floor: Floor, currency: str) -> str:
    if floor.stated is None:
        return f"{floor.whose} floor is by the second, and the bid does not say how long its ad runs (dur)."
    return f"{floor.whose} floor is in {floor.stated.currency}, the auction in {currency}, {NO_RATE}"


def _below(micros: int, stated: StatedPrice | None, floor: Floor, currency: str) -> str:
    assert floor.micros is not None, "what is out of reach is told otherwise"
    bid = cpm_text(micros) if stated is None else f"{cpm_text(micros)} ({_stated_text(stated)})"
    stated_floor = "" if floor.stated is None else f" ({cpm_text(floor.stated.price_micros)} {floor.stated.currency})"
    return f"{floor.whose} floor is {cpm_text(floor.micros)} {currency}{stated_floor}, the bid {bid}."


def _stated_text(stated: StatedPrice) -> str:
    """How the price comes about: '1.00 EUR at 1.1, of which 90 % compete'."""
    text = f"{cpm_text(stated.price_micros)} {stated.currency} at {stated.rate}"
    if stated.adjustment_bps == BASIS_POINTS:
        return text
    return f"{text}, of which {stated.adjustment_bps / (BASIS_POINTS // 100):g} % compete"
