"""Spares bidders that fail, and comes back to them slowly: a circuit breaker without an open state.

Health is a moving average of failures. From it follows the chance that an auction passes the bidder over, which never
reaches 1: some traffic always goes through, so a bidder that has recovered is found out, and gets the rest back call
by call. Which auctions pass it over follows from their ids alone, so it can be told afterwards.
"""

from __future__ import annotations

import hashlib
from typing import Final

from domain.openrtb.codes import NonBidStatus
from domain.skip import Skip

MEMORY_CALLS: Final = 100
"""About so many calls are remembered; older ones fade."""
TOLERATED: Final = 0.2
"""A share of failures that costs a bidder nothing."""
PASSED_OVER_MAX: Final = 0.9
"""At a share of 1; less in proportion."""
_DIGEST_BYTES: Final = 8


class BidderHealth:
    """One process' experience with all bidders."""

    def __init__(self) -> None:
        self._failing: dict[str, float] = {}
        """Share of failed calls of the bidders that have failed lately, by id."""

    def __repr__(self) -> str:
        return f"BidderHealth({len(self._failing)} have failed lately)"

    def called(self, bidder_id: str, *, failed: bool) -> None:
        """A call ended: with an answer, or with a time-out or an error."""
        share = self._failing.get(bidder_id)
        if share is None:
            if failed:
                self._failing[bidder_id] = 1 / MEMORY_CALLS
            return
        share += (failed - share) / MEMORY_CALLS
        if share < TOLERATED / MEMORY_CALLS:
            del self._failing[bidder_id]
        else:
            self._failing[bidder_id] = share

    def reason_to_spare(self, bidder_id: str, auction_id: str) -> Skip | None:
        """Why this auction passes the bidder over; None: it does not."""
        share = self._failing.get(bidder_id, 0.0)
        if share <= TOLERATED:
            return None
        chance = passed_over(share)
        if _drawn(bidder_id, auction_id) >= chance:
            return None
        return Skip(
            NonBidStatus.OPTIMIZED,
            f"Not asked: of the bidder's last calls {share:.0%} failed, so {chance:.0%} of the auctions pass it over.",
        )


def passed_over(failing: float) -> float:
    """The share of auctions that pass a bidder over whose calls fail at this share."""
    return PASSED_OVER_MAX * max(0.0, failing - TOLERATED) / (1 - TOLERATED)


def _drawn(bidder_id: str, auction_id: str) -> float:
    """A number from 0 to 1, evenly spread over the auctions, and over the bidders of one auction."""
    digest = hashlib.blake2b(f"{auction_id} {bidder_id}".encode(), digest_size=_DIGEST_BYTES).digest()
    return int.from_bytes(digest) / (1 << 8 * _DIGEST_BYTES)
