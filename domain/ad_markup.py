"""The markup of the exchange's own ads, direct and house ones: what an ad of the catalogue looks like in a page."""

from __future__ import annotations

from html import escape

from domain.catalogue import Ad, HouseAd
from domain.endpoint import url_as_sent
from domain.macros import CLICK_URL

_LINK = f'<a href="{CLICK_URL}" target="_blank" rel="noopener"'


def ad_markup(ad: Ad | HouseAd) -> str:
    """HTML in which `${GAVEL_CLICK_URL}` is where a click leads, at least once.

    HTML without that macro becomes the content of a link as a whole; links of its own go on leading where they say,
    and nobody counts them.
    """
    if ad.html is None:
        return (
            f'{_LINK}><img src="{escape(ad.image_url or "")}" width="{ad.width}" height="{ad.height}" alt="" '
            'style="border:0;display:block"></a>'
        )
    if CLICK_URL in ad.html:
        return ad.html
    return f'{_LINK} style="color:inherit;text-decoration:none">{ad.html}</a>'


def house_markup(ad: HouseAd, landing_url: str) -> str:
    """The markup of a house ad: it leads to its landing page itself, because nobody counts what nobody pays for."""
    # The macro may stand in a script's text: no quote of either kind may end it there.
    return ad_markup(ad).replace(CLICK_URL, url_as_sent(landing_url).replace("'", "%27"))
