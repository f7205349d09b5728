"""Substitution macros in markup and addresses."""

from __future__ import annotations

from typing import Any

import pytest

from domain.event_parts import StatedPrice
from domain.macros import Macros, fill


def macros(**changes: Any) -> Macros:
    values = {
        "request_id": "r1",
        "imp_id": "7",
        "response_bid_id": "rb",
        "seat_id": "s1",
        "ad_id": "ad",
        "currency": "USD",
        "bid_price_micros": 1_000_000,
        "clearing_price_micros": 910_000,
        "min_to_win_micros": 900_000,
        "loss_code": 0,
        "multiplier": 1.5,
        "imp_timestamp_ms": 1_767_323_045_678,
    }
    return Macros(**{**values, **changes})


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        ("${AUCTION_ID}", "r1"),
        ("${AUCTION_BID_ID}", "rb"),
        ("${AUCTION_IMP_ID}", "7"),
        ("${AUCTION_SEAT_ID}", "s1"),
        ("${AUCTION_AD_ID}", "ad"),
        ("${AUCTION_PRICE}", "0.91"),
        ("${AUCTION_CURRENCY}", "USD"),
        ("${AUCTION_MBR}", "0.91"),
        ("${AUCTION_LOSS}", "0"),
        ("${AUCTION_MIN_TO_WIN}", "0.90"),
        ("${AUCTION_MULTIPLIER}", "1.5"),
        ("${AUCTION_IMP_TS}", "1767323045678"),
        ("[${AUCTION_DISCOUNT_PCT}${AUCTION_DISCOUNT_CPM}]", "[]"),
        ("${AUCTION_PRICE:B64}", "MC45MQ=="),
        ("x=${AUCTION_PRICE}&y=${AUCTION_PRICE}", "x=0.91&y=0.91"),
        ("'${AUCTION_PRICE}<", "'0.91<"),
        ("${AUCTION_NONSENSE} ${AUCTION_PRICE:ROT13} ${OTHER} ${AUCTION_", None),
        ("no macros", None),
    ],
)
def test_every_macro(text: str, filled: str | None) -> None:
    """Each macro of section 4.4 wherever it stands; what is none stays."""
    assert fill(text, macros()) == (text if filled is None else filled)


def test_unknown_values_become_the_empty_string() -> None:
    """A loser never learns the price, and a value that nobody gave is nothing."""
    names = ("BID_ID", "SEAT_ID", "AD_ID", "PRICE", "CURRENCY", "MBR", "LOSS", "MIN_TO_WIN", "MULTIPLIER", "IMP_TS")
    text = "".join(f"${{AUCTION_{name}}}" for name in names)
    assert fill(text, Macros(request_id="r1", imp_id="1")) == ""


def test_values_are_not_read_again() -> None:
    """A value that looks like a macro is only a value."""
    assert fill("${AUCTION_SEAT_ID}", macros(seat_id="${AUCTION_PRICE}")) == "${AUCTION_PRICE}"


@pytest.mark.parametrize(
    ("multiplier", "told"),
    [(1e-7, "0.0000001"), (1e16, "10000000000000000"), (2.0, "2"), (12.34, "12.34"), (1e300, "1e+300")],
)
def test_numbers_have_no_exponent(multiplier: float, told: str) -> None:
    """Who reads macros need not know about exponents, unless the number is one that nobody means."""
    told_all = macros(bid_price_micros=999_999_999_999, clearing_price_micros=5_132_144, multiplier=multiplier)
    assert fill("${AUCTION_MBR} ${AUCTION_MULTIPLIER}", told_all) == f"0.000005 {told}"


def test_a_price_of_nothing() -> None:
    """A free deal has a price, and no ratio of it to its bid."""
    free = macros(bid_price_micros=0, clearing_price_micros=0)
    assert fill("${AUCTION_PRICE}|${AUCTION_MBR}", free) == "0.00|"


IN_EUROS = StatedPrice(price_micros=1_000_000, currency="EUR", rate="1.25")
"""A bid of 1.00 EUR, which competes with 1.25 USD."""


@pytest.mark.parametrize(
    ("stated", "competes", "clears", "min_to_win", "filled"),
    [
        (IN_EUROS, 1_250_000, 1_000_000, 900_000, "0.80 EUR 0.8 0.72"),
        (IN_EUROS, 1_250_000, 1_250_000, 1_300_000, "1.00 EUR 1 1.04"),
        # 1.00 USD over 0.909090909091 EUR is 0.90909 EUR; back again it would be 0.999998 USD.
        (
            StatedPrice(price_micros=1_000_000, currency="USD", rate="0.909090909091"),
            909_090, 909_090, 500_000, "1.00 USD 1 0.549999",
        ),
        # Of every 1.00 that it bids, 0.90 compete: it pays 0.81, and would have had to bid 1.00.
        (StatedPrice(price_micros=2_000_000, currency="USD", adjustment_bps=9_000), 1_800_000, 810_000, 900_000,
         "0.81 USD 0.405 1.00"),
        (StatedPrice(price_micros=2_000_000, currency="USD", adjustment_bps=9_000), 1_800_000, 1_800_000, 900_000,
         "1.80 USD 0.9 1.00"),
        (StatedPrice(price_micros=2_000_000, currency="USD", adjustment_bps=0), 0, 0, 900_000, "0.00 USD 0 "),
    ],
)  # fmt: skip
def test_prices_are_told_in_the_bids_own_currency(
    stated: StatedPrice, competes: int, clears: int, min_to_win: int, filled: str
) -> None:
    """The price and its ratio are of what the bidder stated; so is what it would have had to bid."""
    told = macros(bid_price_micros=competes, clearing_price_micros=clears, min_to_win_micros=min_to_win, stated=stated)
    text = "${AUCTION_PRICE} ${AUCTION_CURRENCY} ${AUCTION_MBR} ${AUCTION_MIN_TO_WIN}"
    assert fill(text, told) == filled


def test_no_value_alters_an_address() -> None:
    """In a URL an id can neither end the address nor add a parameter; in markup it stands as it is."""
    text = "https://x.example/?id=${AUCTION_ID}&imp=${AUCTION_IMP_ID}&p=${AUCTION_PRICE}&b=${AUCTION_IMP_ID:B64}"
    given = macros(request_id="r#&p=9", imp_id="ü/ %41")
    assert fill(text, given, in_url=True) == (
        "https://x.example/?id=r%23%26p%3D9&imp=%C3%BC%2F%20%2541&p=0.91&b=w7wvICU0MQ=="
    )
    assert fill(text, given) == "https://x.example/?id=r#&p=9&imp=ü/ %41&p=0.91&b=w7wvICU0MQ=="
