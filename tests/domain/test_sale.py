"""What a request puts on sale."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import InvalidInput
from domain.event_parts import StatedPrice
from domain.floors import Floor
from tests.domain.trading import bidder, imp, market, placement, publisher, request, sale_of, sold


@pytest.mark.parametrize(
    ("banner", "instl", "size", "allowed"),
    [
        ({"w": 300, "h": 250}, 0, (300, 250), True),
        ({"w": 300, "h": 250}, 0, (250, 300), False),
        ({}, 0, (1, 1), True),
        ({"w": 300}, 0, (728, 90), True),
        ({"format": [{"w": 320, "h": 50}, {"w": 728, "h": 90}]}, 0, (728, 90), True),
        ({"format": [{"w": 320, "h": 50}]}, 0, (728, 90), False),
        ({"format": [{"w": 320, "h": 50}], "w": 300, "h": 250}, 0, (300, 250), True),
        ({"format": [{"wratio": 16, "hratio": 9, "wmin": 320}]}, 0, (640, 360), True),
        ({"format": [{"wratio": 16, "hratio": 9, "wmin": 320}]}, 0, (160, 90), False),
        ({"format": [{"wratio": 16, "hratio": 9}]}, 0, (640, 480), False),
        ({"w": 1080, "h": 1920}, 1, (320, 480), True),
        ({"w": 1080, "h": 1920}, 1, (1920, 1080), False),
    ],
)
def test_sizes(banner: dict[str, Any], instl: int, size: tuple[int, int], allowed: bool) -> None:
    """Listed sizes, flexible ones by their proportions, and smaller ones for an interstitial."""
    assert sold(request(imp(banner=banner, instl=instl)), market()).allows_size(*size) is allowed


def test_a_sale_in_its_own_terms() -> None:
    """Floors in micros, deals by id with a floor currency of their own, every list as it will be looked up."""
    deals = {"private_auction": 1, "deals": [{"id": "d", "bidfloor": 2.5}]}
    sale = sale_of(
        request(
            imp(id="a", banner={"w": 300, "h": 250}, bidfloor=0.1, bidfloorcur="EUR", pmp=deals, tagid="top"),
            imp(id="b", banner=None, video={"mimes": ["video/mp4"]}, native={"request": "{}"})
            | {"banner": {"w": 1, "h": 1}},
            cur=["EUR", "USD"],
            at=1,
            test=1,
            bseat=["s"],
            badv=["rival.example"],
            device={"geo": {"country": "DEU"}},
            site={"domain": "News.example", "publisher": {"id": "p"}},
        ),
        market(),
    )
    assert (sale.auction_type, sale.currency, sale.is_test, sale.country) == (1, "EUR", True, "DEU")
    first, second = sale.imps.values()
    assert (first.floor, first.is_private) == (Floor(100_000, "The imp's"), True)
    assert first.deals["d"].floor == Floor(
        None, "The deal's", StatedPrice(price_micros=2_500_000, currency="USD", rate="")
    )
    assert (first.inventory.placement_id, first.inventory.site) == ("top", "news.example")
    assert second.media_types == ("banner", "video", "native")
    assert (second.floor.micros, second.deals, second.is_private) == (0, {}, False)
    assert (sale.seats_blocked, sale.seats_allowed) == (frozenset({"s"}), frozenset())


def test_what_a_placement_brings() -> None:
    """Its publisher and the publisher's share, its sizes where the banner states none, its id for the reports."""
    catalogue = market(placements=[placement("top", sizes=((300, 250),))], publishers={"p": publisher(share_bps=7_000)})
    stored = sold(request({"id": "1", "banner": {}, "tagid": "top"}), catalogue)
    assert stored.placement is not None
    assert (stored.inventory.publisher_id, stored.inventory.placement_id, stored.share_bps) == ("p", "top", 7_000)
    assert [stored.allows_size(*size) for size in ((300, 250), (728, 90))] == [True, False]
    other = sold(request({"id": "1", "banner": {}, "tagid": "elsewhere"}), catalogue)
    assert other.placement is None
    assert (other.inventory.publisher_id, other.inventory.placement_id, other.share_bps) == ("", "elsewhere", 8_000)
    assert other.allows_size(728, 90)


def test_a_registered_publisher_without_a_placement_gets_its_share() -> None:
    """The request names it, so it is known whose inventory it is."""
    catalogue = market(publishers={"p": publisher(share_bps=7_000)})
    assert sold(request(site={"publisher": {"id": "p"}}), catalogue).share_bps == 7_000
    assert sold(request(site={"publisher": {"id": "q"}}), catalogue).share_bps == 8_000


@pytest.mark.parametrize(
    ("members", "paths"),
    [
        ({}, []),
        ({"site": {"publisher": {"id": "p"}}}, ["imp[1].tagid"]),
        ({"app": {"publisher": {"id": "q"}}}, ["imp[0].tagid"]),
        ({"dooh": {"publisher": {"id": "r"}}}, ["imp[0].tagid", "imp[1].tagid"]),
        ({"site": {"publisher": {"id": "its own name for itself"}}}, []),
    ],
    ids=["nobody", "one", "the other", "a third", "somebody whom nobody registered"],
)
def test_another_publisher_s_placement_is_refused(members: dict[str, Any], paths: list[str]) -> None:
    """A registered publisher sells its own placements only; every wrong one is named."""
    catalogue = market(
        placements=[placement("top"), placement("side", publisher_id="q")],
        publishers={name: publisher() for name in ("p", "q", "r")},
    )
    body = request(imp(id="a", tagid="top"), imp(id="b", tagid="side"), imp(id="c", tagid="elsewhere"), **members)
    if not paths:
        owners = [each.inventory.publisher_id for each in sale_of(body, catalogue).imps.values()]
        assert owners[:2] == ["p", "q"]
        return
    with pytest.raises(InvalidInput) as refused:
        sale_of(body, catalogue)
    assert [fault.path for fault in refused.value.faults] == paths


@pytest.mark.parametrize(
    ("tagids", "members", "auction_type"),
    [
        (["first"], {}, 1),
        (["second"], {}, 2),
        (["first", "first"], {}, 1),
        (["first", "second"], {}, 2),
        (["first", "unknown"], {}, 2),
        (["first"], {"at": 2}, 2),
        (["second"], {"at": 1}, 1),
    ],
)
def test_the_kind_of_auction(tagids: list[str], members: dict[str, Any], auction_type: int) -> None:
    """The request's, else the placements' where all imps agree, else second price."""
    catalogue = market(placements=[placement("first", auction="first_price"), placement("second")])
    imps = [imp(id=str(number), tagid=tagid) for number, tagid in enumerate(tagids)]
    assert sale_of(request(*imps, **members), catalogue).auction_type == auction_type


@pytest.mark.parametrize(
    ("price", "currency", "bps", "micros", "rate"),
    [
        ("1.25", "USD", 10_000, 1_250_000, None),
        ("1.25", "USD", 9_000, 1_125_000, "1"),
        ("0.000003", "USD", 5_000, 1, "1"),
        ("1", "EUR", 10_000, 1_100_000, "1.10"),
        ("0.000001", "EUR", 10_000, 1, "1.10"),
        ("0.000009", "EUR", 9_500, 8, "1.10"),
        ("1", "EUR", 0, 0, "1.10"),
    ],
    ids=[
        "as it is",
        "adjusted",
        "adjusted, rounded down",
        "converted",
        "converted, rounded down",
        "converted first: 9.9 is 9, and 95 % of it are 8",
        "nothing is left",
    ],
)
def test_what_competes_of_a_price(price: str, currency: str, bps: int, micros: int, rate: str | None) -> None:
    """In the auction's currency, after the bidder's adjustment; what was stated is kept where it is another figure."""
    sale = sale_of(request(), market(rates={"EUR/USD": "1.10"}))
    found = sale.price_of(Decimal(price), currency, bidder(price_adjustment_bps=bps).terms)
    assert found is not None
    competing, stated = found
    assert competing == micros
    if rate is None:
        assert stated is None
    else:
        in_its_own = int(Decimal(price) * 10**6)
        assert stated == StatedPrice(price_micros=in_its_own, currency=currency, rate=rate, adjustment_bps=bps)


def test_a_price_without_a_rate_cannot_compete() -> None:
    """There is no figure for it."""
    assert sale_of(request(), market()).price_of(Decimal(1), "EUR", bidder().terms) is None


@given(
    st.decimals(0, 1_000, places=6),
    st.sampled_from(["USD", "EUR", "JPY"]),
    st.integers(0, 10_000),
    st.decimals("0.0001", "1000", places=4),
)
def test_what_competes_is_never_more_than_was_bid(price: Decimal, currency: str, bps: int, rate: Decimal) -> None:
    """Exactly: price × rate × adjustment, and less than two micros below it."""
    sale = sale_of(request(), market(rates={"EUR/USD": str(rate), "JPY/USD": str(rate)}))
    found = sale.price_of(price, currency, bidder(price_adjustment_bps=bps).terms)
    assert found is not None
    exact = price * 10**6 * (1 if currency == "USD" else rate) * bps / 10_000
    assert 0 <= exact - found[0] < 2
