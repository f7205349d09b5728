"""Whether a bid stays of a size that can be passed on once its macros are filled: OpenRTB 2.6 section 4.4.

The ids that macros stand for are the bidder's too: a few kilobytes of macros could become a gigabyte.
"""

from __future__ import annotations

from domain.bid_rules.refusal import Refusal
from domain.limits import MARKUP_GROWTH_MAX_CHARS, NOTICE_SENT_URL_MAX_CHARS, NOTICE_URL_MAX_CHARS
from domain.macros import VALUE_MAX_CHARS, growth_max_chars
from domain.openrtb.codes import LossReason
from domain.openrtb.parse import ParsedBid

_ADDRESS_GROWTH_MAX_CHARS = NOTICE_SENT_URL_MAX_CHARS - NOTICE_URL_MAX_CHARS
_START = "${"
_FEW_IN_MARKUP = MARKUP_GROWTH_MAX_CHARS // VALUE_MAX_CHARS
_FEW_IN_ADDRESS = _ADDRESS_GROWTH_MAX_CHARS // VALUE_MAX_CHARS
"""So many do no harm whatever they stand for: most bids have no more."""


def macro_growth_refusal(parsed: ParsedBid, request_id: str, response_bid_id: str | None) -> Refusal | None:
    """The macros of the markup, and those of each notice address, may lengthen it so far and no further."""
    bid = parsed.bid
    if (
        (not bid.adm or bid.adm.count(_START) <= _FEW_IN_MARKUP)
        and (not bid.nurl or bid.nurl.count(_START) <= _FEW_IN_ADDRESS)
        and (not bid.burl or bid.burl.count(_START) <= _FEW_IN_ADDRESS)
        and (not bid.lurl or bid.lurl.count(_START) <= _FEW_IN_ADDRESS)
    ):
        return None
    ids = (request_id, bid.impid, response_bid_id or "", parsed.seat, bid.adid or "")
    for field, text, most in (
        ("adm", bid.adm, MARKUP_GROWTH_MAX_CHARS),
        ("nurl", bid.nurl, _ADDRESS_GROWTH_MAX_CHARS),
        ("burl", bid.burl, _ADDRESS_GROWTH_MAX_CHARS),
        ("lurl", bid.lurl, _ADDRESS_GROWTH_MAX_CHARS),
    ):
        growth = growth_max_chars(text, ids) if text else 0
        if growth > most:
            return Refusal(
                LossReason.INVALID_RESPONSE,
                f"The macros in {field} may lengthen it by {growth} characters; at most {most} are allowed.",
            )
    return None
