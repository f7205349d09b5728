"""Whatever comes in: it is understood or refused with its faults, and never anything else happens."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from domain.errors import InvalidInput
from domain.openrtb.faults import request_faults
from domain.openrtb.minimised import request_for_log
from domain.openrtb.offer import (
    auction_type_of,
    currency_of,
    floor_micros,
    inventory_of,
    media_types_of,
    publisher_id_of,
)
from domain.openrtb.parse import ParsedRequest, parse_request, parse_response
from domain.openrtb.restrictions import restrictions_of
from tests.domain.openrtb.test_examples import REQUESTS, RESPONSES
from tests.domain.openrtb.test_examples import example as example_body
from tests.domain.openrtb.test_outbound import RESTRICTIONS, full_request, with_changes
from tests.domain.trading import told_to_anybody

KEY = b"a key of these tests"
Path = tuple[str | int, ...]

patient = settings(deadline=None)
"""Machines are shared; slowness is measured elsewhere."""

numbers = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
texts = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=10)
json_values = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
odd_values = (
    json_values | st.floats() | st.text(max_size=5) | st.sampled_from([10**400, -1, 1e300, "NaN", "\ud800", "\0"])
)


@st.composite
def valid_requests(draw: st.DrawFn) -> dict[str, Any]:
    names = st.sampled_from(sorted(REQUESTS))
    restricted = st.sampled_from(list(RESTRICTIONS.values())).map(lambda case: with_changes(case[0]))
    return draw(st.just(full_request()) | restricted | names.map(lambda name: msgspec.json.decode(example_body(name))))


def places(value: Any, path: Path = ()) -> Iterator[Path]:
    """Every place in a JSON value, the whole first."""
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from places(item, (*path, key))


def at(value: Any, path: Path) -> Any:
    for key in path:
        value = value[key]
    return value


@st.composite
def requests_with_unknown_fields(draw: st.DrawFn) -> dict[str, Any]:
    # A copy: what the tables of cases hold is not to grow with every example.
    content = copy.deepcopy(draw(valid_requests()))
    objects = [path for path in places(content) if isinstance(at(content, path), dict)]
    for path in draw(st.lists(st.sampled_from(objects), min_size=1, max_size=4)):
        at(content, path)["x-" + draw(texts)] = draw(json_values)
    return content


@st.composite
def mutated_requests(draw: st.DrawFn) -> bytes:
    content = copy.deepcopy(draw(valid_requests()))
    for _ in range(draw(st.integers(min_value=1, max_value=4))):
        path = draw(st.sampled_from([each for each in places(content) if each]) | st.just(()))
        if not path:
            continue
        holder, key = at(content, path[:-1]), path[-1]
        if draw(st.booleans()):
            holder[key] = draw(odd_values)
        else:
            del holder[key]
    return json.dumps(content).encode("utf-8", "surrogatepass")


@st.composite
def mutilated(draw: st.DrawFn, names: list[str]) -> bytes:
    """An example with some of its bytes cut out, replaced or added to."""
    body = bytearray(example_body(draw(st.sampled_from(names))))
    for _ in range(draw(st.integers(min_value=1, max_value=6))):
        start = draw(st.integers(min_value=0, max_value=len(body)))
        length = draw(st.integers(min_value=0, max_value=20))
        body[start : start + length] = draw(
            st.binary(max_size=4) | st.sampled_from([b'"', b"[", b"}", b"1e400", b"\\u"])
        )
    return bytes(body)


def use(parsed: ParsedRequest) -> None:
    """What an auction does with every request that is accepted."""
    request = parsed.request
    restricted_by = restrictions_of(request)
    assert msgspec.json.decode(told_to_anybody(parsed, restricted_by).body(50))["tmax"] == 50
    assert msgspec.json.decode(request_for_log(parsed, KEY, restricted_by))["id"] == request.id
    assert len(currency_of(request)) == 3
    assert auction_type_of(request) in (1, 2)
    for imp in request.imp:
        assert media_types_of(imp)
        assert floor_micros(imp) >= 0
        assert inventory_of(request, imp, publisher_id_of(request))


def refusal_of(body: bytes) -> InvalidInput | None:
    """The refusal, which can be sent back; None when the request is taken, and then it is usable."""
    try:
        parsed = parse_request(body)
    except InvalidInput as refusal:
        return refusal
    use(parsed)
    return None


def read_or_refuse(body: bytes) -> None:
    """The request is usable, or refused with faults that can be sent back; both readers of it agree."""
    refusal = refusal_of(body)
    # What the decoder refuses, the search for faults must find too, and the other way round.
    assert (refusal is None) == (request_faults(body) == [])
    if refusal is not None:
        assert refusal.faults
        assert all(fault.path and fault.message for fault in refusal.faults)
        assert msgspec.json.encode(refusal.faults)


@patient
@given(requests_with_unknown_fields(), st.integers(min_value=0, max_value=10_000))
def test_unknown_fields_reach_the_bidders(content: dict[str, Any], tmax: int) -> None:
    """Fields that nobody has heard of pass through, wherever they stand."""
    body = msgspec.json.encode(content)
    received = msgspec.json.decode(told_to_anybody(parse_request(body), ()).body(tmax))
    assert received == msgspec.json.decode(body) | {"tmax": tmax}


@patient
@given(mutated_requests())
def test_a_mutated_request_is_read_or_refused(body: bytes) -> None:
    """Any value in any place is accepted, or refused with the faults' paths."""
    read_or_refuse(body)


@patient
@given(mutilated(sorted(REQUESTS)) | st.binary(max_size=200))
@example(b'{"id":"r","imp":[{"id":"1","banner":{},"zz":1E400}]}')
@example(b'{"id":"r","imp":[{"id":"1","banner":{},"zz":-1e-400}]}')
@example(b'{"id":"r","imp":[{"id":"1","banner":{},"zz":"\\u0000"}]}')
@example(b'{"id":"r","imp":[{"id":"1","banner":{},"zz":' + b"9" * 5_000 + b"}]}")
@example(b'{"id":"r","imp":[{"id":"1","banner":{},"bidfloor":' + b"9" * 5_000 + b"}]}")
@example(b'{"id":"r","imp":[{"id":"1","banner":{},"tagid":' + b"[" * 990 + b"]" * 990 + b"}]}")
def test_a_mutilated_request_is_read_or_refused(body: bytes) -> None:
    """Broken bytes raise InvalidInput and nothing else."""
    read_or_refuse(body)


@patient
@given(mutilated(sorted(RESPONSES)) | st.binary(max_size=200))
def test_a_mutilated_response_is_read_or_refused(body: bytes) -> None:
    """Whatever a bidder sends, its good bids can be passed on and all else is named."""
    try:
        parsed = parse_response(body)
    except InvalidInput:
        return
    for each in parsed.bids:
        assert msgspec.json.decode(msgspec.json.encode(each.members() | each.ext_members()))
    assert all(each.path and each.reason for each in parsed.malformed)
    assert msgspec.json.encode(parsed.malformed)


@patient
@given(st.lists(json_values, max_size=4))
def test_any_value_as_a_bid(values: list[Any]) -> None:
    """Values that are no bids are counted one by one beside a good one."""
    good = {"id": "good", "impid": "1", "price": 1}
    parsed = parse_response(msgspec.json.encode({"id": "r", "seatbid": [{"bid": [*values, good]}]}))
    assert parsed.bids[-1].bid.id == "good"
    assert len(parsed.bids) + len(parsed.malformed) == len(values) + 1


@pytest.mark.parametrize("character", range(0x20))
def test_control_characters_are_refused_in_texts(character: int) -> None:
    """JSON wants them escaped, and both readers of a request insist."""
    body = b'{"id":"r","imp":[{"id":"1","banner":{}}],"zz":"' + bytes([character]) + b'"}'
    with pytest.raises(InvalidInput):
        parse_request(body)
    assert request_faults(body)
