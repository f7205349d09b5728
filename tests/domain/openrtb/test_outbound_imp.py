"""What bidders are told that the publisher did not say: the catalogue's floors, sizes, deals, publisher, currencies."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from domain.catalogue import Deal, FloorRule
from tests.domain.trading import bidder, guests_of, imp, market, placement, publisher, request, told

RATES = {"EUR/USD": "1.10"}


def told_of(body: bytes, *, bidder_id: str = "alfa", **catalogue: Any) -> dict[str, Any]:
    """What a bidder that buys everything is told, time left aside."""
    request_told = told(body, market(bidders=[bidder(bidder_id)], **catalogue))[bidder_id]
    del request_told["tmax"]
    return request_told


def imp_told(offered: dict[str, Any], **catalogue: Any) -> dict[str, Any]:
    [imp_of_bidder] = told_of(request(offered), **catalogue)["imp"]
    assert isinstance(imp_of_bidder, dict)
    return imp_of_bidder


def test_what_no_placement_names_is_told_as_it_came() -> None:
    """Unknown fields included, and a tag id that is the publisher's own word stays."""
    offered = imp(tagid="somewhere", bidfloor=0.1, zz={"a": [1]})
    assert imp_told(offered, placements=[placement("top")]) == offered


@pytest.mark.parametrize(
    ("members", "terms", "expected"),
    [
        ({"bidfloor": 1}, {"floor_micros": 500_000}, {"bidfloor": 1}),
        ({"bidfloor": 1}, {"floor_micros": 1_500_000}, {"bidfloor": 1.5, "bidfloorcur": "USD"}),
        ({}, {"floor_micros": 1_000_000, "currency": "EUR"}, {"bidfloor": 1, "bidfloorcur": "EUR"}),
        ({}, {"floor_micros": 1_000_000, "currency": "JPY"}, {"bidfloor": 1, "bidfloorcur": "JPY"}),
        (
            {"bidfloor": 1.05, "bidfloorcur": "EUR"},
            {"floor_micros": 1_150_000},
            {"bidfloor": 1.05, "bidfloorcur": "EUR"},
        ),
        ({}, {}, {}),
    ],
    ids=[
        "the imp's is higher",
        "the placement's is higher",
        "in its own currency",
        "in one without a rate",
        "the imp's is higher once converted",
        "nobody asks for anything",
    ],
)
def test_floors(members: dict[str, Any], terms: dict[str, Any], expected: dict[str, Any]) -> None:
    """The floor that will count is the floor that is told, as its owner stated it."""
    offered = imp_told(imp(tagid="top", **members), placements=[placement("top", **terms)], rates=RATES)
    assert {name: offered[name] for name in ("bidfloor", "bidfloorcur") if name in offered} == expected


def test_a_publisher_s_floor_is_told_without_a_placement() -> None:
    """Its rules hold for every imp of a request that names it; what it says no more of stays as it came."""
    publishers = {"p": publisher(floor_rules=(FloorRule(floor_micros=1_500_000, currency="EUR"),))}
    body = request(imp(bidfloor=1, zz=1), imp(id="2", bidfloor=9), site={"publisher": {"id": "p"}})
    first, second = told_of(body, publishers=publishers, rates=RATES)["imp"]
    assert first == imp(bidfloor=1.5, bidfloorcur="EUR", zz=1)
    assert second == imp(id="2", bidfloor=9)


def test_a_floor_beside_floors_by_duration_keeps_their_currency() -> None:
    """`bidfloorcur` is the currency of all floors of an imp, so the placement's is converted into it."""
    video = {"mimes": ["video/mp4"], "durfloors": [{"mindur": 1, "bidfloor": 0.5}]}
    members = {"tagid": "top", "bidfloorcur": "EUR", "video": video}
    top = placement("top", floor_micros=2_200_001)
    offered = imp_told(imp(**members), placements=[top], rates=RATES)
    assert (offered["bidfloor"], offered["bidfloorcur"], offered["video"]) == (2.000001, "EUR", video)
    assert "bidfloor" not in imp_told(imp(**members), placements=[top])


@pytest.mark.parametrize(
    ("banner", "formats"),
    [
        ({"zz": 1}, [{"w": 300, "h": 250}, {"w": 728, "h": 90}]),
        ({"w": 320, "h": 50}, None),
        ({"format": [{"w": 320, "h": 50}]}, [{"w": 320, "h": 50}]),
        ({"format": [{"wratio": 16, "hratio": 9}]}, [{"wratio": 16, "hratio": 9}]),
        ({"format": []}, [{"w": 300, "h": 250}, {"w": 728, "h": 90}]),
    ],
)
def test_sizes(banner: dict[str, Any], formats: list[dict[str, int]] | None) -> None:
    """The placement's, where the banner states none; what else the banner says stays."""
    top = placement("top", sizes=((300, 250), (728, 90)))
    offered = imp_told(imp(tagid="top", banner=banner), placements=[top])["banner"]
    assert offered == (banner if formats is None else banner | {"format": formats})


def deals_told(offered: dict[str, Any], deals: dict[str, Deal], **catalogue: Any) -> dict[str, list[Any]]:
    """By bidder, the deals of the one imp."""
    everybody = market(
        bidders=[bidder("alfa"), bidder("bravo")], placements=[placement("top")], deals=deals, **catalogue
    )
    return {
        bidder_id: each["imp"][0].get("pmp", {}).get("deals", [])
        for bidder_id, each in told(request(offered), everybody).items()
    }


def test_a_registered_deal_is_told_to_its_bidders_only() -> None:
    """Beside the request's own deals, which everybody is told of, unknown fields included."""
    own = {"id": "own", "zz": 1}
    deal = Deal(bidder_ids=("alfa",), floor_micros=1_500_000, currency="EUR", wseat=("s",), auction="fixed_price")
    added = {"id": "d", "bidfloor": 1.5, "bidfloorcur": "EUR", "at": 3, "wseat": ["s"]}
    offered = imp(tagid="top", pmp={"private_auction": 1, "deals": [own], "zz": 2})
    assert deals_told(offered, {"d": deal}, rates=RATES) == {"alfa": [own, added], "bravo": [own]}
    [told_imp] = told_of(request(offered), deals={"d": deal})["imp"]
    assert (told_imp["pmp"]["private_auction"], told_imp["pmp"]["zz"]) == (1, 2)
    assert deals_told(imp(), {"d": deal}, rates=RATES) == {"alfa": [added], "bravo": []}


def test_a_deal_of_both_is_told_as_it_will_be_enforced() -> None:
    """With the higher floor, the type that counts and what both lists let in, and to its bidders only."""
    deal = Deal(bidder_ids=("alfa",), floor_micros=2_000_000, auction="first_price", wadomain=("brand.example",))
    stated = {"id": "d", "bidfloor": 1, "guar": 1}
    enforced = stated | {"bidfloor": 2, "bidfloorcur": "USD", "at": 1, "wadomain": ["brand.example"]}
    offered = imp(pmp={"deals": [stated]})
    assert deals_told(offered, {"d": deal}) == {"alfa": [enforced], "bravo": []}
    nobody = imp(pmp={"deals": [stated | {"wadomain": ["other.example"]}]})
    assert deals_told(nobody, {"d": deal}) == {"alfa": [], "bravo": []}


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ({"site": {"domain": "news.example"}}, {"domain": "news.example", "publisher": {"id": "p"}}),
        ({"site": {"publisher": {"name": "News"}}}, {"publisher": {"name": "News", "id": "p"}}),
        ({"site": {"publisher": {"id": "elsewhere"}}}, {"publisher": {"id": "elsewhere"}}),
    ],
)
def test_whose_inventory_it_is(members: dict[str, Any], expected: dict[str, Any]) -> None:
    """The placement's publisher, where the request names none."""
    assert told_of(request(imp(tagid="top"), **members), placements=[placement("top")])["site"] == expected


def test_imps_of_several_publishers_name_none() -> None:
    """The request has room for one."""
    places = [placement("top"), placement("side", publisher_id="q")]
    body = request(imp(id="a", tagid="top"), imp(id="b", tagid="side"), app={"bundle": "com.example"})
    assert told_of(body, placements=places)["app"] == {"bundle": "com.example"}


@pytest.mark.parametrize(
    ("cur", "own", "expected"),
    [
        (None, "USD", None),
        (None, "EUR", ["USD", "EUR"]),
        (None, "JPY", None),
        (["EUR"], "USD", ["EUR", "USD"]),
        (["EUR", "USD"], "USD", ["EUR", "USD"]),
        (["GBP"], "EUR", ["GBP"]),
    ],
    ids=[
        "the auction's own",
        "one that converts",
        "one without a rate",
        "the other way round",
        "listed already",
        "no way to the auction's currency",
    ],
)
def test_currencies(cur: list[str] | None, own: str, expected: list[str] | None) -> None:
    """The publisher's list, and the bidder's own currency where a bid in it can be converted."""
    members = {} if cur is None else {"cur": cur}
    catalogue = market(bidders=[bidder("alfa", currency=own)], rates=RATES)
    assert told(request(**members), catalogue)["alfa"].get("cur") == expected


def test_each_bidder_is_told_of_its_imps_only() -> None:
    """The others are not in its request; those that are stand there as they came, in their order."""
    banner, video = imp(id="a", banner={"w": 1, "h": 1}, zz=1), {"id": "b", "video": {"mimes": ["v"]}}
    both = imp(id="c", video={"mimes": ["v"]})
    catalogue = market(
        bidders=[bidder("alfa", media_types=("banner",)), bidder("bravo", media_types=("video",)), bidder("charlie")]
    )
    offers = {name: each["imp"] for name, each in told(request(banner, video, both), catalogue).items()}
    assert offers == {"alfa": [banner, both], "bravo": [video, both], "charlie": [banner, video, both]}


def test_nothing_is_decoded_where_nothing_is_changed() -> None:
    """Digits that a float would lose reach every bidder as the publisher wrote them."""
    body = b'{"id":"r","imp":[{"id":"1","banner":{},"bidfloor":0.10000000000000000000001}]}'
    [invitation] = guests_of(body, market(bidders=[bidder("alfa")])).invitations
    assert b'"bidfloor":0.10000000000000000000001}' in invitation.template.body(100)


def test_a_rule_s_floor_is_told_too() -> None:
    """The floor of the most exact rule that fits what the imp offers."""
    rules = (FloorRule(floor_micros=3_000_000, country="DEU"),)
    body = request(imp(tagid="top"), device={"geo": {"country": "DEU"}})
    [offered] = told_of(body, placements=[placement("top", floor_rules=rules)])["imp"]
    assert offered["bidfloor"] == 3
    assert msgspec.json.encode(offered["bidfloor"]) == b"3.0"
