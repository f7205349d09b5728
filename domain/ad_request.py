"""What a page asks for with a tag, and the OpenRTB bid request that is held for it.

The placement of the catalogue says what is on sale, the page's address where, and the viewer's browser to whom.
"""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from domain.catalogue import Placement, Publisher
from domain.device_type import device_type_of
from domain.errors import Fault, InvalidInput
from domain.floors import Size

IMP_ID: Final = "1"
"""A page asks for one ad at a time."""
_IPV6_MARK: Final = ":"
_encode = msgspec.json.Encoder().encode


class AdRequest(msgspec.Struct, frozen=True, kw_only=True):
    """One call of `GET /ad`; what is not known is empty, or None."""

    placement_id: str
    size: Size | None = None
    """One of the placement's, in pixels; None: any of them."""
    page: str = ""
    """http(s), without a fragment."""
    ip: str = ""
    user_agent: str = ""
    language: str = ""
    """ISO 639-1."""
    country: str = ""
    """ISO 3166-1 alpha-3."""
    user_id: str = ""
    """Who the viewer is to the publisher, and to feed clients."""
    do_not_track: bool = False
    gdpr: int | None = None
    consent: str = ""
    """TCF consent string."""
    coppa: int | None = None
    us_privacy: str = ""
    gpp: str = ""
    gpp_sid: tuple[int, ...] = ()
    test: bool = False


def sizes_of(asked: AdRequest, placement: Placement) -> tuple[Size, ...]:
    """The sizes that the ad may have, at least one. Raises InvalidInput where there is none."""
    if asked.size is None:
        if placement.sizes:
            return placement.sizes
        raise InvalidInput([Fault("w", "is needed, and h too: the placement lists no sizes")])
    if placement.sizes and asked.size not in placement.sizes:
        listed = ", ".join(f"{width}x{height}" for width, height in placement.sizes)
        raise InvalidInput([Fault("w", f"the placement has no size {asked.size[0]}x{asked.size[1]}, only {listed}")])
    return (asked.size,)


def bid_request(
    asked: AdRequest, placement: Placement, publisher: Publisher | None, *, request_id: str, is_secure: bool
) -> bytes:
    """The OpenRTB 2.6 request as JSON; `is_secure` where the ad's frame comes over HTTPS. Raises InvalidInput.

    The auction's kind, floors, block lists and deals are the placement's: the request leaves them out.
    """
    domain = urlsplit(asked.page).hostname or (publisher.domain if publisher is not None else "")
    imp = {
        "id": IMP_ID,
        "tagid": asked.placement_id,
        "banner": {"format": [{"w": width, "h": height} for width, height in sizes_of(asked, placement)]},
        "secure": int(is_secure or asked.page.startswith("https:")),
    }
    site = {"domain": domain, "page": asked.page, "publisher": {"id": placement.publisher_id}}
    request = {
        "id": request_id,
        "imp": [imp],
        "site": _known(site),
        "device": _device(asked),
        "user": _known({"id": asked.user_id, "consent": asked.consent}),
        "regs": _regs(asked),
        "cur": [placement.currency],
        "test": int(asked.test),
    }
    return _encode(_known(request))


def _device(asked: AdRequest) -> dict[str, Any]:
    device = {
        "ua": asked.user_agent,
        "ipv6" if _IPV6_MARK in asked.ip else "ip": asked.ip,
        "language": asked.language,
        "devicetype": device_type_of(asked.user_agent),
        "dnt": int(asked.do_not_track),
        "geo": _known({"country": asked.country}),
    }
    return _known(device)


def _regs(asked: AdRequest) -> dict[str, Any]:
    regs = {"us_privacy": asked.us_privacy, "gpp": asked.gpp, "gpp_sid": asked.gpp_sid}
    stated = {"gdpr": asked.gdpr, "coppa": asked.coppa}
    return _known(regs) | {name: value for name, value in stated.items() if value is not None}


def _known(members: dict[str, Any]) -> dict[str, Any]:
    """Those that say something: a default that is written out says nothing."""
    return {name: value for name, value in members.items() if value}
