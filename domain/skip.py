"""Why a bidder is not asked for an imp: a seat-non-bid status and a sentence."""

from __future__ import annotations

from typing import NamedTuple

from domain.openrtb.codes import NoBidReason, NonBidStatus


class Skip(NamedTuple):
    """Why a bidder is not asked."""

    code: int
    """A seat-non-bid status, which includes the no-bid reasons."""
    reason: str


ROBOT = Skip(NoBidReason.KNOWN_CRAWLER, "Not asked: the page was fetched by a known robot.")
OVER_QUOTA = Skip(NonBidStatus.REQUEST_BLOCKED, "Not asked: the bidder's limit of requests per second is reached.")
NO_TIME = Skip(NonBidStatus.OPTIMIZED, "Not asked: too little of the auction's time was left.")
PLACEMENT_PAUSED = Skip(NonBidStatus.REQUEST_BLOCKED, "Not asked: the placement, or its publisher, is paused.")
