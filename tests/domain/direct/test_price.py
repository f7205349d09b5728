"""What campaigns bid and pay."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.currency import bid_converted
from domain.direct.budget import NOTHING_SPENT
from domain.direct.price import cost_of, worth_micros
from domain.event_parts import StatedPrice
from domain.limits import PRICE_MAX_MICROS
from tests.domain.direct.campaigns import UNIT, campaign

PER_IMPRESSION = campaign(bid_micros=2_000_000).terms
PER_CLICK = campaign(click_bid_nanos=UNIT // 2).terms


@pytest.mark.parametrize(
    ("impressions", "clicks", "cpm"),
    [
        (0, 0, "0.50"),  # the prior alone: 1 click in 1,000
        (1_000, 0, "0.25"),  # 1 in 2,000
        (1_000, 1, "0.50"),
        (99_000, 999, "5.00"),  # 1,000 in 100,000
        (0, 5_000, "500.00"),  # never more than a click for an impression
    ],
)
def test_a_click_is_worth_what_is_seen_of_clicks(impressions: int, clicks: int, cpm: str) -> None:
    """0.50 a click, at a click-through that is drawn towards one in a thousand."""
    state = NOTHING_SPENT._replace(impressions=impressions, clicks=clicks)
    assert worth_micros(PER_CLICK, state) == Fraction(cpm) * 1_000_000
    assert worth_micros(PER_IMPRESSION, state) == 2_000_000


def test_no_price_is_above_what_anybody_pays() -> None:
    """A click may be dear, and then still stands in a ranking."""
    dear = campaign(click_bid_nanos=10**9 * UNIT).terms
    assert worth_micros(dear, NOTHING_SPENT) == PRICE_MAX_MICROS


@given(
    bid=st.integers(1, 10**12),
    rate=st.decimals("0.0001", "10000", places=4),
    part=st.fractions(0, 1),
)
def test_nobody_pays_more_than_was_bid(bid: int, rate: object, part: Fraction) -> None:
    """In whatever currency the auction was, and not less than it cleared at."""
    terms = campaign(bid_micros=bid, currency="EUR").terms
    stated = StatedPrice(price_micros=bid, currency="EUR", rate=str(rate))
    price = bid_converted(bid, rate)  # type: ignore[arg-type] # a decimal, as hypothesis makes them
    clearing = int(price * part)
    cost = cost_of(terms, price_micros=price, clearing_micros=clearing, stated=stated)
    assert cost.price_nanos == clearing
    assert cost.charge_nanos <= bid
    assert cost.charge_nanos * Fraction(str(rate)) >= clearing > (cost.charge_nanos - 1) * Fraction(str(rate))


@given(price=st.integers(1, 10**9), part=st.fractions(0, 1))
def test_a_click_costs_the_part_of_its_maximum_that_the_bid_cleared_at(price: int, part: Fraction) -> None:
    """Rounded up to a nano-unit, so that it is never nothing."""
    clearing = max(1, int(price * part))
    cost = cost_of(PER_CLICK, price_micros=price, clearing_micros=clearing, stated=None)
    exactly = Fraction(UNIT // 2) * clearing / price
    assert exactly <= cost.charge_nanos < exactly + 1
    assert 0 < cost.charge_nanos <= UNIT // 2
    assert cost.price_nanos == cost.charge_nanos
