"""Deals of the request, of the catalogue, and of both."""

from __future__ import annotations

from time import process_time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.catalogue import Deal
from domain.deals import DealOnSale
from domain.endpoint import is_within
from domain.floors import Floor
from tests.domain.trading import imp, market, placement, request, sold


def registered(**terms: Any) -> Deal:
    return Deal(**{"bidder_ids": ("alfa",), "floor_micros": 2_000_000, **terms})


def on_sale(stated: dict[str, Any] | None, catalogued: Deal | None, *, rates: dict[str, str] | None = None) -> Any:
    """The deal `d` as it is on sale; None: not at all."""
    offered = imp(tagid="top", pmp={"deals": [{"id": "d", **stated}]}) if stated is not None else imp(tagid="top")
    deals = {"d": catalogued} if catalogued is not None else {}
    return sold(request(offered), market(placements=[placement("top")], deals=deals, rates=rates)).deals.get("d")


def test_a_deal_of_the_request_alone() -> None:
    """It counts though nobody registered it, for every bidder, with a floor in its own currency."""
    deal = on_sale({"bidfloor": 2.5, "at": 1, "wseat": ["s"], "wadomain": ["brand.example"]}, None)
    floor = Floor(2_500_000, "The deal's")
    assert deal == DealOnSale("d", floor, 1, ("s",), ("brand.example",), advertisers=frozenset({"brand.example"}))
    assert deal.bidder_ids is None


def test_long_lists_of_advertisers_are_brought_together_at_little_cost() -> None:
    """As many as a request may name, beside as many as the catalogue may."""
    stated = [f"s{number}.example" for number in range(4_096)]
    started = process_time()
    deal = on_sale({"wadomain": stated}, registered(wadomain=tuple(f"a.s{number}.example" for number in range(256))))
    assert process_time() - started < 0.2
    assert len(deal.wadomain) == 256


@pytest.mark.parametrize(("auction", "at"), [("first_price", 1), ("second_price", 2), ("fixed_price", 3)])
def test_a_deal_of_the_catalogue_alone(auction: Any, at: int) -> None:
    """It is added to the imps that it covers, for its bidders only."""
    deal = on_sale(None, registered(auction=auction, wseat=("s",), wadomain=("brand.example",)))
    expected = DealOnSale(
        "d",
        Floor(2_000_000, "The deal's"),
        at,
        ("s",),
        ("brand.example",),
        frozenset({"alfa"}),
        is_registered=True,
        advertisers=frozenset({"brand.example"}),
    )
    assert deal == expected


@pytest.mark.parametrize(
    ("placement_ids", "tagid", "covered"),
    [
        ((), "top", True),
        ((), None, True),
        (("top",), "top", True),
        (("side", "top"), "top", True),
        (("side",), "top", False),
        (("side",), None, False),
        (("side",), "side", False),
    ],
    ids=[
        "everywhere",
        "everywhere, an imp without a placement too",
        "the placement's own",
        "one of several",
        "another placement's",
        "another's, and no placement",
        "a tag id that is no stored placement",
    ],
)
def test_which_imps_a_registered_deal_covers(placement_ids: tuple[str, ...], tagid: str | None, covered: bool) -> None:
    """Those of its placements; all of them where it names none."""
    catalogue = market(placements=[placement("top")], deals={"d": registered(placement_ids=placement_ids)})
    for_sale = sold(request(imp(tagid=tagid) if tagid else imp()), catalogue)
    assert ("d" in for_sale.deals) is covered


@pytest.mark.parametrize(
    ("stated", "catalogued", "expected"),
    [
        ({"bidfloor": 3}, {}, {"floor": Floor(3_000_000, "The deal's")}),
        ({"bidfloor": 1}, {}, {"floor": Floor(2_000_000, "The deal's")}),
        ({"at": 1}, {"auction": "fixed_price"}, {"at": 1}),
        ({}, {"auction": "fixed_price"}, {"at": 3}),
        ({"wseat": ["s", "t"]}, {"wseat": ("t", "u")}, {"wseat": ("t",)}),
        ({"wseat": ["s"]}, {}, {"wseat": ("s",)}),
        ({}, {"wseat": ("u",)}, {"wseat": ("u",)}),
        ({"wseat": ["s"]}, {"wseat": ("u",)}, {"bidder_ids": frozenset()}),
        (
            {"wadomain": ["brand.example", "shop.example"]},
            {"wadomain": ("news.brand.example",)},
            {"wadomain": ("news.brand.example",)},
        ),
        ({"wadomain": ["brand.example"]}, {"wadomain": ("other.example",)}, {"bidder_ids": frozenset()}),
        ({}, {}, {"bidder_ids": frozenset({"alfa"}), "is_registered": True}),
    ],
    ids=[
        "the request may ask for more",
        "the catalogue's floor is a minimum",
        "the request's type stands",
        "the catalogue's type where the request has none",
        "a seat that both let in",
        "seats of the request alone",
        "seats of the catalogue alone",
        "no seat that both let in",
        "an advertiser that both let in is the narrower domain",
        "no advertiser that both let in",
        "the catalogue's bidders",
    ],
)
def test_a_deal_of_both(stated: dict[str, Any], catalogued: dict[str, Any], expected: dict[str, Any]) -> None:
    """The request's terms stand, inside of the catalogue's bounds."""
    deal = on_sale(stated, registered(**catalogued))
    assert {name: getattr(deal, name) for name in expected} == expected


def test_a_deal_s_floor_by_duration() -> None:
    """In the place of its floor, and never below what the catalogue asks for."""
    stated = {"durfloors": [{"maxdur": 15, "bidfloor": 1}, {"mindur": 16, "bidfloor": 6}]}
    alone, bounded = on_sale(stated, None), on_sale(stated, registered())
    assert [alone.floor_for(seconds).micros for seconds in (10, 30, None)] == [1_000_000, 6_000_000, 6_000_000]
    assert [bounded.floor_for(seconds).micros for seconds in (10, 30, None)] == [2_000_000, 6_000_000, 6_000_000]
    assert on_sale({"bidfloor": 3}, None).floor_for(10).micros == 3_000_000


def test_a_registered_deal_in_another_currency() -> None:
    """Its floor is converted like any other, or cannot be reached."""
    euros = registered(currency="EUR")
    assert on_sale(None, euros, rates={"EUR/USD": "1.10"}).floor.micros == 2_200_000
    assert on_sale(None, euros).floor.micros is None


def test_deals_in_the_currency_of_each_auction() -> None:
    """One catalogue serves auctions in any currency, one after the other."""
    catalogue = market(deals={"d": registered()}, rates={"USD/EUR": "0.50"})
    micros = [sold(request(cur=[cur]), catalogue).deals["d"].floor.micros for cur in ("EUR", "USD", "EUR", "JPY")]
    assert micros == [1_000_000, 2_000_000, 1_000_000, None]


def test_deals_of_the_placement_and_those_for_all() -> None:
    """An imp can be bought under both kinds."""
    deals = {"here": registered(placement_ids=("top",)), "everywhere": registered()}
    catalogue = market(placements=[placement("top"), placement("side")], deals=deals)
    assert set(sold(request(imp(tagid="top")), catalogue).deals) == {"here", "everywhere"}
    assert set(sold(request(imp(tagid="side")), catalogue).deals) == {"everywhere"}


def test_what_stands_in_the_log() -> None:
    """The deals that could be bid under, with their terms."""
    catalogue = market(placements=[placement("top")], deals={"d": registered(currency="EUR")})
    stated = {"deals": [{"id": "own", "bidfloor": 1, "at": 3}], "private_auction": 1}
    offered = sold(request(imp(tagid="top", pmp=stated)), catalogue).offered
    assert offered.is_private
    assert [(each.deal_id, each.floor_micros, each.at, each.is_registered) for each in offered.deals] == [
        ("own", 1_000_000, 3, False),
        ("d", None, 2, True),
    ]


domains = st.lists(st.sampled_from(["a.example", "b.a.example", "c.b.a.example", "d.example"]), max_size=3, unique=True)


@given(domains, domains, st.sampled_from(["a.example", "b.a.example", "x.b.a.example", "d.example", "e.example"]))
def test_an_advertiser_must_be_let_in_by_both(first: list[str], second: list[str], advertiser: str) -> None:
    """Whatever the lists are, the deal lets in exactly whom both of them let in."""

    def lets_in(listed: Any) -> bool:
        return not listed or any(is_within(advertiser, domain) for domain in listed)

    deal = on_sale({"wadomain": first}, registered(wadomain=tuple(second)))
    assert (deal.bidder_ids != frozenset() and lets_in(deal.wadomain)) == (lets_in(first) and lets_in(second))
