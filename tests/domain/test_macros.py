"""Substitution macros in markup and addresses."""

from __future__ import annotations

from typing import Any

import pytest

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


def test_a_price_of_nothing() -> None:
    """A free deal has a price, and no ratio of it to its bid."""
    free = macros(bid_price_micros=0, clearing_price_micros=0)
    assert fill("${AUCTION_PRICE}|${AUCTION_MBR}", free) == "0.00|"
