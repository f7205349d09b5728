"""Every bound of the exchange, with its unit, in one place.

A bound exists so that nobody else's input decides how much memory or time Gavel spends.
"""

from __future__ import annotations

from typing import Final

# -- money ---------------------------------------------------------------------------------------
MICROS_PER_UNIT: Final = 1_000_000
PRICE_MAX_MICROS: Final = 1_000_000 * MICROS_PER_UNIT
"""A CPM of one million currency units: nobody pays it, so a higher price is a mistake or a lie."""
BASIS_POINTS: Final = 10_000
PRICE_INCREMENT_MICROS: Final = 10_000
"""0.01 of the auction's currency, what a second-price winner pays above the runner-up."""

# -- requests ------------------------------------------------------------------------------------
REQUEST_BODY_MAX_BYTES: Final = 256 * 1024
REQUEST_IMPS_MAX: Final = 64
REQUEST_ID_MAX_CHARS: Final = 256
REQUEST_DEPTH_MAX: Final = 32
CATALOGUE_BODY_MAX_BYTES: Final = 64 * 1024

# -- an auction's time ---------------------------------------------------------------------------
TMAX_DEFAULT_MS: Final = 250
TMAX_MIN_MS: Final = 10
TMAX_MAX_MS: Final = 5_000
ANSWER_RESERVE_MS: Final = 15
"""Kept back from tmax for ranking, logging and answering."""
BIDDER_TIME_MIN_MS: Final = 5
"""A bidder that would get less is not asked: it could only time out."""

# -- bidders' answers ----------------------------------------------------------------------------
BID_RESPONSE_MAX_BYTES: Final = 512 * 1024
BIDS_PER_RESPONSE_MAX: Final = 256
MARKUP_MAX_CHARS: Final = 256 * 1024
CONNECTIONS_PER_BIDDER_MAX: Final = 256

# -- work in flight ------------------------------------------------------------------------------
AUCTIONS_IN_FLIGHT_MAX: Final = 2_000
LOG_BYTES_IN_FLIGHT_MAX: Final = 64 * 1024 * 1024
LOG_ACK_TIMEOUT_MS: Final = 2_000
SPOOL_MAX_BYTES: Final = 1024 * 1024 * 1024

# -- engagements ---------------------------------------------------------------------------------
TOKEN_MAX_CHARS: Final = 2_048
IMPRESSION_EXPIRY_SECONDS: Final = 3_600
CLICK_EXPIRY_SECONDS: Final = 24 * 3_600
ENGAGEMENTS_PER_IP_MINUTE_MAX: Final = 600

assert PRICE_MAX_MICROS < 2**44, "a deal's preference is added above the price in a Redis score"
assert BIDDER_TIME_MIN_MS < ANSWER_RESERVE_MS < TMAX_DEFAULT_MS < TMAX_MAX_MS
