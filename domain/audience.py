"""Who a viewer is to feed clients: the keys of its record, whether it may be looked up, and what is known then."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import msgspec

from domain.catalogue import SegmentTarget
from domain.event_parts import SegmentsRead
from domain.feeds.records import key_fault
from domain.openrtb.request import BidRequest

_ZEROS: Final = frozenset("0-")
"""Of a device's id that says that there is none."""


class Audience(NamedTuple):
    """What an auction knows of its viewer's segments."""

    read: SegmentsRead | None
    """None where nobody asks."""
    segments: tuple[SegmentTarget, ...] = ()
    """Of those that campaigns are for."""


NOT_ASKED: Final = Audience(None)


class _Record(msgspec.Struct, gc=False):
    segments: tuple[Any, ...] = ()


_decode = msgspec.json.Decoder(_Record).decode


def record_keys(request: BidRequest) -> tuple[str, ...]:
    """Under which keys a feed client may have the viewer's record; of several records the first one counts.

    They are `user.id`, `user.buyeruid` and `device.ifa`, as they came.
    """
    user, device = request.user, request.device
    ids = (user.id, user.buyeruid) if user is not None else ()
    ifa = device.ifa if device is not None else None
    return tuple(dict.fromkeys(each for each in (*ids, ifa) if each and _names_somebody(each)))


def segments_in(value: bytes) -> tuple[str, ...]:
    """The texts in the list `segments` of a record's JSON; of a record in another form there are none."""
    try:
        return tuple(each for each in _decode(value).segments if isinstance(each, str))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ()


def _names_somebody(key: str) -> bool:
    return key_fault(key) is None and not _ZEROS.issuperset(key)
