"""What a placement asks every bid to state, beyond what OpenRTB requires (`required_bid_fields`)."""

from __future__ import annotations

from typing import Final

from domain.bid_rules.refusal import Refusal
from domain.catalogue import Placement, RequiredField
from domain.openrtb.codes import LossReason
from domain.openrtb.response import Bid

_MISSING: Final[dict[RequiredField, Refusal]] = {
    "crid": Refusal(LossReason.MISSING_CREATIVE_ID, "The bid names no creative (crid), which the placement requires."),
    "adomain": Refusal(
        LossReason.INVALID_ADVERTISER_DOMAIN, "The bid names no advertiser (adomain), which the placement requires."
    ),
    "cat": Refusal(LossReason.MISSING_APPROVAL_DATA, "The bid names no category (cat), which the placement requires."),
}


def required_field_refusal(bid: Bid, placement: Placement) -> Refusal | None:
    """The first required field that the bid leaves out or empty."""
    return next((_MISSING[name] for name in placement.required_bid_fields if not getattr(bid, name)), None)
