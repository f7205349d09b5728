"""Whether what the ad shows can be counted: a bid whose markup has no place for the impression pixel is not sold.

OpenRTB 2.6 section 4.2.3 (`adm`); markup that is served elsewhere is not known.
"""

from __future__ import annotations

from typing import Final

from domain.bid_rules.refusal import Refusal
from domain.catalogue import MediaType
from domain.markup import takes_tracker
from domain.openrtb.codes import LossReason
from domain.openrtb.response import Bid

_NO_AD: Final = "The VAST document holds no ad (InLine or Wrapper) that an impression could be counted in."
_MISSING: Final[dict[MediaType, str]] = {
    "video": _NO_AD,
    "audio": _NO_AD,
    "native": "The native markup is not the JSON of one native ad whose impressions could be counted (imptrackers).",
}


def tracking_refusal(bid: Bid, media_type: MediaType) -> Refusal | None:
    """A banner always has a place."""
    if media_type == "banner" or not bid.adm or takes_tracker(bid.adm, media_type):
        return None
    return Refusal(LossReason.CREATIVE_FORMAT, _MISSING[media_type])
