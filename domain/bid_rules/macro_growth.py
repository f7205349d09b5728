"""Whether a bid stays of a size that can be passed on once its macros are filled: OpenRTB 2.6 section 4.4.

The ids that macros stand for are the bidder's too: a few kilobytes of macros could become a gigabyte.
"""

from __future__ import annotations

from domain.bid_rules.refusal import Refusal
from domain.limits import MARKUP_GROWTH_MAX_CHARS, NOTICE_SENT_URL_MAX_CHARS, NOTICE_URL_MAX_CHARS
from domain.macros import growth_max_chars
from domain.openrtb.codes import LossReason
from domain.openrtb.parse import ParsedBid

_MAX_CHARS = {
    "adm": MARKUP_GROWTH_MAX_CHARS,
    "nurl": NOTICE_SENT_URL_MAX_CHARS - NOTICE_URL_MAX_CHARS,
    "burl": NOTICE_SENT_URL_MAX_CHARS - NOTICE_URL_MAX_CHARS,
    "lurl": NOTICE_SENT_URL_MAX_CHARS - NOTICE_URL_MAX_CHARS,
}


def macro_growth_refusal(parsed: ParsedBid, request_id: str, response_bid_id: str | None) -> Refusal | None:
    """The macros of the markup, and those of each notice address, may lengthen it so far and no further."""
    bid = parsed.bid
    for field, text in (("adm", bid.adm), ("nurl", bid.nurl), ("burl", bid.burl), ("lurl", bid.lurl)):
        if text and "${" in text:
            ids = (request_id, bid.impid, response_bid_id or "", parsed.seat, bid.adid or "")
            growth = growth_max_chars(text, ids)
            if growth > _MAX_CHARS[field]:
                return Refusal(
                    LossReason.INVALID_RESPONSE,
                    f"The macros in {field} may lengthen it by {growth} characters; "
                    f"at most {_MAX_CHARS[field]} are allowed.",
                )
    return None
