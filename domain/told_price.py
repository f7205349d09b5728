"""An auction's prices as they are told to one bidder: in the currency that its bid was stated in.

Rounded down, so that no macro says more than is charged.
"""

from __future__ import annotations

from decimal import ROUND_FLOOR, Context, Decimal

from domain.event_parts import StatedPrice
from domain.limits import BASIS_POINTS

_EXACT = Context(prec=60)


def charged(clearing_micros: int, bid_micros: int, stated: StatedPrice | None) -> int:
    """What the bid pays, in micros of its own currency; never above what was stated.

    `bid_micros` is the price that competed. Who pays all of it reads exactly what it stated: there and back again
    over a rate would lose a micro. A price adjustment stays: it is no part of what is paid.
    """
    if stated is None:
        return clearing_micros
    if clearing_micros == bid_micros and stated.adjustment_bps == BASIS_POINTS:
        return stated.price_micros
    return min(_floor(Decimal(clearing_micros), Decimal(stated.rate)), stated.price_micros)


def to_be_bid(micros: int, stated: StatedPrice | None) -> int | None:
    """What the bidder would have had to state for `micros` to compete; None where its adjustment leaves nothing."""
    if stated is None:
        return micros
    if not stated.adjustment_bps:
        return None
    return _floor(Decimal(micros * BASIS_POINTS), _EXACT.multiply(Decimal(stated.rate), stated.adjustment_bps))


def _floor(dividend: Decimal, divisor: Decimal) -> int:
    return int(_EXACT.divide(dividend, divisor).to_integral_value(ROUND_FLOOR))
