"""Exchange rates between currencies: stated ones, their inverses, and those through one common currency.

A rate is the decimal text that an event keeps, and a conversion multiplies by exactly that text, so that anybody can
check it. Bids are rounded down (never more than was bid), floors up (never less than was asked).
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import ROUND_CEILING, ROUND_FLOOR, Context, Decimal

from domain.catalogue import CurrencyRate

SAME = Decimal(1)
_DERIVED = Context(prec=12)
"""Inverse and combined rates are cut to so many digits before they are used."""
_EXACT = Context(prec=60)


class Rates:
    """What the catalogue says of currencies. Immutable; derived rates are found once."""

    def __init__(self, stated: Iterable[CurrencyRate] = ()) -> None:
        self._stated = {(each.base, each.quote): Decimal(each.rate) for each in stated}
        self._known = frozenset(currency for pair in self._stated for currency in pair)
        self._found: dict[tuple[str, str], Decimal | None] = {}

    def __repr__(self) -> str:
        return f"Rates({', '.join(f'{base}/{quote}={rate}' for (base, quote), rate in sorted(self._stated.items()))})"

    def between(self, source: str, target: str) -> Decimal | None:
        """Units of `target` for one of `source`; None if there is no way between them.

        The stated rate, else the inverse of the opposite one, else through the first currency (by its code) that
        has one of both to either side.
        """
        if source == target:
            return SAME
        if source not in self._known or target not in self._known:
            # Not remembered: requests may name any currency, and must not fill the memory.
            return None
        pair = (source, target)
        if pair not in self._found:
            self._found[pair] = self._direct(source, target) or self._through_another(source, target)
        return self._found[pair]

    def _direct(self, source: str, target: str) -> Decimal | None:
        stated = self._stated.get((source, target))
        if stated is not None:
            return stated
        opposite = self._stated.get((target, source))
        return None if opposite is None else _DERIVED.divide(SAME, opposite)

    def _through_another(self, source: str, target: str) -> Decimal | None:
        for common in sorted(self._known):
            first, second = self._direct(source, common), self._direct(common, target)
            if first is not None and second is not None:
                return _DERIVED.multiply(first, second)
        return None


NO_RATES = Rates()


def bid_converted(micros: int, rate: Decimal) -> int:
    """A price in micros of the target currency, rounded down."""
    return int(_EXACT.multiply(Decimal(micros), rate).to_integral_value(ROUND_FLOOR))


def floor_converted(micros: int, rate: Decimal) -> int:
    """A floor in micros of the target currency, rounded up."""
    return int(_EXACT.multiply(Decimal(micros), rate).to_integral_value(ROUND_CEILING))


def rate_text(rate: Decimal) -> str:
    """The rate without an exponent."""
    return f"{rate:f}"
