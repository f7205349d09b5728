"""Prices are CPM, in whole micros of one currency unit.

One CPM micro is one nano-unit per impression, so sums over impressions are exact integers.
Division happens once, when a report is rendered.
Floats of OpenRTB's JSON come in through their decimal text, never through binary arithmetic.
"""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation

from domain.limits import BASIS_POINTS, MICROS_PER_UNIT, NANOS_PER_MICRO, PRICE_MAX_MICROS

NANOS_PER_UNIT = MICROS_PER_UNIT * NANOS_PER_MICRO
DIGITS_MAX = 18


class InvalidPrice(ValueError):
    """The price is not a finite number from 0 to the limit."""


def micros_from_decimal(price: Decimal) -> int:
    """CPM in currency units to micros, digits below one micro rounded half to even.

    Raises InvalidPrice for NaN, infinities, negatives and prices above PRICE_MAX_MICROS.
    """
    if not price.is_finite():
        raise InvalidPrice(f"{price} is not a number")
    # Compared before scaling: 1e999999 must not be expanded into a million digits.
    if price < 0:
        raise InvalidPrice(f"{price} is negative")
    if price.adjusted() > DIGITS_MAX or price * MICROS_PER_UNIT > PRICE_MAX_MICROS:
        raise InvalidPrice(f"{price} is above {PRICE_MAX_MICROS // MICROS_PER_UNIT}")
    return int((price * MICROS_PER_UNIT).to_integral_value(ROUND_HALF_EVEN))


def nanos_from_decimal(amount: Decimal, most_nanos: int) -> int:
    """An amount in currency units to nano-units, digits below one nano-unit rounded half to even.

    Raises InvalidPrice unless it is above 0 and at most `most_nanos`.
    """
    # Compared before scaling: 1e999999 must not be expanded into a million digits.
    if not amount.is_finite() or amount <= 0 or amount.adjusted() > DIGITS_MAX or amount * NANOS_PER_UNIT > most_nanos:
        raise InvalidPrice(f"is not a number above 0 and up to {most_nanos // NANOS_PER_UNIT}")
    return int((amount * NANOS_PER_UNIT).to_integral_value(ROUND_HALF_EVEN))


def micros_from_text(text: str) -> int:
    """CPM as decimal text to micros; raises InvalidPrice when it is not a number."""
    try:
        return micros_from_decimal(Decimal(text))
    except InvalidOperation:
        raise InvalidPrice(f"{text!r} is not a number") from None


def cpm_text(micros: int) -> str:
    """Micros as the shortest exact decimal text of currency units, at least two places: '1.25'."""
    return _decimal_text(micros, 6)


def cpm_number(micros: int) -> float:
    """Micros as the JSON number that OpenRTB wants; its shortest text is the exact decimal."""
    return micros / MICROS_PER_UNIT


def amount_text(nanos: int) -> str:
    """Nano-units (a sum of CPM micros over impressions) as exact decimal text of currency units."""
    return _decimal_text(nanos, 9)


def split_share(clearing_micros: int, share_bps: int) -> tuple[int, int]:
    """The publisher's share, rounded down to a micro, and the exchange's fee: they add up."""
    revenue = clearing_micros * share_bps // BASIS_POINTS
    return revenue, clearing_micros - revenue


def _decimal_text(value: int, places: int) -> str:
    sign = "-" if value < 0 else ""
    whole, fraction = divmod(abs(value), 10**places)
    digits = f"{fraction:0{places}d}".rstrip("0").ljust(2, "0")
    return f"{sign}{whole}.{digits}"
