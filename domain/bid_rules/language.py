"""Whether the ad speaks a language that the publisher takes.

OpenRTB 2.6 sections 3.2.1 (`wlang`, `wlangb`) and 4.2.3 (`language`, `langb`).
"""

from __future__ import annotations

from typing import Final

from domain.bid_rules.refusal import Refusal, clip, listing
from domain.openrtb.codes import LossReason
from domain.openrtb.request import BidRequest
from domain.openrtb.response import Bid

_WITHOUT_WORDS: Final = ("xx", "zxx")
"""For an ad without linguistic content, such as a logo: OpenRTB's own code, and that of BCP 47."""


def language_refusal(bid: Bid, request: BidRequest) -> Refusal | None:
    """An ad that states its language must state an allowed one."""
    allowed = request.wlang or request.wlangb
    stated = bid.langb or bid.language
    if not allowed or not stated:
        return None
    language = stated.lower()
    if language in _WITHOUT_WORDS or any(_speaks(language, each.lower()) for each in allowed):
        return None
    field = "wlang" if request.wlang else "wlangb"
    return Refusal(
        LossReason.LANGUAGE_EXCLUDED,
        f"The ad's language is {clip(stated)}, but {listing(allowed)} is asked for ({field}).",
    )


def _speaks(language: str, allowed: str) -> bool:
    """`en-GB` speaks `en`; a bare `zh` is taken for `zh-Hant` as well, because it does not say otherwise."""
    return language == allowed or language.startswith(allowed + "-") or allowed.startswith(language + "-")
