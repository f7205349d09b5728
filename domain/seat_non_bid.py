"""Why seats did not bid or were refused, for a publisher who asks: the IAB's community extension seat-non-bid.

`ext.seatnonbid[] {seat, nonbid: [{impid, statuscode}]}`: codes alone, because the sentences hold losers' prices.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

from domain.market import RegisteredBidder
from domain.openrtb.codes import LossReason, NonBidStatus
from domain.openrtb.request import BidRequest
from domain.outcomes import Missed, Outcome

_SWITCH: Final = "returnallbidstatus"
_SWITCH_BYTES: Final = _SWITCH.encode()
_STATUSES: Final[dict[int, NonBidStatus]] = {
    LossReason.INVALID_RESPONSE: NonBidStatus.INVALID_RESPONSE,
    LossReason.INVALID_ADVERTISER_DOMAIN: NonBidStatus.INVALID_CREATIVE,
    LossReason.MISSING_MARKUP: NonBidStatus.INVALID_CREATIVE,
    LossReason.MISSING_CREATIVE_ID: NonBidStatus.INVALID_CREATIVE,
    LossReason.MISSING_APPROVAL_DATA: NonBidStatus.INVALID_CREATIVE,
    LossReason.BELOW_FLOOR: NonBidStatus.BELOW_FLOOR,
    LossReason.BELOW_DEAL_FLOOR: NonBidStatus.BELOW_DEAL_FLOOR,
    LossReason.CREATIVE_SIZE: NonBidStatus.CREATIVE_SIZE,
    LossReason.CREATIVE_FORMAT: NonBidStatus.CREATIVE_FORMAT,
    # Its advertiser stands on a block list; 355 is for advertisers that exclude each other.
    LossReason.ADVERTISER_EXCLUDED: NonBidStatus.ADVERTISER_BLOCKED,
    LossReason.APP_EXCLUDED: NonBidStatus.INVALID_CREATIVE,
    LossReason.CREATIVE_NOT_SECURE: NonBidStatus.CREATIVE_NOT_SECURE,
    LossReason.LANGUAGE_EXCLUDED: NonBidStatus.INVALID_CREATIVE,
    LossReason.CATEGORY_EXCLUDED: NonBidStatus.CATEGORY_EXCLUDED,
    LossReason.ATTRIBUTE_EXCLUDED: NonBidStatus.INVALID_CREATIVE,
    LossReason.AD_TYPE_EXCLUDED: NonBidStatus.INVALID_CREATIVE,
}
"""What a loss reason is called in the other list; all others are a rejected bid."""
_decode = msgspec.json.Decoder().decode


def is_asked_for(request: BidRequest) -> bool:
    """Whether the request says `true` to `ext.returnallbidstatus`, or to the same under `ext.prebid`."""
    if not isinstance(request.ext, msgspec.Raw) or _SWITCH_BYTES not in bytes(request.ext):
        return False
    ext = _decode(request.ext)
    if not isinstance(ext, dict):
        return False
    prebid = ext.get("prebid")
    return ext.get(_SWITCH) is True or (isinstance(prebid, dict) and prebid.get(_SWITCH) is True)


def seat_non_bids(considered: Iterable[tuple[RegisteredBidder, Mapping[str, Outcome]]]) -> list[dict[str, Any]]:
    """The extension's list: by seat, why it is not in the ranking of an imp."""
    seats: dict[str, list[dict[str, Any]]] = {}
    for bidder, outcomes in considered:
        for imp_id, outcome in outcomes.items():
            if isinstance(outcome, Missed):
                non_bid = {"impid": imp_id, "statuscode": int(status_of(outcome))}
                seats.setdefault(_seat_of(bidder, outcome), []).append(non_bid)
    return [{"seat": seat, "nonbid": non_bids} for seat, non_bids in seats.items()]


def status_of(missed: Missed) -> int:
    """The seat-non-bid code; a refused bid's loss reason is translated."""
    return missed.code if missed.status != "refused" else _STATUSES.get(missed.code, NonBidStatus.REJECTED)


def _seat_of(bidder: RegisteredBidder, outcome: Missed) -> str:
    """The bid's seat, else the bidder's only one; whoever has none or several goes by its name."""
    if outcome.bid is not None and outcome.bid.seat:
        return outcome.bid.seat
    seats = bidder.terms.seats
    return seats[0] if len(seats) == 1 else bidder.terms.name
