"""Whether a browser fetches an address before anybody asked for it: a prefetch, a prerendered page, a preview."""

from __future__ import annotations

from typing import Final

from api.raw_http import Headers

_SAID_BY: Final = (b"sec-purpose", b"purpose", b"x-purpose", b"x-moz")
"""The standard's header, and those of browsers before it."""
_AHEAD: Final = (b"prefetch", b"prerender", b"preview")


def is_fetched_ahead(headers: Headers) -> bool:
    """What the browser says itself; `Sec-Purpose: prefetch;prerender` is both."""
    for name in _SAID_BY:
        if name in headers:
            return headers[name].lower().startswith(_AHEAD)
    return False
