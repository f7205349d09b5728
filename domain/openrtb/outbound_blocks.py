"""The block lists of placements as bidders are told of them, beside the request's own."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec

from domain.catalogue import Placement
from domain.openrtb.parse import Members
from domain.openrtb.request import BidRequest, Imp

_LISTS: Final = ("badv", "bcat", "bapp")
_MEDIA: Final = ("banner", "video", "audio", "native")
_encode = msgspec.json.Encoder().encode
_decode_members = msgspec.json.Decoder(Members).decode


def lists_told(request: BidRequest, placements: Sequence[Placement]) -> Members:
    """The lists of the request that the placements of all its imps, at least one, add to.

    What only some of them block is not told: the list would hold for the other imps as well. Neither are categories
    of another taxonomy than the request's, or beside its list of allowed ones.
    """
    members: Members = {}
    for name in _LISTS:
        if name == "bcat" and (request.acat or any(each.cattax != request.cattax for each in placements)):
            continue
        first, *others = (getattr(each, name) for each in placements)
        own = getattr(request, name) or ()
        further = [each for each in first if each not in own and all(each in other for other in others)]
        if further:
            members[name] = msgspec.Raw(_encode([*own, *further]))
    return members


def media_told(imp: Imp, members: Members, blocked: Iterable[int]) -> dict[str, Any]:
    """The media objects of the imp, as they stand in `members`, with what creative attributes are blocked too."""
    media: dict[str, Any] = {}
    for name in _MEDIA:
        offered = getattr(imp, name)
        if offered is not None:
            own = offered.battr or ()
            further = [each for each in blocked if each not in own]
            media[name] = _decode_members(members[name]) | {"battr": msgspec.Raw(_encode([*own, *further]))}
    return media
