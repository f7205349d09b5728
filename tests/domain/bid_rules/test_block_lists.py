"""What request and placement do not want to see."""

from __future__ import annotations

from typing import Any

import pytest

from tests.domain.bid_rules.judging import HTML, VAST, assert_admitted, assert_refused, on_imp, verdict
from tests.domain.trading import imp, market, placement

LISTS: list[tuple[str, Any, dict[str, Any], dict[str, Any], int]] = [
    ("badv", ["rival.example"], {"adomain": ["www.Rival.example"]}, {"adomain": ["notrival.example"]}, 205),
    ("badv", ["bücher.example"], {"adomain": ["xn--bcher-kva.example"]}, {"adomain": ["bucher.example"]}, 205),
    ("bcat", ["IAB25"], {"cat": ["IAB1", "IAB25-3"]}, {"cat": ["IAB2", "IAB250"]}, 209),
    ("bcat", ["IAB25-3"], {"cat": ["IAB25-3"]}, {"cat": ["IAB25"]}, 209),
    ("bcat", ["IAB25"], {"cat": ["IAB25"]}, {"cat": ["25"], "cattax": 2}, 209),
    ("bapp", ["com.bad.app"], {"bundle": "com.bad.app"}, {"bundle": "com.bad.app2"}, 206),
]


@pytest.mark.parametrize(("name", "blocked", "bad", "good", "code"), LISTS)
def test_a_list_of_the_request(
    name: str, blocked: list[str], bad: dict[str, Any], good: dict[str, Any], code: int
) -> None:
    """What it names is refused, naming the list; its neighbours are not."""
    assert_refused(verdict(bad, **{name: blocked}), code, name)
    assert_admitted(verdict(good, **{name: blocked}))


@pytest.mark.parametrize(("name", "blocked", "bad", "good", "code"), LISTS)
def test_a_list_of_the_placement(
    name: str, blocked: list[str], bad: dict[str, Any], good: dict[str, Any], code: int
) -> None:
    """It holds as well, where the request says nothing of the kind; other placements are not concerned."""
    catalogue = market(placements=[placement(**{name: tuple(blocked)}), placement("other")])
    assert_refused(verdict(bad, on=imp(tagid="top"), catalogue=catalogue), code, name, "placement")
    assert_admitted(verdict(good, on=imp(tagid="top"), catalogue=catalogue))
    assert_admitted(verdict(bad, on=imp(tagid="other"), catalogue=catalogue))


def test_the_taxonomy_of_a_placement_is_its_own() -> None:
    """Its categories are compared in its taxonomy, whatever the request's is."""
    catalogue = market(placements=[placement(bcat=("150",), cattax=7)])
    bid = {"cat": ["150"], "cattax": 7}
    assert_refused(verdict(bid, on=imp(tagid="top"), catalogue=catalogue, cattax=2), 209, "150")
    assert_admitted(verdict({**bid, "cattax": 2}, on=imp(tagid="top"), catalogue=catalogue, cattax=2))


def test_a_category_of_no_stated_taxonomy() -> None:
    """A bid that leaves `cattax` out means the asker's taxonomy, unless its category is one of the default's."""
    assert_refused(verdict({"cat": ["150"]}, bcat=["150"], cattax=7), 209, "150")
    assert_refused(verdict({"cat": ["151"]}, acat=["150"], cattax=7), 209, "151")
    assert_admitted(verdict({"cat": ["IAB25"]}, bcat=["IAB25"], cattax=7))
    assert_admitted(verdict({"cat": ["150"], "cattax": 2}, bcat=["150"], cattax=7))


@pytest.mark.parametrize("bid", [{"cat": ["iab25-3"]}, {"cat": [" IAB25 "]}, {"cat": ["IAB25"], "cattax": 6}])
def test_a_category_in_another_spelling(bid: dict[str, Any]) -> None:
    """Neither small letters nor blanks nor another taxonomy's number hide a category of the default taxonomy."""
    assert_refused(verdict(bid, bcat=["IAB25"]), 209, "IAB25", "bcat")
    assert_refused(verdict(bid, acat=["IAB1"]), 209, "IAB25", "acat")
    assert_admitted(verdict(bid, bcat=["IAB24"]))


def test_only_allowed_categories() -> None:
    """With `acat` every category that a bid states must be an allowed one or below it."""
    assert_admitted(verdict({"cat": ["IAB1-2"]}, acat=["IAB1"]))
    assert_refused(verdict({"cat": ["IAB1-2", "IAB3"]}, acat=["IAB1"]), 209, "IAB3", "acat")


@pytest.mark.parametrize(
    ("media_type", "markup"), [("banner", HTML), ("video", VAST), ("audio", VAST), ("native", "{}")]
)
def test_blocked_attributes(media_type: str, markup: str) -> None:
    """Each media object has a list of its own, and so has the placement."""
    bid = {"adm": markup, "attr": [1, 13]}
    assert_refused(verdict(bid, on=on_imp(media_type, battr=[13])), 210, "13", "battr")
    assert_admitted(verdict(bid, on=on_imp(media_type, battr=[14])))
    on = {**on_imp(media_type), "tagid": "top"}
    assert_refused(verdict(bid, on=on, catalogue=market(placements=[placement(battr=(1,))])), 210, "1", "placement")


@pytest.mark.parametrize(
    "advertiser", ["https://shop.example", "shop", "shop.example/", "", "127.0.0.1", "shop example.com"]
)
def test_an_advertiser_that_is_no_domain(advertiser: str) -> None:
    """It would pass every list, so it is refused."""
    assert_refused(verdict({"adomain": ["fine.example", advertiser]}), 6, "adomain", advertiser)
