"""The macros of landing pages: what an advertiser's page is told of the click that led there.

They are filled at the click, so that each has an id of its own: `${CLICK_ID}` is the id of the `ClickRecorded` in the
log, by which the advertiser and the exchange can compare their books.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import quote

from domain.tokens import EngagementClaims

_MACRO = re.compile(r"\$\{([A-Z_]+)\}")
_BEHIND_HOST = re.compile(r"(?<=://)[^/?#]*")


def click_macros(claims: EngagementClaims, click_id: str) -> Mapping[str, str]:
    """What the macros stand for at this click; unknown is empty."""
    return landing_macros(
        click_id=click_id,
        auction_id=claims.auction_id,
        campaign_id=claims.campaign_id or "",
        ad_id=claims.ad_id or "",
        placement_id=claims.placement_id,
    )


def landing_macros(
    *, click_id: str = "", auction_id: str = "", campaign_id: str = "", ad_id: str = "", placement_id: str = ""
) -> Mapping[str, str]:
    """By name, as `filled` takes them."""
    return {
        "CLICK_ID": click_id,
        "AUCTION_ID": auction_id,
        "CAMPAIGN_ID": campaign_id,
        "AD_ID": ad_id,
        "PLACEMENT_ID": placement_id,
    }


def filled(url: str, macros: Mapping[str, str]) -> str:
    """The address with every macro replaced, percent-encoded; what looks like a macro and is none stays as it is.

    Only behind the host: no value can lead a click to another website.
    """
    if "${" not in url:
        return url
    host = _BEHIND_HOST.search(url)
    start = 0 if host is None else host.end()
    return url[:start] + _MACRO.sub(lambda macro: _value(macro, macros), url[start:])


def _value(macro: re.Match[str], macros: Mapping[str, str]) -> str:
    value = macros.get(macro[1])
    return macro[0] if value is None else quote(value, safe="")
