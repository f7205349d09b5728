"""What the publisher does not want to see: the block lists of the request and of the placement.

OpenRTB 2.6 sections 3.2.1 (`badv`, `bcat`, `acat`, `cattax`, `bapp`), 3.2.6 to 3.2.9 (`battr`), 4.2.3.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from functools import lru_cache
from typing import Final

from domain.bid_rules.refusal import Refusal, clip
from domain.catalogue import MediaType, Placement
from domain.domain_names import domain_names, is_within_any
from domain.endpoint import is_public_name
from domain.openrtb.codes import LossReason
from domain.openrtb.parse import ParsedBid
from domain.openrtb.response import Bid
from domain.sale import ImpOnSale, Sale

_CONTENT_1_0: Final = 1
"""AdCOM category taxonomy, the default of `cattax`."""
_CONTENT_1_0_ID = re.compile(r"IAB[0-9]")
_LISTS_REMEMBERED: Final = 4_096


def block_list_refusal(parsed: ParsedBid, sale: Sale, for_sale: ImpOnSale, media_type: MediaType) -> Refusal | None:
    """The first thing about the ad that one of the request's lists forbids, else one of the placement's."""
    bid = parsed.bid
    offered = getattr(for_sale.imp, media_type)
    refusal = (
        _advertiser_refusal(bid, sale.advertisers_blocked, "badv")
        or _app_refusal(bid, sale.apps_blocked, "bapp")
        or _category_refusal(parsed, sale.categories_blocked, sale.request.cattax, "bcat")
        or _not_allowed_category_refusal(parsed, sale)
        or _attribute_refusal(bid, offered.battr or (), "battr")
    )
    if refusal is not None or for_sale.placement is None:
        return refusal
    return _placement_refusal(parsed, for_sale.placement.terms)


def malformed_advertiser_refusal(bid: Bid) -> Refusal | None:
    """An advertiser that is no domain name could not be found on any list."""
    for advertiser in bid.adomain or ():
        if not is_public_name(advertiser):
            return Refusal(
                LossReason.INVALID_ADVERTISER_DOMAIN,
                f"The advertiser {clip(advertiser)!r} is no domain name (adomain).",
            )
    return None


def _placement_refusal(parsed: ParsedBid, terms: Placement) -> Refusal | None:
    bid = parsed.bid
    return (
        _advertiser_refusal(bid, _advertisers_of(terms.badv), "badv of the placement")
        or _app_refusal(bid, terms.bapp, "bapp of the placement")
        or _category_refusal(parsed, _set_of(terms.bcat), terms.cattax, "bcat of the placement")
        or _attribute_refusal(bid, terms.battr, "battr of the placement")
    )


def _advertiser_refusal(bid: Bid, blocked: frozenset[str], list_name: str) -> Refusal | None:
    for advertiser in (bid.adomain or ()) if blocked else ():
        if is_within_any(advertiser, blocked):
            return Refusal(
                LossReason.ADVERTISER_EXCLUDED, f"The advertiser {clip(advertiser)} is blocked ({list_name})."
            )
    return None


def _app_refusal(bid: Bid, blocked: Collection[str], list_name: str) -> Refusal | None:
    if bid.bundle and bid.bundle in blocked:
        return Refusal(LossReason.APP_EXCLUDED, f"The app {clip(bid.bundle)} is blocked ({list_name}).")
    return None


def _category_refusal(parsed: ParsedBid, blocked: Collection[str], taxonomy: int, list_name: str) -> Refusal | None:
    for category in map(_spelled, (parsed.bid.cat or ()) if blocked else ()):
        if _is_under(category, blocked) and _is_of(taxonomy, parsed, category):
            return Refusal(LossReason.CATEGORY_EXCLUDED, f"The category {clip(category)} is blocked ({list_name}).")
    return None


def _not_allowed_category_refusal(parsed: ParsedBid, sale: Sale) -> Refusal | None:
    allowed = sale.categories_allowed
    for category in map(_spelled, (parsed.bid.cat or ()) if allowed else ()):
        if not _is_under(category, allowed) and _is_of(sale.request.cattax, parsed, category):
            return Refusal(LossReason.CATEGORY_EXCLUDED, f"The category {clip(category)} is not an allowed one (acat).")
    return None


def _attribute_refusal(bid: Bid, blocked: Collection[int], list_name: str) -> Refusal | None:
    for attribute in (bid.attr or ()) if blocked else ():
        if attribute in blocked:
            return Refusal(
                LossReason.ATTRIBUTE_EXCLUDED, f"The creative attribute {attribute} is blocked ({list_name})."
            )
    return None


def _is_of(taxonomy: int, parsed: ParsedBid, category: str) -> bool:
    """Whether the bid's category is one of the taxonomy; those of different ones cannot be compared.

    What can only be of the default one is, whatever the bid says; else one that states none means the asker's.
    """
    is_content_1_0 = _CONTENT_1_0_ID.match(category) is not None
    if parsed.bid.cattax == taxonomy or (is_content_1_0 and taxonomy == _CONTENT_1_0):
        return True
    return parsed.bid.cattax == _CONTENT_1_0 and not is_content_1_0 and "cattax" not in parsed.members()


def _spelled(category: str) -> str:
    """The bid's category as its taxonomy writes it; only the default one has no small letters."""
    category = category.strip()
    capitals = category.upper()
    return capitals if _CONTENT_1_0_ID.match(capitals) else category


def _is_under(category: str, listed: Collection[str]) -> bool:
    """Whether the category or the one above it is listed: IAB25 stands for IAB25-3 as well."""
    return category in listed or category.partition("-")[0] in listed


@lru_cache(_LISTS_REMEMBERED)
def _advertisers_of(listed: tuple[str, ...]) -> frozenset[str]:
    """A placement's list is read once, not with every bid."""
    return domain_names(listed)


@lru_cache(_LISTS_REMEMBERED)
def _set_of(listed: tuple[str, ...]) -> frozenset[str]:
    return frozenset(listed)
