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
from domain.html_tags import ATTRIBUTE, BETWEEN, VALUE
from domain.openrtb.codes import LossReason
from domain.openrtb.response import Bid

_PLAIN: Final = "http:"
_PLAIN_URL = re.compile(r"(?:http:[\\/]{2,}+|(?<![\^/])http:[\\/])[^\s\"'<>)\]\\]*", re.IGNORECASE)
"""Browsers take one slash, or the wrong ones, for two; behind a `^` or `/` that is a script's pattern."""
_REFERENCE = re.compile(
    r"&(?:#0*+(?P<decimal>[0-9]{1,3})(?![0-9]);?"
    r"|#[xX]0*+(?P<hexadecimal>[0-9a-fA-F]{1,2})(?![0-9a-fA-F]);?"
    r"|(?P<name>colon|sol|bsol|Tab|NewLine);)"
)
"""ASCII written as a character reference; `html.unescape` raises for numbers of thousands of digits."""
_NAMED: Final = {"colon": ":", "sol": "/", "bsol": "\\", "Tab": "\t", "NewLine": "\n"}
_NOT_IN_ADDRESSES: Final = dict.fromkeys(map(ord, "\t\n\r"))
"""Browsers leave these out wherever they stand in an address."""
# Nothing runs past the next `<`, so that markup from a stranger is never searched twice.
_NOT_LOADED = re.compile(
    rf"(<a(?:rea)?(?={BETWEEN})(?:{BETWEEN}++|(?!(?:xlink:)?href(?:{BETWEEN}|[=>])){ATTRIBUTE})*+)(?:xlink:)?href{VALUE}"
    r"""|<!DOCTYPE\b[^<>]*>|(<\w*ClickThrough\b[^<>]*>)\s*+(?:<!\[CDATA\[)?[^<>\]]*"""
    r"""|\bxmlns(?::\w+)?\s*+=\s*+["'][^"'<>]*["']|\b(?:xsi:)?\w*[sS]chemaLocation\s*+=\s*+["'][^"'<>]*["']""",
    re.IGNORECASE | re.ASCII,
)
"""What is kept of it stands in groups: the other attributes of a link may load something."""
_NATIVE_NOT_LOADED: Final = frozenset({"link", "privacy"})
"""Where a native ad leads; all its other addresses are fetched."""
_decode = msgspec.json.Decoder().decode


def secure_refusal(bid: Bid, media_type: MediaType) -> Refusal | None:
    """The first thing that the ad would load over plain HTTP: its markup's address, or what stands in its markup."""
    markup = bid.adm or bid.nurl or ""
    is_escaped_json = media_type == "native" and "\\u" in markup
    if _PLAIN not in _as_read(markup).lower() and not is_escaped_json:
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
    found = _PLAIN_URL.search(_as_read(_NOT_LOADED.sub(r"\1\2 ", markup)))
    return None if found is None else found[0]


def _as_read(markup: str) -> str:
    """The markup with its addresses as a browser understands them."""
    if "&" in markup:
        markup = _REFERENCE.sub(_referred_to, markup)
    return markup.translate(_NOT_IN_ADDRESSES)


def _referred_to(reference: re.Match[str]) -> str:
    if reference["name"]:
        return _NAMED[reference["name"]]
    return chr(int(reference["decimal"]) if reference["decimal"] else int(reference["hexadecimal"], 16))


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
