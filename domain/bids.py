"""Whether a bid may enter the ranking: the rules for one bid, each refusal with its IAB loss reason and a sentence.

OpenRTB 2.6 sections 3.2.1 (block lists), 3.2.11 and 3.2.12 (deals), 4.2.2 and 4.2.3 (bids), 4.5 (loss reasons).
"""

from __future__ import annotations

from typing import NamedTuple

from domain.catalogue import MediaType
from domain.deals import DealOnSale
from domain.endpoint import is_within
from domain.market import RegisteredBidder
from domain.markup import is_native, is_vast
from domain.money import cpm_text
from domain.openrtb.codes import LossReason
from domain.openrtb.parse import ParsedBid
from domain.openrtb.response import Bid
from domain.sale import ImpOnSale, Sale

_MEDIA_TYPES: dict[int, MediaType] = {1: "banner", 2: "video", 3: "audio", 4: "native"}
"""`Bid.mtype`."""
_QUOTED_MAX = 8
_QUOTED_MAX_CHARS = 64


class Refusal(NamedTuple):
    """Why a bid is not in the ranking."""

    code: int
    """IAB loss reason."""
    reason: str


class Admitted(NamedTuple):
    """A bid that competes, its price and floor in the auction's currency."""

    price_micros: int
    floor_micros: int
    deal: DealOnSale | None
    media_type: MediaType


def judge(
    parsed: ParsedBid, bidder: RegisteredBidder, sale: Sale, for_sale: ImpOnSale, currency: str
) -> Admitted | Refusal:
    """Admits a bid for the imp or says why not; `currency` is the response's. The first broken rule decides."""
    bid = parsed.bid
    price = sale.price_of(bid.price, currency, bidder.terms)
    if price is None:
        return Refusal(
            LossReason.INVALID_RESPONSE,
            f"The bid is in {currency}, the auction in {sale.currency}, and there is no rate between them.",
        )
    if parsed.group == 1:
        return Refusal(
            LossReason.INVALID_RESPONSE, "The seat's bids win or lose as a whole (group 1), which is not offered here."
        )
    deal = for_sale.deals.get(bid.dealid) if bid.dealid else None
    media_type = media_type_of(bid, for_sale.media_types)
    refusal = (
        _seat_refusal(parsed.seat, sale)
        or _deal_refusal(parsed, for_sale, deal)
        or _format_refusal(bid, for_sale, media_type)
        or _block_list_refusal(bid, sale, for_sale, media_type)
    )
    if refusal is not None:
        return refusal
    if not (bid.adm or bid.nurl):
        return Refusal(LossReason.MISSING_MARKUP, "The bid has neither markup (adm) nor an address for it (nurl).")
    return _priced(price[0], bid, sale, for_sale, deal, media_type)


def media_type_of(bid: Bid, offered: tuple[MediaType, ...]) -> MediaType:
    """What the bid says it is (`mtype`), else what its markup looks like, else the first one offered."""
    if bid.mtype in _MEDIA_TYPES:
        return _MEDIA_TYPES[bid.mtype]
    markup = bid.adm or ""
    if is_vast(markup):
        return "audio" if "audio" in offered and "video" not in offered else "video"
    if is_native(markup) and "native" in offered:
        return "native"
    return offered[0]


def _seat_refusal(seat: str, sale: Sale) -> Refusal | None:
    if sale.seats_allowed and seat not in sale.seats_allowed:
        return Refusal(LossReason.SEAT_BLOCKED, f"The seat {_clip(seat)!r} is not among the allowed ones (wseat).")
    if seat in sale.seats_blocked:
        return Refusal(LossReason.SEAT_BLOCKED, f"The seat {_clip(seat)!r} is blocked (bseat).")
    return None


def _deal_refusal(parsed: ParsedBid, for_sale: ImpOnSale, on_sale: DealOnSale | None) -> Refusal | None:
    bid = parsed.bid
    if not bid.dealid:
        if for_sale.is_private:
            return Refusal(LossReason.INVALID_DEAL_ID, "The auction is private and the bid names no deal.")
        return None
    if on_sale is None:
        return Refusal(LossReason.INVALID_DEAL_ID, f"The request lists no deal {_clip(bid.dealid)!r}.")
    if on_sale.wseat and parsed.seat not in on_sale.wseat:
        return Refusal(
            LossReason.SEAT_BLOCKED, f"The deal {_clip(on_sale.id)!r} is not open to the seat {_clip(parsed.seat)!r}."
        )
    advertisers = bid.adomain or ()
    if on_sale.wadomain and not (advertisers and all(_is_listed(each, on_sale.wadomain) for each in advertisers)):
        return Refusal(
            LossReason.NOT_ALLOWED_IN_DEAL,
            f"The deal {_clip(on_sale.id)!r} is not open to the advertiser {_listing(advertisers)}.",
        )
    return None


def _format_refusal(bid: Bid, for_sale: ImpOnSale, media_type: MediaType) -> Refusal | None:
    if media_type not in for_sale.media_types or (bid.mtype is not None and bid.mtype not in _MEDIA_TYPES):
        what = media_type if bid.mtype in _MEDIA_TYPES or bid.mtype is None else f"mtype {bid.mtype}"
        return Refusal(
            LossReason.CREATIVE_FORMAT, f"The ad is {what}, but the imp offers {_listing(for_sale.media_types)}."
        )
    banner = for_sale.imp.banner
    if media_type == "banner" and banner is not None and bid.w and bid.h and not for_sale.allows_size(bid.w, bid.h):
        return Refusal(LossReason.CREATIVE_SIZE, f"The ad is {bid.w}×{bid.h}, which the imp does not offer.")
    return None


def _block_list_refusal(bid: Bid, sale: Sale, for_sale: ImpOnSale, media_type: MediaType) -> Refusal | None:
    for advertiser in bid.adomain or ():
        if sale.advertisers_blocked and _is_listed(advertiser, sale.advertisers_blocked):
            return Refusal(LossReason.ADVERTISER_EXCLUDED, f"The advertiser {_clip(advertiser)} is blocked (badv).")
    if bid.bundle and bid.bundle in sale.apps_blocked:
        return Refusal(LossReason.APP_EXCLUDED, f"The app {_clip(bid.bundle)} is blocked (bapp).")
    # Categories of different taxonomies cannot be compared.
    if bid.cat and bid.cattax == sale.request.cattax:
        for category in bid.cat:
            if _is_under(category, sale.categories_blocked):
                return Refusal(LossReason.CATEGORY_EXCLUDED, f"The category {_clip(category)} is blocked (bcat).")
            if sale.categories_allowed and not _is_under(category, sale.categories_allowed):
                return Refusal(
                    LossReason.CATEGORY_EXCLUDED, f"The category {_clip(category)} is not an allowed one (acat)."
                )
    offered = getattr(for_sale.imp, media_type)
    blocked = set(bid.attr or ()).intersection(offered.battr or ()) if bid.attr else None
    if blocked:
        return Refusal(LossReason.ATTRIBUTE_EXCLUDED, f"The creative attribute {min(blocked)} is blocked (battr).")
    return None


def _priced(
    price: int, bid: Bid, sale: Sale, for_sale: ImpOnSale, on_sale: DealOnSale | None, media_type: MediaType
) -> Admitted | Refusal:
    """The price against the floor that applies: the deal's for a bid under a deal, else the imp's."""
    if on_sale is None:
        floor, below = for_sale.floor_for(media_type, None, bid.dur), LossReason.BELOW_FLOOR
    else:
        floor, below = on_sale.floor_for(bid.dur), LossReason.BELOW_DEAL_FLOOR
    if not price and on_sale is None:
        return Refusal(LossReason.MISSING_PRICE, "The price is 0, which only a bid under a deal may offer.")
    if floor.micros is None:
        stated_in = floor.stated.currency if floor.stated is not None else "an unknown currency"
        return Refusal(
            below,
            f"{floor.whose} floor is in {stated_in}, the auction in {sale.currency}, "
            "and there is no rate between them.",
        )
    if price < floor.micros:
        return Refusal(
            below, f"{floor.whose} floor is {cpm_text(floor.micros)} {sale.currency}, the bid {cpm_text(price)}."
        )
    return Admitted(price, floor.micros, on_sale, media_type)


def _is_listed(advertiser: str, domains: tuple[str, ...]) -> bool:
    return any(is_within(advertiser, domain) for domain in domains)


def _is_under(category: str, listed: frozenset[str]) -> bool:
    """Whether the category or the one above it is listed: IAB25 stands for IAB25-3 as well."""
    return bool(listed) and (category in listed or category.partition("-")[0] in listed)


def _listing(names: tuple[str, ...]) -> str:
    return " or ".join(map(_clip, names[:_QUOTED_MAX])) if names else "(none named)"


def _clip(text: str) -> str:
    """Somebody else's text, short enough for a sentence that is kept for ever."""
    return text if len(text) <= _QUOTED_MAX_CHARS else text[:_QUOTED_MAX_CHARS] + "…"
