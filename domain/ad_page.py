"""The page inside an ad's frame. The ad can neither leave it nor reach the exchange or the publisher from it.

The ad stands in a frame of its own, in an attribute in which no markup can end anything, sandboxed into an origin that
nobody shares: it cannot read what a browser keeps for the exchange's or the publisher's address, nor send the viewer
elsewhere without a click. The page around it is sandboxed too, by its header, for whoever opens it without the tag.
The impression pixel stands in that page, where no policy and no script of the ad's keeps it from loading.
"""

from __future__ import annotations

from html import escape
from typing import Final

from domain.markup import pixel
from domain.shown_ad import ShownAd

SANDBOX: Final = "allow-scripts allow-forms allow-popups allow-popups-to-escape-sandbox"
CONTENT_SECURITY_POLICY: Final = f"sandbox {SANDBOX}"
_IN_FRAME: Final = '<!doctype html><meta charset="utf-8"><base target="_blank"><style>body{margin:0}</style>'
"""Links that name no window open a new one: in the ad's own there is no room for a website."""


def ad_page(ad: ShownAd) -> str:
    """A whole HTML document. It tells the page around it which size it needs: `{gavel: {width, height}}`."""
    size = f'width="{ad.width}" height="{ad.height}"'
    seen = "" if ad.impression_url is None else pixel(ad.impression_url)
    markup = ad.markup.replace(seen, "", 1)
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Advertisement</title>'
        "<style>html,body{margin:0;overflow:hidden}iframe{display:block;border:0}</style></head><body>"
        f'{seen}<iframe title="Advertisement" sandbox="{SANDBOX}" {size} scrolling="no" '
        f'srcdoc="{escape(_IN_FRAME + markup)}"></iframe>'
        f'<script>parent.postMessage({{gavel:{{width:{ad.width},height:{ad.height}}}}},"*")</script></body></html>'
    )
