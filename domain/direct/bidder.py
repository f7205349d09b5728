"""The bidder that all campaigns of the exchange's own are together, in auctions, the log and reports."""

from __future__ import annotations

from typing import Final

from domain.catalogue import Bidder
from domain.market import RegisteredBidder

DIRECT_ID: Final = "direct"
DIRECT: Final = RegisteredBidder(DIRECT_ID, 1, "active", Bidder(name="Direct campaigns", endpoint=""))
"""It is called nowhere, holds no seat and no deal."""
