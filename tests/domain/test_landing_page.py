"""The macros of landing pages: filled, escaped, and never able to lead elsewhere."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.landing_page import filled, landing_macros

MACROS = landing_macros(
    click_id="c-1", auction_id="a-2", campaign_id="summer sale", ad_id="ad/3&x=1", placement_id="pl?#4"
)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://shop.example/", "https://shop.example/"),
        ("https://shop.example/?click=${CLICK_ID}", "https://shop.example/?click=c-1"),
        ("https://shop.example/${AUCTION_ID}/go#${CLICK_ID}", "https://shop.example/a-2/go#c-1"),
        ("https://shop.example/?c=${CAMPAIGN_ID}", "https://shop.example/?c=summer%20sale"),
        ("https://shop.example/?a=${AD_ID}&p=${PLACEMENT_ID}", "https://shop.example/?a=ad%2F3%26x%3D1&p=pl%3F%234"),
        ("https://shop.example/?x=${CLICK_ID}${CLICK_ID}", "https://shop.example/?x=c-1c-1"),
        ("https://shop.example/?x=${UNKNOWN}&y=${click_id}", "https://shop.example/?x=${UNKNOWN}&y=${click_id}"),
        ("https://shop.example/?x=$%7BCLICK_ID%7D", "https://shop.example/?x=$%7BCLICK_ID%7D"),
        ("https://${AUCTION_ID}.example/?x=${CLICK_ID}", "https://${AUCTION_ID}.example/?x=c-1"),
        ("https://shop.example?x=${CLICK_ID}", "https://shop.example?x=c-1"),
    ],
)
def test_macros_behind_the_host_are_filled(url: str, expected: str) -> None:
    """Values are escaped; what is no macro, and what stands in the host, stays as it is."""
    assert filled(url, MACROS) == expected


def test_what_is_not_known_is_empty() -> None:
    """A bidder's ad has no campaign."""
    assert filled("https://shop.example/?c=${CAMPAIGN_ID}.", landing_macros()) == "https://shop.example/?c=."


@given(st.text())
def test_no_value_can_change_where_a_click_leads(value: str) -> None:
    """Whatever an id is, it is one parameter's value and nothing else."""
    url = filled("https://shop.example/a?x=${AD_ID}&y=2", landing_macros(ad_id=value))
    parts = urlsplit(url)
    assert (parts.scheme, parts.netloc, parts.path, parts.fragment) == ("https", "shop.example", "/a", "")
    assert parse_qs(parts.query, keep_blank_values=True) == {"x": [value], "y": ["2"]}
