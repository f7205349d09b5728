"""What a request puts on sale."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from domain.events import StatedPrice
from domain.floors import Floor
from domain.market import Market
from domain.openrtb.parse import parse_request
from domain.sale import on_sale


def imp(**members: Any) -> dict[str, Any]:
    return {"id": "1", "banner": {"w": 300, "h": 250}, **members}


def request(*imps: dict[str, Any], **members: Any) -> bytes:
    return msgspec.json.encode({"id": "r", "imp": imps or [imp()], **members})


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
    parsed = parse_request(request(imp(banner=banner, instl=instl)))
    [for_sale] = on_sale(parsed.request, parsed.members, Market(), default_share_bps=8_000).imps.values()
    assert for_sale.allows_size(*size) is allowed


def test_a_sale_in_its_own_terms() -> None:
    """Floors in micros, deals by id with a floor currency of their own, every list as it will be looked up."""
    deals = {"private_auction": 1, "deals": [{"id": "d", "bidfloor": 2.5}]}
    parsed = parse_request(
        request(
            imp(id="a", bidfloor=0.1, bidfloorcur="EUR", pmp=deals, tagid="top"),
            imp(id="b", banner=None, video={"mimes": ["video/mp4"]}, native={"request": "{}"})
            | {"banner": {"w": 1, "h": 1}},
            cur=["EUR", "USD"],
            at=1,
            test=1,
            bseat=["s"],
            badv=["rival.example"],
            device={"geo": {"country": "DEU"}},
            site={"domain": "News.example", "publisher": {"id": "p"}},
        )
    )
    sale = on_sale(parsed.request, parsed.members, Market(), default_share_bps=8_000)
    assert (sale.auction_type, sale.currency, sale.is_test, sale.country) == (1, "EUR", True, "DEU")
    first, second = sale.imps.values()
    assert (first.floor, first.is_private) == (Floor(100_000, "The imp's"), True)
    assert first.deals["d"].floor == Floor(
        None, "The deal's", StatedPrice(price_micros=2_500_000, currency="USD", rate="")
    )
    assert (first.inventory.placement_id, first.inventory.site) == ("top", "news.example")
    assert second.media_types == ("banner", "video", "native")
    assert (second.floor.micros, second.deals, second.is_private) == (0, {}, False)
    assert (sale.seats_blocked, sale.seats_allowed) == ({"s"}, frozenset())
