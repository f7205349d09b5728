"""Exchange rates: where they come from, and which way they are rounded."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.catalogue import CurrencyRate
from domain.currency import Rates, bid_converted, floor_converted, rate_text

RATES = Rates(
    CurrencyRate(base=base, quote=quote, rate=rate)
    for base, quote, rate in [
        ("EUR", "USD", "1.10"),
        ("EUR", "GBP", "0.85"),
        ("USD", "JPY", "150"),
        ("CHF", "USD", "1.2"),
        ("USD", "CHF", "0.8"),
    ]
)


@pytest.mark.parametrize(
    ("source", "target", "rate"),
    [
        ("EUR", "EUR", "1"),
        ("XXX", "XXX", "1"),
        ("EUR", "USD", "1.10"),
        ("USD", "EUR", "0.909090909091"),
        ("CHF", "USD", "1.2"),
        ("USD", "CHF", "0.8"),
        ("GBP", "USD", "1.29411764706"),
        ("EUR", "JPY", "165.00"),
        ("JPY", "EUR", "0.00606060606061"),
        ("GBP", "JPY", None),
        ("EUR", "XXX", None),
    ],
    ids=[
        "the same",
        "the same, though nobody knows it",
        "stated",
        "the inverse",
        "stated both ways: this one",
        "stated both ways: that one",
        "through the euro",
        "through the dollar",
        "through the dollar, inverse",
        "through two others: no way",
        "unknown",
    ],
)
def test_rates(source: str, target: str, rate: str | None) -> None:
    """The stated one before the inverse, both before a way through one common currency."""
    found = RATES.between(source, target)
    assert (None if found is None else rate_text(found)) == rate


def test_of_several_ways_the_shortest_and_then_the_first_by_its_code() -> None:
    """The same for everybody who knows the same rates, in whatever order they were stated."""
    stated = [("EUR", "USD", "1.10"), ("EUR", "GBP", "0.85"), ("GBP", "USD", "1.30"), ("GBP", "JPY", "190")]
    stated.append(("USD", "JPY", "150"))
    for rates in (stated, stated[::-1]):
        known = Rates(CurrencyRate(base=base, quote=quote, rate=rate) for base, quote, rate in rates)
        assert known.between("EUR", "USD") == Decimal("1.10")
        assert known.between("EUR", "JPY") == Decimal("0.85") * 190


def test_a_rate_has_no_exponent() -> None:
    """The text stands in the log for people to read."""
    assert rate_text(Decimal("1E-7")) == "0.0000001"


micros = st.integers(0, 10**12)
some_rates = st.decimals("0.000001", "100000", places=6)


@given(micros, some_rates)
def test_a_bid_is_never_more_than_was_bid_and_a_floor_never_less_than_was_asked(price: int, rate: Decimal) -> None:
    """Both differ from the exact figure by less than a micro."""
    exact = price * Fraction(rate)
    assert 0 <= exact - bid_converted(price, rate) < 1
    assert 0 <= floor_converted(price, rate) - exact < 1


@given(micros, micros, some_rates)
def test_converting_keeps_the_order(one: int, other: int, rate: Decimal) -> None:
    """A bid that reaches a floor in one currency reaches it in another."""
    if one >= other:
        assert bid_converted(one, rate) >= bid_converted(other, rate)
