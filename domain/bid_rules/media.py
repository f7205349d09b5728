"""What kind of ad a bid brings, and whether the imp takes that kind.

OpenRTB 2.6 sections 3.2.4 and 3.2.6 (`btype`), 4.2.3 (`mtype`, `adm`).
"""

from __future__ import annotations

import re
from typing import Final

from domain.bid_rules.refusal import Refusal, listing
from domain.catalogue import MediaType
from domain.markup import is_native, is_vast
from domain.openrtb.codes import LossReason
from domain.openrtb.response import Bid
from domain.sale import ImpOnSale

_MEDIA_TYPES: Final[dict[int, MediaType]] = {1: "banner", 2: "video", 3: "audio", 4: "native"}
"""`Bid.mtype`."""
RUNNING: Final = frozenset({"video", "audio"})
"""The media types whose ads run for some time."""
_SHAPES: Final[dict[MediaType, str]] = {
    "banner": "HTML",
    "video": "a VAST document",
    "audio": "a VAST document",
    "native": "a native ad's JSON",
}
_BANNER_TYPES: Final = {
    3: ("a script", re.compile(r"<script\b", re.IGNORECASE)),
    4: ("an iframe", re.compile(r"<iframe\b", re.IGNORECASE)),
}
"""AdCOM banner ad types that markup shows; the others are what is left."""
_PLAYED = re.compile(r"""\btype\s*+=\s*+["'](audio|video)/""")
"""The kind of a VAST document's media file."""


def media_type_of(bid: Bid, offered: tuple[MediaType, ...]) -> MediaType:
    """What the bid says it is (`mtype`), else what its markup looks like, else the first one offered."""
    if bid.mtype in _MEDIA_TYPES:
        return _MEDIA_TYPES[bid.mtype]
    markup = bid.adm or ""
    if is_vast(markup):
        return "audio" if "audio" in offered and ("video" not in offered or _is_heard(markup)) else "video"
    if is_native(markup) and "native" in offered:
        return "native"
    return offered[0]


def tells_media_type(bid: Bid) -> bool:
    """Whether the bid says of which type its ad is, or has markup that shows it."""
    return bid.mtype is not None or bool(bid.adm)


def media_refusal(bid: Bid, for_sale: ImpOnSale, media_type: MediaType) -> Refusal | None:
    """The ad must be of a type that the imp offers, and its markup of that type's shape."""
    if bid.mtype is not None and bid.mtype not in _MEDIA_TYPES:
        return _not_offered(f"of the unknown type {bid.mtype} (mtype)", for_sale)
    if media_type not in for_sale.media_types:
        return _not_offered(media_type, for_sale)
    if not bid.adm:
        return None
    shape = _shape_of(bid.adm)
    if shape != _SHAPES[media_type]:
        return Refusal(
            LossReason.CREATIVE_FORMAT,
            f"The markup looks like {shape}, but that of a {media_type} ad must be {_SHAPES[media_type]}.",
        )
    if media_type in RUNNING:
        return _played_refusal(bid.adm, for_sale, media_type)
    return _banner_type_refusal(bid.adm, for_sale) if media_type == "banner" else None


def _shape_of(markup: str) -> str:
    return _SHAPES["video" if is_vast(markup) else "native" if is_native(markup) else "banner"]


def _not_offered(what: str, for_sale: ImpOnSale) -> Refusal:
    return Refusal(LossReason.CREATIVE_FORMAT, f"The ad is {what}, but the imp offers {listing(for_sale.media_types)}.")


def _banner_type_refusal(markup: str, for_sale: ImpOnSale) -> Refusal | None:
    banner = for_sale.imp.banner
    for blocked in (banner.btype or ()) if banner is not None else ():
        if blocked in _BANNER_TYPES:
            what, tag = _BANNER_TYPES[blocked]
            if tag.search(markup):
                return Refusal(
                    LossReason.AD_TYPE_EXCLUDED, f"The banner holds {what}, which is blocked (btype {blocked})."
                )
    return None


def _played_refusal(vast: str, for_sale: ImpOnSale, media_type: MediaType) -> Refusal | None:
    """Where both are for sale, an ad is not sold as sound that is seen, nor as video that is only heard."""
    if not RUNNING.issubset(for_sale.media_types):
        return None
    played = set(_PLAYED.findall(vast))
    if not played or (media_type == "video") == ("video" in played):
        return None
    return Refusal(
        LossReason.CREATIVE_FORMAT,
        f"The bid is for {media_type} (mtype), but the markup plays {listing(sorted(played))}.",
    )


def _is_heard(vast: str) -> bool:
    """Whether all that the document plays is sound."""
    return set(_PLAYED.findall(vast)) == {"audio"}
