"""What a person sees and where a click leads: the part that ads and house ads have in common."""

from __future__ import annotations

from typing import Annotated

import msgspec

from domain.ad_html import html_fault
from domain.endpoint import web_page_fault
from domain.markup import is_native, is_vast
from domain.terms.fields import Pixels, Rule

WebPage = Annotated[str, Rule(web_page_fault), msgspec.Meta(description="http(s), on a website's public name.")]
LOOKS = ("html", "image_url")
"""A creative has one of them."""


def _html_fault(html: str) -> str | None:
    for looks, what in ((is_native, "a native ad's JSON"), (is_vast, "a VAST document")):
        if looks(html):
            return f"looks like {what}, but that of a banner ad must be HTML"
    return html_fault(html)


Html = Annotated[str, msgspec.Meta(min_length=1), Rule(_html_fault)]


class Creative(msgspec.Struct, frozen=True, kw_only=True):
    """Either `html`, or `image_url`: a picture that leads to the landing page."""

    width: Pixels
    height: Pixels
    landing_url: WebPage
    html: Html | None = None
    image_url: WebPage | None = None
