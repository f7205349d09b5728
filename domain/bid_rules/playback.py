"""Whether a player takes the ad: duration, protocol, frameworks, and the slot in an ad pod.

OpenRTB 2.6 sections 3.2.6 to 3.2.9 (`api`), 3.2.7, 3.2.8 and 7.6 (pods), 4.2.3 (`dur`, `protocol`, `apis`).
"""

from __future__ import annotations

import re
from typing import Final

from domain.bid_rules.refusal import Refusal, listing
from domain.catalogue import MediaType
from domain.openrtb.codes import LossReason
from domain.openrtb.request import Audio, Banner, Imp, Native, Video
from domain.openrtb.response import Bid

_DURATION = re.compile(r"<Duration>\s*+([0-9]{2}):([0-5][0-9]):([0-5][0-9])(?:\.[0-9]{1,3})?\s*+</Duration>")
_OPEN_MEASUREMENT: Final = 7
"""AdCOM API framework that measures; an ad that knows it plays without it as well."""
_UNLIMITED: Final = -1
_SLOTS: Final = {-1: "the last", 1: "the first", 2: "the first or last"}
"""AdCOM slot positions in a pod; all others stand for any slot."""
_GUARANTEES: Final = {-1: (-1,), 1: (1,), 2: (-1, 1, 2)}
"""For a slot that a bid asks for, what the imp must promise."""


def duration_of(bid: Bid) -> int | None:
    """Seconds that the video or audio ad runs: the longer of what its bid and its VAST say; None: neither says it.

    A VAST of several ads says it only beside a bid that does: which of them will be shown is not known.
    """
    said = bid.dur or 0
    seen = [_seconds(*each) for each in _DURATION.findall(bid.adm)] if bid.adm and "<Duration>" in bid.adm else []
    if len(seen) == 1 or said > 0:
        said = max([said, *seen])
    return said if said > 0 else None


def _seconds(hours: str, minutes: str, seconds: str) -> int:
    return int(hours) * 3_600 + int(minutes) * 60 + int(seconds)


def playback_refusal(bid: Bid, imp: Imp, media_type: MediaType, duration: int | None) -> Refusal | None:
    """The first thing that the imp's player or page cannot do for the ad."""
    offered = getattr(imp, media_type)
    if isinstance(offered, Video | Audio):
        refusal = _duration_refusal(duration, offered) or _protocol_refusal(bid, offered) or _slot_refusal(bid, offered)
        if refusal is not None:
            return refusal
    return _api_refusal(bid, offered) if bid.apis or bid.api is not None else None


def _duration_refusal(duration: int | None, offered: Video | Audio) -> Refusal | None:
    limit = None if duration is None else _broken_limit(duration, offered)
    if limit is None:
        return None
    return Refusal(LossReason.CREATIVE_FORMAT, f"The ad runs for {duration} seconds, but {limit}.")


def _broken_limit(duration: int, offered: Video | Audio) -> str | None:
    if offered.rqddurs and duration not in offered.rqddurs:
        return f"exactly {listing(offered.rqddurs)} are asked for (rqddurs)"
    if duration < offered.minduration:
        return f"at least {offered.minduration} are asked for (minduration)"
    longest = _longest(offered)
    if longest is not None and duration > longest:
        return f"at most {longest} are allowed (maxduration)"
    if offered.poddur and duration > offered.poddur:
        return f"the whole pod has {offered.poddur} (poddur)"
    return None


def _longest(offered: Video | Audio) -> int | None:
    """`maxduration` and the extension that is allowed beyond it; None: no end."""
    extension = offered.maxextended or 0
    if offered.maxduration is None or extension == _UNLIMITED:
        return None
    return offered.maxduration + max(0, extension)


def _protocol_refusal(bid: Bid, offered: Video | Audio) -> Refusal | None:
    if bid.protocol is None or not offered.protocols or bid.protocol in offered.protocols:
        return None
    return Refusal(
        LossReason.CREATIVE_FORMAT,
        f"The ad's protocol is {bid.protocol}, but the player takes {listing(offered.protocols)} (protocols).",
    )


def _slot_refusal(bid: Bid, offered: Video | Audio) -> Refusal | None:
    """A bid for a certain slot of a pod needs an imp that guarantees it."""
    if bid.slotinpod not in _GUARANTEES or offered.slotinpod in _GUARANTEES[bid.slotinpod]:
        return None
    return Refusal(
        LossReason.INVALID_RESPONSE,
        f"The bid is for {_SLOTS[bid.slotinpod]} slot of a pod, but the imp promises "
        f"{_SLOTS.get(offered.slotinpod, 'any')} slot (slotinpod).",
    )


def _api_refusal(bid: Bid, offered: Banner | Video | Audio | Native) -> Refusal | None:
    """An ad needs one of its frameworks; an imp that lists none leaves open what it has."""
    needed = {*(bid.apis or ()), *(() if bid.api is None else (bid.api,))} - {_OPEN_MEASUREMENT}
    if not needed or not offered.api or not needed.isdisjoint(offered.api):
        return None
    return Refusal(
        LossReason.CREATIVE_FORMAT,
        f"The ad needs the framework {listing(sorted(needed))}, but the imp has {listing(offered.api)} (api).",
    )
