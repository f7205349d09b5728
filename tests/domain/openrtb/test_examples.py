"""The shapes that the specification shows in its section 6, in examples of our own."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import msgspec
import pytest

from domain.openrtb.offer import media_types_of
from domain.openrtb.parse import parse_request, parse_response
from tests.domain.trading import told_to_anybody

EXAMPLES = Path(__file__).parent / "examples"
REQUESTS = {
    "request-banner": ("banner",),
    "request-expandable": ("banner",),
    "request-mobile-app": ("banner",),
    "request-video": ("video",),
    "request-deals": ("banner",),
    "request-native": ("native",),
}
RESPONSES = {
    "response-markup-by-win-notice": ("b-1", "9.43"),
    "response-video-inline": ("b-2", "3"),
    "response-deal": ("b-3", "5"),
    "response-native-inline": ("b-4", "3"),
}


def example(name: str) -> bytes:
    return (EXAMPLES / f"{name}.json").read_bytes()


def test_every_example_is_read() -> None:
    """No example lies about unread."""
    assert {path.stem for path in EXAMPLES.iterdir()} == {*REQUESTS, *RESPONSES}


@pytest.mark.parametrize("name", REQUESTS)
def test_a_request_is_understood(name: str) -> None:
    """Each request of the specification is valid, whatever undefined fields it has."""
    (imp,) = parse_request(example(name)).request.imp
    assert media_types_of(imp) == REQUESTS[name]


@pytest.mark.parametrize("name", REQUESTS)
def test_bidders_get_the_request_as_it_came(name: str) -> None:
    """Nothing is lost or changed on the way to a bidder but the time that is left."""
    sent = msgspec.json.decode(example(name))
    received = msgspec.json.decode(told_to_anybody(parse_request(example(name)), ()).body(77))
    assert received == sent | {"tmax": 77}


@pytest.mark.parametrize("name", RESPONSES)
def test_a_response_is_understood(name: str) -> None:
    """Each response of the specification has one good bid, its price exact."""
    parsed = parse_response(example(name))
    assert not parsed.malformed
    assert [(each.bid.id, each.bid.price) for each in parsed.bids] == [
        (RESPONSES[name][0], Decimal(RESPONSES[name][1]))
    ]


def test_deals_of_a_request() -> None:
    """A deal's floor is exact, and its currency is its own."""
    (imp,) = parse_request(example("request-deals")).request.imp
    assert imp.pmp is not None
    assert imp.pmp.private_auction == 1
    assert [(deal.id, deal.at, deal.bidfloor, deal.bidfloorcur) for deal in imp.pmp.deals or ()] == [
        ("deal-a", 1, Decimal("2.5"), "USD"),
        ("deal-b", 2, Decimal(2), "USD"),
    ]


def test_the_specification_s_defaults() -> None:
    """What a request leaves out has the default that the specification states."""
    request = parse_request(b'{"id":"r","imp":[{"id":"1","banner":{}}],"site":{}}').request
    assert (request.at, request.test, request.allimps, request.cattax, request.tmax) == (2, 0, 0, 1, None)
    (imp,) = request.imp
    assert (imp.bidfloor, imp.bidfloorcur, imp.instl, imp.rwdd, imp.secure) == (0, "USD", 0, 0, None)
    assert request.site is not None
    assert request.site.cattax == 1
