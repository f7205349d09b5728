"""Prices of ads that are sold by the second, or by how long they run."""

from __future__ import annotations

from typing import Any

import pytest

from tests.domain.bid_rules.judging import HTML, VAST, VIDEO, assert_admitted, assert_refused, verdict
from tests.domain.trading import imp

DEAL = imp(pmp={"deals": [{"id": "d", "mincpmpersec": 1}]})


@pytest.mark.parametrize(
    ("bid", "floor_micros"),
    [
        ({"mtype": 1, "adm": HTML}, 0),
        ({"mtype": 2, "adm": VAST}, 30_000_000),
        ({"mtype": 2, "adm": VAST, "dur": 0}, 30_000_000),
        ({"mtype": 2, "adm": VAST, "dur": 10}, 10_000_000),
        ({"adm": None, "nurl": "https://n.example/"}, 30_000_000),
    ],
    ids=["does not run", "not told", "told as nothing", "told", "not told what it is"],
)
def test_a_deal_by_the_second(bid: dict[str, Any], floor_micros: int) -> None:
    """Ads that run, or may be such, pay by the second, and the longest if they do not say how long."""
    on = DEAL | {"video": VIDEO | {"maxduration": 30}}
    assert assert_admitted(verdict({"price": 30, "dealid": "d", **bid}, on=on)).floor_micros == floor_micros


def test_a_floor_by_the_second_of_an_ad_of_unknown_length() -> None:
    """Where nobody says how long an ad may run, no price is known to do."""
    video = {"video": VIDEO}
    assert_refused(verdict({"adm": VAST, "dealid": "d"}, on=DEAL | video), 101, "deal's", "dur")
    assert_admitted(verdict({"dealid": "d"}, on=DEAL | video))
    by_the_second = imp(video=VIDEO | {"mincpmpersec": 0.1})
    assert_refused(verdict({"adm": VAST, "dur": 0}, on=by_the_second), 100, "imp's", "by the second", "dur")
    assert_admitted(verdict(on=by_the_second))
