"""Whether a banner fits the space: OpenRTB 2.6 sections 3.2.6, 3.2.10 (`format`) and 4.2.3 (`w`, `h`, `wratio`)."""

from __future__ import annotations

from domain.bid_rules.refusal import Refusal
from domain.openrtb.codes import LossReason
from domain.openrtb.response import Bid
from domain.sale import ImpOnSale


def size_refusal(bid: Bid, for_sale: ImpOnSale) -> Refusal | None:
    """What the banner states of its size must be offered; one that states none fits."""
    if bid.w and bid.h:
        if not for_sale.allows_size(bid.w, bid.h):
            return Refusal(LossReason.CREATIVE_SIZE, f"The ad is {bid.w}×{bid.h}, which the imp does not offer.")
    elif bid.wratio and bid.hratio and not _allows_ratio(for_sale, bid.wratio, bid.hratio):
        return Refusal(
            LossReason.CREATIVE_SIZE,
            f"The ad's proportions are {bid.wratio}:{bid.hratio}, which the imp does not offer.",
        )
    return None


def _allows_ratio(for_sale: ImpOnSale, width: int, height: int) -> bool:
    """Whether a flexible format has these proportions; where no format is listed, any will do."""
    formats = for_sale.imp.banner.format if for_sale.imp.banner is not None else None
    return not formats or any(
        width * each.hratio == height * each.wratio for each in formats if each.wratio and each.hratio
    )
