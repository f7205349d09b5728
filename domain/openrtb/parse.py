"""OpenRTB JSON to checked values: requests as a whole, responses bid by bid."""

from __future__ import annotations

from decimal import InvalidOperation
from typing import Any

import msgspec

from domain.errors import Fault, InvalidInput
from domain.limits import BIDS_PER_RESPONSE_MAX, REQUEST_DEPTH_MAX
from domain.openrtb.faults import ESCAPED_NUL, ROOT, TOO_DEEP, decoder_fault, first_text_fault, request_faults
from domain.openrtb.fields import Cpm, Identifier, cpm_from_json
from domain.openrtb.nesting import nests_deeper_than
from domain.openrtb.request import BidRequest
from domain.openrtb.response import Bid, BidResponse, SeatBid
from domain.openrtb.rules import broken_rules

Members = dict[str, msgspec.Raw]
"""A JSON object's members, each value as it came."""


class ParsedRequest(msgspec.Struct, frozen=True, gc=False):
    """A request that keeps all rules, typed, and its top-level members as they came, unknown ones included."""

    request: BidRequest
    members: Members


class ParsedBid(msgspec.Struct, frozen=True, gc=False):
    """A bid of the right shape, and what the seat around it says."""

    bid: Bid
    raw: msgspec.Raw
    """The bid as it came, unknown fields included."""
    seat: str
    """Empty where the bidder names none."""
    group: int
    seat_index: int = 0
    """Place of its seat in the answer."""

    def members(self) -> Members:
        """The bid's fields, each as it came, for passing it on."""
        return _decode_members(self.raw)

    def ext_members(self) -> Members:
        """The fields of the bid's `ext`; empty where it has none."""
        return (_decode_members_or_null(self.bid.ext) or {}) if isinstance(self.bid.ext, msgspec.Raw) else {}


class MalformedBid(msgspec.Struct, frozen=True):
    """A bid (or a whole seat) that cannot be read: where and why, and whose it is as far as that can be told."""

    path: str
    reason: str
    bid_id: str | None = None
    impid: str | None = None
    group: int = 0
    """Of its seat, as far as that can be told."""
    seat_index: int = 0
    """As of a ParsedBid."""


class ParsedResponse(msgspec.Struct, frozen=True):
    """A bidder's answer: its good bids, its bad ones, and the response around them. No bids at all is a no-bid."""

    response: BidResponse
    bids: tuple[ParsedBid, ...]
    malformed: tuple[MalformedBid, ...]


def _decoder(kind: Any) -> Any:
    return msgspec.json.Decoder(kind, dec_hook=cpm_from_json, float_hook=Cpm).decode


_decode_request = _decoder(BidRequest)
_decode_response = _decoder(BidResponse)
_decode_seat = _decoder(SeatBid)
_decode_bid = _decoder(Bid)
_decode_identifier = _decoder(Identifier)
_decode_members = msgspec.json.Decoder(Members).decode
_decode_members_or_null = msgspec.json.Decoder(Members | None).decode
_decode_anything = msgspec.json.Decoder().decode
_NOT_DECODABLE = (msgspec.DecodeError, UnicodeDecodeError, InvalidOperation)
_OBJECT_OR_NULL_START = (b"{", b"n")


def parse_request(body: bytes) -> ParsedRequest:
    """The request in `body`, checked against section 3 of the specification.

    Unknown fields and codes are tolerated and kept. Raises InvalidInput with every fault, each with its path.
    """
    try:
        request = _decode_request(body)
        members = _decode_members(body)
        # The typed decoder skips what it does not know: this one looks at those numbers and texts too.
        _decode_anything(body)
    except RecursionError:
        raise InvalidInput([TOO_DEEP]) from None
    except _NOT_DECODABLE as error:
        raise InvalidInput(request_faults(body) or [decoder_fault(error)]) from None
    if nests_deeper_than(REQUEST_DEPTH_MAX, body):
        raise InvalidInput([TOO_DEEP])
    if next(broken_rules(request), None) or ESCAPED_NUL in body:
        # The escape may be one of a backslash, so that nothing is wrong after all.
        faults = request_faults(body)
        if faults:
            raise InvalidInput(faults)
    return ParsedRequest(request, members)


def parse_response(body: bytes) -> ParsedResponse:
    """The response in `body`; a bad bid costs only itself.

    `{}`, no `seatbid`, or an empty one are no-bids (section 7.1). Bids above BIDS_PER_RESPONSE_MAX are passed over.
    Raises InvalidInput when the body is no JSON object, is nested too deep, or a field of the response is bad.
    """
    try:
        response = _decode_response(body)
    except RecursionError:
        raise InvalidInput([TOO_DEEP]) from None
    except _NOT_DECODABLE as error:
        raise InvalidInput([decoder_fault(error)]) from None
    if nests_deeper_than(REQUEST_DEPTH_MAX, body):
        raise InvalidInput([TOO_DEEP])
    bids: list[ParsedBid] = []
    malformed: list[MalformedBid] = []
    if response.seatbid:
        # Raw parts are not looked into by their decoder: a look at all of them finds what a closer one has to.
        suspicious = ESCAPED_NUL in body or not _is_decodable(body)
        for index, seat in enumerate(response.seatbid):
            _read_seat(seat, index, bids, malformed, suspicious=suspicious)
    return ParsedResponse(response, tuple(bids), tuple(malformed))


def _read_seat(
    raw: msgspec.Raw, seat_index: int, bids: list[ParsedBid], malformed: list[MalformedBid], *, suspicious: bool
) -> None:
    """Adds the seat's bids to the good or to the bad ones."""
    room = BIDS_PER_RESPONSE_MAX - len(bids) - len(malformed)
    if room <= 0:
        return
    path = f"seatbid[{seat_index}]"
    try:
        seat = _decode_seat(raw)
    except _NOT_DECODABLE as error:
        unreadable = decoder_fault(error, path)
        malformed.append(MalformedBid(unreadable.path, unreadable.message))
        return
    name = seat.seat or ""
    if suspicious and "\0" in name:
        malformed.append(MalformedBid(f"{path}.seat", "the character NUL is not allowed"))
        return
    for index, each in enumerate(seat.bid[:room]):
        where = f"{path}.bid[{index}]"
        try:
            bid = _decode_bid(each)
        except _NOT_DECODABLE as error:
            malformed.append(_malformed(decoder_fault(error, where), each, seat.group, seat_index))
            continue
        fault = _hidden_fault(bid, each, suspicious=suspicious)
        if fault is None:
            bids.append(ParsedBid(bid, each, name, seat.group, seat_index))
        else:
            where = where if fault.path == ROOT else f"{where}.{fault.path}"
            malformed.append(_malformed(Fault(where, fault.message), each, seat.group, seat_index))
    if seat.group and len(seat.bid) > room:
        # A group of which a part is passed over must not win.
        too_many = f"the answer holds more than {BIDS_PER_RESPONSE_MAX} bids"
        malformed.append(MalformedBid(path, too_many, group=seat.group, seat_index=seat_index))


def _hidden_fault(bid: Bid, raw: msgspec.Raw, *, suspicious: bool) -> Fault | None:
    """The first thing wrong with the bid that its types do not show."""
    if isinstance(bid.ext, msgspec.Raw) and bytes(memoryview(bid.ext)[:1]) not in _OBJECT_OR_NULL_START:
        return Fault("ext", "Expected `object`")
    return (first_text_fault(bytes(raw)) or _number_fault(raw)) if suspicious else None


def _number_fault(raw: msgspec.Raw) -> Fault | None:
    """A number that no decoder takes, in a field that nobody here reads: the publisher's decoder would stumble."""
    try:
        msgspec.json.decode(raw)
    except _NOT_DECODABLE as error:
        return decoder_fault(error, ROOT)
    return None


def _malformed(fault: Fault, raw: msgspec.Raw, group: int, seat_index: int) -> MalformedBid:
    """The bid that the fault was found in, with its ids where they can be read."""
    try:
        members = _decode_members(raw)
    except _NOT_DECODABLE:
        members = {}
    bid_id, impid = _identifier(members.get("id")), _identifier(members.get("impid"))
    return MalformedBid(fault.path, fault.message, bid_id, impid, group, seat_index)


def _identifier(raw: msgspec.Raw | None) -> str | None:
    try:
        identifier = None if raw is None else _decode_identifier(raw)
    except _NOT_DECODABLE:
        return None
    return None if identifier is None or "\0" in identifier else identifier


def _is_decodable(body: bytes) -> bool:
    """Whether every text in the JSON is UTF-8 and every number one that a decoder takes."""
    try:
        _decode_anything(body)
    except _NOT_DECODABLE:
        return False
    return True
