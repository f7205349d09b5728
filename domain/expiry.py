"""How long after the auction an ad may be seen and still count (OpenRTB 2.6 sections 3.2.4, 4.2.3 and 7.2: `exp`)."""

from __future__ import annotations

from datetime import UTC, datetime

from domain.limits import BID_EXPIRY_MIN_SECONDS, IMPRESSION_EXPIRY_MAX_SECONDS, IMPRESSION_EXPIRY_SECONDS
from domain.openrtb.request import Imp
from domain.openrtb.response import Bid
from domain.tokens import expires_at


def impression_expiry_seconds(imp: Imp, bid: Bid) -> int:
    """The shorter of what imp and bid say, a day at most.

    A bid alone cannot make it so short that hardly any impression would be paid for.
    """
    stated = [] if not imp.exp or imp.exp < 0 else [imp.exp]
    if bid.exp is not None and bid.exp > 0:
        stated.append(max(bid.exp, BID_EXPIRY_MIN_SECONDS))
    return min(*stated, IMPRESSION_EXPIRY_MAX_SECONDS) if stated else IMPRESSION_EXPIRY_SECONDS


def impression_expires_at(imp: Imp, bid: Bid, awarded_at: datetime) -> datetime:
    """Until when the impression of an award counts: to the second what its token says."""
    return datetime.fromtimestamp(expires_at(awarded_at, impression_expiry_seconds(imp, bid)), UTC)
