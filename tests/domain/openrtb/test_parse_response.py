"""Bidders' answers: each bid stands or falls by itself, and no answer does more harm than that."""

from __future__ import annotations

from decimal import Decimal

import msgspec
import pytest

from domain.errors import InvalidInput
from domain.limits import BIDS_PER_RESPONSE_MAX, MARKUP_MAX_CHARS, NOTICE_URL_MAX_CHARS, REQUEST_DEPTH_MAX
from domain.openrtb.parse import MalformedBid, parse_response

GOOD = '{"id":"good","impid":"1","price":1.5}'


def response(*bids: str) -> bytes:
    """A response of one seat with these bids, as JSON text."""
    return f'{{"id":"r","seatbid":[{{"seat":"s","bid":[{",".join(bids)}]}}]}}'.encode()


@pytest.mark.parametrize(
    "body",
    [
        b"{}",
        b'{"id":"r"}',
        b'{"id":"r","seatbid":[]}',
        b'{"id":"r","seatbid":null}',
        b'{"id":"r","seatbid":[],"nbr":2}',
        b'{"id":"r","nbr":999}',
        b'{"id":"r","seatbid":[{"bid":[]}]}',
    ],
)
def test_every_form_of_no_bid(body: bytes) -> None:
    """All no-bids of section 7.1 are read as such, and so are those that bidders really send."""
    parsed = parse_response(body)
    assert (parsed.bids, parsed.malformed) == ((), ())


def test_the_reason_of_a_no_bid() -> None:
    """`nbr` is kept, known or not."""
    assert parse_response(b'{"id":"r","nbr":2}').response.nbr == 2
    assert parse_response(b'{"id":"r","nbr":999}').response.nbr == 999


def test_a_bid_and_what_stands_around_it() -> None:
    """A bid knows its seat, its exact price, and every field it came with."""
    parsed = parse_response(
        b'{"id":"r","cur":"EUR","bidid":"a","seatbid":[{"seat":"s-1","group":1,"bid":['
        b'{"id":"b","impid":"1","price":0.10,"zz":[1.50],"ext":{"landing_url":"https://x.example"}}]},'
        b'{"bid":[{"id":"c","impid":"1","price":2}]}]}'
    )
    first, second = parsed.bids
    assert (parsed.response.id, parsed.response.cur, parsed.response.bidid) == ("r", "EUR", "a")
    assert (first.seat, first.group, first.bid.price) == ("s-1", 1, Decimal("0.10"))
    assert (second.seat, second.group, second.bid.price) == ("", 0, Decimal(2))
    assert bytes(first.members()["zz"]) == b"[1.50]"
    assert bytes(first.ext_members()["landing_url"]) == b'"https://x.example"'
    assert second.ext_members() == {}


@pytest.mark.parametrize(
    ("bad", "path", "reason"),
    [
        ('{"id":"b","impid":"2","price":-1}', ".price", "-1 is negative"),
        ('{"id":"b","impid":"2","price":"NaN"}', ".price", "Expected a number, got `str`"),
        ('{"id":"b","impid":"2","price":"1.5"}', ".price", "Expected a number, got `str`"),
        ('{"id":"b","impid":"2","price":1e30}', ".price", "1E+30 is above 1000000"),
        ('{"id":"b","impid":"2","price":1e400}', ".price", "1E+400 is above 1000000"),
        ('{"id":"b","impid":"2","price":null}', ".price", "Expected a number, got `null`"),
        ('{"id":"b","impid":"2"}', "", "Object missing required field `price`"),
        ('{"id":"b","impid":"2","price":1e99999999999999999999}', "", "a number is out of range"),
        ('{"id":"b","impid":"2","price":1,"w":-1}', ".w", "Expected `int` >= 0"),
        ('{"id":"b","impid":"2","price":1,"adomain":["a",1]}', ".adomain[1]", "Expected `str`, got `int`"),
        (f'{{"id":"b","impid":"2","price":1,"attr":{[1] * 65}}}', ".attr", "Expected `array` of length <= 64"),
        (f'{{"id":"b","impid":"2","price":1,"adid":"{"a" * 257}"}}', ".adid", "Expected `str` of length <= 256"),
        ('{"id":"b","impid":"2","price":1,"ext":7}', ".ext", "Expected `object`"),
        ('{"id":"b","impid":"2","price":1,"ext":"x"}', ".ext", "Expected `object`"),
        (r'{"id":"b","impid":"2","price":1,"crid":"\u0000"}', ".crid", "the character NUL is not allowed"),
        (r'{"id":"b","impid":"2","price":1,"zz":["\u0000"]}', ".zz[0]", "the character NUL is not allowed"),
    ],
)
def test_a_bad_bid_costs_only_itself(bad: str, path: str, reason: str) -> None:
    """The bids beside it count, and it is named with its ids, its path and the reason."""
    parsed = parse_response(response(GOOD, bad, GOOD))
    assert [each.bid.id for each in parsed.bids] == ["good", "good"]
    assert parsed.malformed == (MalformedBid(f"seatbid[0].bid[1]{path}", reason, "b", "2"),)


@pytest.mark.parametrize(
    ("bad", "bid_id", "impid"),
    [
        ("7", None, None),
        ("null", None, None),
        ("[]", None, None),
        ("{}", None, None),
        ('{"id":7,"impid":"2","price":1}', None, "2"),
        ('{"id":"b","impid":"","price":1}', "b", None),
        (r'{"id":"\u0000","impid":"2","price":1}', None, "2"),
        (f'{{"id":"b","impid":"2","price":1,"nurl":"{"x" * (NOTICE_URL_MAX_CHARS + 1)}"}}', "b", "2"),
        (f'{{"id":"b","impid":"2","price":1,"adm":"{"x" * (MARKUP_MAX_CHARS + 1)}"}}', "b", "2"),
    ],
)
def test_whose_bid_it_was(bad: str, bid_id: str | None, impid: str | None) -> None:
    """A bad bid's ids are told as far as they can be read."""
    (malformed,) = parse_response(response(bad)).malformed
    assert malformed.path.startswith("seatbid[0].bid[0]")
    assert (malformed.bid_id, malformed.impid) == (bid_id, impid)


def test_a_bad_seat_costs_only_itself() -> None:
    """Seats that cannot be read stand beside those that can."""
    parsed = parse_response(
        f'{{"id":"r","seatbid":[5,{{"seat":7,"bid":[]}},{{"seat":"s"}},{{"seat":"\\u0000","bid":[{GOOD}]}},'
        f'{{"seat":"s","bid":[{GOOD}]}}]}}'.encode()
    )
    assert [each.path for each in parsed.malformed] == [
        "seatbid[0]",
        "seatbid[1].seat",
        "seatbid[2]",
        "seatbid[3].seat",
    ]
    assert [each.bid.id for each in parsed.bids] == ["good"]


def test_bytes_that_are_no_text_cost_only_their_bid() -> None:
    """A bid that would make the whole answer unreadable for the publisher is left out."""
    body = response(GOOD, '{"id":"b","impid":"2","price":1,"zz":"@"}', GOOD).replace(b"@", b"\xff")
    parsed = parse_response(body)
    assert len(parsed.bids) == 2
    assert [(each.path, each.bid_id) for each in parsed.malformed] == [("seatbid[0].bid[1]", "b")]


def test_a_null_extension_is_none() -> None:
    """Encoders that write null for nothing lose no bid."""
    (bid,) = parse_response(response('{"id":"b","impid":"2","price":1,"ext":null,"adm":null}')).bids
    assert bid.ext_members() == {}


@pytest.mark.parametrize(
    ("body", "path"),
    [
        (b"", "$"),
        (b"<html>", "$"),
        (b"[]", "$"),
        (b"null", "$"),
        (response(GOOD)[:-1], "$"),
        (response("NaN"), "$"),
        (b'{"id":7}', "id"),
        (b'{"id":"r","cur":"dollars"}', "cur"),
        (b'{"id":"r","seatbid":{}}', "seatbid"),
        (b'{"id":"r","nbr":"2"}', "nbr"),
        (b'{"id":"\xff"}', "$"),
        (b"[" * 100_000, "$"),
        (b'{"ext":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "$"),
        (b'{"ext":' + b"[" * REQUEST_DEPTH_MAX + b"]" * REQUEST_DEPTH_MAX + b"}", "$"),
    ],
)
def test_an_answer_that_is_none(body: bytes, path: str) -> None:
    """What is no bid response at all is refused whole."""
    with pytest.raises(InvalidInput) as caught:
        parse_response(body)
    assert [fault.path for fault in caught.value.faults] == [path]


@pytest.mark.parametrize("bid", [GOOD, "{}"])
def test_bids_are_bounded(bid: str) -> None:
    """Bids past the bound are passed over, good or bad, in one seat or in many."""
    one_seat = parse_response(response(*[bid] * (BIDS_PER_RESPONSE_MAX + 50)))
    assert len(one_seat.bids) + len(one_seat.malformed) == BIDS_PER_RESPONSE_MAX
    seats = ",".join([f'{{"bid":[{bid}]}}'] * (BIDS_PER_RESPONSE_MAX + 50))
    many_seats = parse_response(f'{{"id":"r","seatbid":[{seats}]}}'.encode())
    assert len(many_seats.bids) + len(many_seats.malformed) == BIDS_PER_RESPONSE_MAX


def test_bad_seats_are_bounded() -> None:
    """Seats that are none are not listed without end either."""
    seats = ",".join(["5"] * (BIDS_PER_RESPONSE_MAX + 50))
    assert len(parse_response(f'{{"id":"r","seatbid":[{seats}]}}'.encode()).malformed) == BIDS_PER_RESPONSE_MAX


def test_the_currency_of_a_response_is_dollars_unless_stated() -> None:
    """The specification's default."""
    assert parse_response(response(GOOD)).response.cur == "USD"


def test_prices_survive_their_text() -> None:
    """A price is the decimal that stands in the JSON, not its nearest double."""
    (bid,) = parse_response(response('{"id":"b","impid":"1","price":0.1000000000000000055}')).bids
    assert str(bid.bid.price) == "0.1000000000000000055"
    assert msgspec.json.decode(bid.raw)["id"] == "b"
