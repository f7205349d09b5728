"""Money: exact in, exact out, exact in between."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.limits import BASIS_POINTS, MICROS_PER_UNIT, PRICE_MAX_MICROS
from domain.money import (
    InvalidPrice,
    amount_text,
    cpm_number,
    cpm_text,
    micros_from_decimal,
    micros_from_text,
    split_share,
)

prices = st.integers(min_value=0, max_value=PRICE_MAX_MICROS)


@pytest.mark.parametrize(
    ("text", "micros"),
    [
        ("0", 0),
        ("1.25", 1_250_000),
        ("0.1", 100_000),
        ("1e-6", 1),
        ("0.0000005", 0),  # half to even
        ("0.0000015", 2),
        ("1E3", 1_000_000_000),
        ("1000000", PRICE_MAX_MICROS),
    ],
)
def test_decimal_text_becomes_micros(text: str, micros: int) -> None:
    """A price is read through its decimal text."""
    assert micros_from_text(text) == micros


@pytest.mark.parametrize(
    "text", ["NaN", "sNaN", "Infinity", "-0.01", "1000000.000001", "1e30", "1e999999", "", "1,5", "cheap"]
)
def test_what_is_not_a_price_is_refused(text: str) -> None:
    """No price is negative, absurd or not a number, and a huge exponent costs no time."""
    with pytest.raises(InvalidPrice):
        micros_from_text(text)


@given(prices)
def test_text_and_back(micros: int) -> None:
    """What a report prints is the exact price."""
    text = cpm_text(micros)
    assert micros_from_text(text) == micros
    assert Fraction(text) == Fraction(micros, MICROS_PER_UNIT)


@given(prices)
def test_the_json_number_is_exact(micros: int) -> None:
    """The float that OpenRTB wants prints as the exact decimal."""
    assert micros_from_decimal(Decimal(repr(cpm_number(micros)))) == micros


@given(prices, st.integers(min_value=0, max_value=BASIS_POINTS))
def test_shares_add_up(micros: int, share_bps: int) -> None:
    """The publisher's share and the fee are the clearing price, to the micro."""
    revenue, fee = split_share(micros, share_bps)
    assert revenue + fee == micros
    assert 0 <= Fraction(micros * share_bps, BASIS_POINTS) - revenue < 1


@pytest.mark.parametrize(("nanos", "text"), [(0, "0.00"), (1, "0.000000001"), (-1_500_000_000, "-1.50")])
def test_amounts(nanos: int, text: str) -> None:
    """Sums are printed in full."""
    assert amount_text(nanos) == text
