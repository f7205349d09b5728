"""What an auction reads out of a request."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from domain.event_parts import Inventory
from domain.openrtb.offer import (
    auction_type_of,
    currency_of,
    floor_micros,
    inventory_of,
    media_types_of,
    publisher_id_of,
)
from domain.openrtb.parse import parse_request
from domain.openrtb.request import BidRequest


def request(imp: dict[str, Any] | None = None, **members: Any) -> BidRequest:
    content = {"id": "r", "imp": [{"id": "1", "banner": {}, **(imp or {})}], **members}
    return parse_request(msgspec.json.encode(content)).request


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ({}, Inventory()),
        (
            {
                "site": {"domain": "News.Example", "publisher": {"id": "p"}},
                "device": {"devicetype": 2, "geo": {"country": "deu"}},
            },
            Inventory(site="news.example", publisher_id="p", device_type=2, country="DEU"),
        ),
        (
            {"app": {"bundle": "com.Example.App", "domain": "x.example"}, "user": {"geo": {"country": "USA"}}},
            Inventory(site="com.Example.App", country="USA"),
        ),
        ({"dooh": {"domain": "screens.example", "publisher": {}}}, Inventory(site="screens.example")),
        (
            {"device": {"geo": {"country": "FRA"}}, "user": {"geo": {"country": "USA"}}},
            Inventory(country="FRA"),
        ),
        ({"device": {"geo": {"country": "DE"}}}, Inventory()),
        ({"device": {"geo": {"country": "D1E"}}}, Inventory()),
        ({"device": {"geo": {"city": "Berlin"}}, "user": {"geo": {"country": "USA"}}}, Inventory(country="USA")),
    ],
)
def test_inventory(members: dict[str, Any], expected: Inventory) -> None:
    """The words of the reports come from site, app or screen, the device's country before the user's."""
    bid_request = request(**members)
    publisher_id = publisher_id_of(bid_request)
    assert inventory_of(bid_request, bid_request.imp[0], publisher_id) == expected


def test_placement() -> None:
    """The placement is the imp's tag id."""
    bid_request = request({"tagid": "top"})
    assert inventory_of(bid_request, bid_request.imp[0], "").placement_id == "top"


def test_media_types() -> None:
    """An imp may offer several."""
    (imp,) = request({"video": {"mimes": ["video/mp4"]}, "audio": {"mimes": ["a"]}, "native": {"request": "{}"}}).imp
    assert media_types_of(imp) == ("banner", "video", "audio", "native")


@pytest.mark.parametrize(("floor", "micros"), [(None, 0), (0, 0), (0.35, 350_000), (2, 2_000_000), (1e-7, 0)])
def test_floor(floor: float | None, micros: int) -> None:
    """Floors are whole micros."""
    (imp,) = request({} if floor is None else {"bidfloor": floor}).imp
    assert floor_micros(imp) == micros


@pytest.mark.parametrize(("cur", "currency"), [(None, "USD"), ([], "USD"), (["EUR", "USD"], "EUR")])
def test_currency(cur: list[str] | None, currency: str) -> None:
    """The first currency of the publisher's list, or the specification's default."""
    assert currency_of(request(cur=cur)) == currency


@pytest.mark.parametrize(("at", "auction_type"), [(1, 1), (2, 2), (3, 2), (501, 2), (None, 2)])
def test_auction_type(at: int | None, auction_type: int) -> None:
    """Types that only others know are held as the default."""
    assert auction_type_of(request(**({} if at is None else {"at": at}))) == auction_type
