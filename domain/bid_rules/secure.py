"""Whether an ad for a secure page loads nothing over plain HTTP: OpenRTB 2.6 section 3.2.4 (`secure`).

Where a click leads, and what merely looks like an address (names of XML schemas), is not loaded.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

import msgspec

from domain.bid_rules.refusal import Refusal, clip
from domain.catalogue import MediaType
from domain.openrtb.codes import LossReason
from domain.openrtb.response import Bid

_PLAIN: Final = "http:"
_PLAIN_URL = re.compile(r"http:(?://|\\/\\/)[^\s\"'<>)\]\\]*", re.IGNORECASE)
# Nothing runs past the next `<`, so that markup from a stranger is never searched twice.
_NOT_LOADED = re.compile(
    r"""<a(?:rea)?\s[^<>]*>|<!DOCTYPE\b[^<>]*>|<\w*ClickThrough\b[^<>]*>\s*+(?:<!\[CDATA\[)?[^<>\]]*"""
    r"""|\bxmlns(?::\w+)?\s*+=\s*+["'][^"'<>]*["']|\b(?:xsi:)?\w*[sS]chemaLocation\s*+=\s*+["'][^"'<>]*["']""",
    re.IGNORECASE,
)
_NATIVE_NOT_LOADED: Final = frozenset({"link", "privacy"})
"""Where a native ad leads; all its other addresses are fetched."""
_decode = msgspec.json.Decoder().decode


def secure_refusal(bid: Bid, media_type: MediaType) -> Refusal | None:
    """The first thing that the ad would load over plain HTTP: its markup's address, or what stands in its markup."""
    markup = bid.adm or bid.nurl or ""
    if _PLAIN not in markup.lower():
        return None
    if not bid.adm:
        insecure: str | None = bid.nurl
    elif media_type == "native":
        insecure = _loaded_by_native(bid.adm)
    else:
        insecure = _loaded_by_document(bid.adm)
    if insecure is None:
        return None
    return Refusal(
        LossReason.CREATIVE_NOT_SECURE, f"The ad loads {clip(insecure)!r}, but the imp takes HTTPS only (secure)."
    )


def _loaded_by_document(markup: str) -> str | None:
    found = _PLAIN_URL.search(_NOT_LOADED.sub(" ", markup))
    return None if found is None else found[0]


def _loaded_by_native(markup: str) -> str | None:
    try:
        document = _decode(markup)
    except (msgspec.DecodeError, RecursionError):
        return _loaded_by_document(markup)
    return next((found for text in _texts(document) if (found := _loaded_by_document(text)) is not None), None)


def _texts(value: Any) -> Iterator[str]:
    """All texts of a JSON value but those that say where the ad leads."""
    waiting = [value]
    while waiting:
        each = waiting.pop()
        if isinstance(each, str):
            yield each
        elif isinstance(each, list):
            waiting += each
        elif isinstance(each, dict):
            waiting += [part for name, part in each.items() if name not in _NATIVE_NOT_LOADED]
