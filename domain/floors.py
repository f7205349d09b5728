"""Floors: what a bid must reach at least, in the auction's currency, and who asks for it.

OpenRTB 2.6 sections 3.2.4 (`bidfloor`), 3.2.7 and 3.2.8 (`mincpmpersec`, `durfloors`), 3.2.12 and 7.11.2.
"""

from __future__ import annotations

from typing import NamedTuple

from domain.currency import Rates, floor_converted, rate_text
from domain.events import StatedPrice


class Floor(NamedTuple):
    """A bid is to reach it."""

    micros: int | None
    """In the auction's currency; None where there is no rate into it, so that no bid can reach it."""
    whose: str
    """Who asks for it, as a sentence begins: "The imp's"."""
    stated: StatedPrice | None = None
    """As it was stated, where that is in another currency."""


def floor_of(micros: int, stated_in: str, whose: str, *, currency: str, rates: Rates) -> Floor:
    """A floor stated in some currency, in the auction's `currency`; nothing is nothing in all of them."""
    if stated_in == currency or not micros:
        return Floor(micros, whose)
    rate = rates.between(stated_in, currency)
    if rate is None:
        return Floor(None, whose, StatedPrice(price_micros=micros, currency=stated_in, rate=""))
    stated = StatedPrice(price_micros=micros, currency=stated_in, rate=rate_text(rate))
    return Floor(floor_converted(micros, rate), whose, stated)


def higher(first: Floor, second: Floor) -> Floor:
    """The one that counts where both are asked for; of equals the first, and one without a rate above all."""
    if first.micros is None or (second.micros is not None and second.micros <= first.micros):
        return first
    return second
