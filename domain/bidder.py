"""Registering a bidder: what its owner may state, checked field by field so that every fault is named at once."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from typing import Annotated, Any

import msgspec

from domain.catalogue import Bidder, MediaType
from domain.endpoint import endpoint_fault
from domain.errors import Fault, InvalidInput
from domain.events import BidderRegistered
from domain.limits import BIDDER_TIME_MIN_MS, TMAX_MAX_MS

NAME_MAX_CHARS = 256
LIST_MAX_ITEMS = 256
QPS_MAX = 1_000_000

_Name = Annotated[str, msgspec.Meta(min_length=1, max_length=NAME_MAX_CHARS, pattern=r"\S")]
_Country = Annotated[str, msgspec.Meta(pattern="^[A-Z]{3}$")]
_Items = msgspec.Meta(max_length=LIST_MAX_ITEMS)
_FIELDS: dict[str, Any] = {
    "name": _Name,
    "endpoint": str,
    "seats": Annotated[tuple[_Name, ...], _Items],
    "media_types": Annotated[tuple[MediaType, ...], _Items],
    "countries": Annotated[tuple[_Country, ...], _Items],
    "qps_limit": Annotated[int, msgspec.Meta(ge=1, le=QPS_MAX)] | None,
    "timeout_ms": Annotated[int, msgspec.Meta(ge=BIDDER_TIME_MIN_MS, le=TMAX_MAX_MS)] | None,
    "currency": Annotated[str, msgspec.Meta(pattern="^[A-Z]{3}$")],
}
_REQUIRED = ("name", "endpoint")
_INSIDE = re.compile(r"^(?P<message>.*) - at `\$(?P<path>.*)`$", re.DOTALL)


def register_bidder(
    body: bytes, *, bidder_id: str, event_id: str, command_id: str, at: datetime, allow_private: bool
) -> BidderRegistered:
    """Decides on `POST /v1/bidders`: the event, or InvalidInput with every fault of the body."""
    return BidderRegistered(
        id=event_id,
        at=at,
        correlation_id=bidder_id,
        causation_id=command_id,
        aggregate_id=bidder_id,
        version=1,
        terms=bidder_terms(body, allow_private=allow_private),
    )


def bidder_terms(body: bytes, *, allow_private: bool) -> Bidder:
    """The terms as the body states them. Raises InvalidInput with every fault."""
    try:
        stated = msgspec.json.decode(body, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidInput([Fault("", f"is not a JSON object: {error}")]) from error
    faults = [Fault(name, "is required") for name in _REQUIRED if stated.get(name) is None]
    faults += [Fault(name, "is not a field of a bidder") for name in stated if name not in _FIELDS]
    given = {name: value for name, value in stated.items() if name in _FIELDS and value is not None}
    for name, value in given.items():
        faults += _field_faults(name, value, allow_private=allow_private)
    if faults:
        raise InvalidInput(faults)
    return msgspec.convert(given, Bidder)


def _field_faults(name: str, value: Any, *, allow_private: bool) -> Iterator[Fault]:
    try:
        msgspec.convert(value, _FIELDS[name])
    except msgspec.ValidationError as error:
        inside = _INSIDE.match(str(error))
        yield Fault(name + inside["path"], inside["message"]) if inside else Fault(name, str(error))
        return
    if name == "endpoint" and (fault := endpoint_fault(value, allow_private=allow_private)):
        yield Fault(name, fault)
