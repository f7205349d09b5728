"""A domain on a list stands for all names below it."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.domain_names import domain_names, is_within_any
from domain.endpoint import is_within

LABELS = st.sampled_from(["a", "B", "shop", "example", "com"])
NAMES = st.lists(LABELS, min_size=1, max_size=4).map(".".join)


@pytest.mark.parametrize(
    ("name", "listed", "is_found"),
    [
        ("rival.example", "rival.example", True),
        ("www.RIVAL.example.", ".Rival.Example", True),
        ("notrival.example", "rival.example", False),
        ("example", "rival.example", False),
        ("xn--bcher-kva.example", "bücher.example", True),
        ("BÜCHER.example", "xn--bcher-kva.example", True),
        ("BÜCHER。example", "xn--bcher-kva.example", True),
        ("ｒival.example", "rival.example", True),
        ("ri\u200bval.example", "rival.example", True),
        ("xn--bcher-kva.example", "xn--bcher-kvb.example", False),
        ("xn--!.example", "xn--!.example", True),
        ("rival.example", "", False),
        ("", "rival.example", False),
    ],
)
def test_names(name: str, listed: str, is_found: bool) -> None:
    """Whole labels count, spelling does not."""
    assert is_within_any(name, domain_names([listed])) is is_found


@given(NAMES, st.lists(NAMES))
def test_a_list_is_as_good_as_each_of_its_names(name: str, listed: list[str]) -> None:
    """The same as looking at one name after the other."""
    assert is_within_any(name, domain_names(listed)) is any(is_within(name, each) for each in listed)


def test_international_names_cost_little() -> None:
    """Ten thousand of them, as many as an answer has room for, are looked up in a moment."""
    listed = domain_names(["rival.example"])
    started = time.process_time()
    for number in range(10_000):
        is_within_any(f"é{number}.example", listed)
    assert time.process_time() - started < 0.25


def test_a_long_list_costs_a_bid_nothing() -> None:
    """Ten thousand names are looked up as fast as one."""
    listed = domain_names(f"{number}.example" for number in range(10_000))
    started = time.process_time()
    for _ in range(1_000):
        is_within_any("www.shop.example", listed)
    assert time.process_time() - started < 0.25
