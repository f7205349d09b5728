"""Gavel's impression pixel inside a bidder's markup: HTML, VAST (video and audio) or native JSON.

What cannot be understood is left as it came: an ad that shows uncounted is better than one that is broken.
"""

from __future__ import annotations

import re
from html import escape
from itertools import chain

import msgspec

from domain.macros import CLICK_URL

_CLOSING_TAGS = re.compile(r"</body\s*>\s*(</html\s*>\s*)?$", re.IGNORECASE)
"""The end of a document; a </body> before that may stand inside a script's string."""
_VAST_START = re.compile(r"\ufeff?\s*+(?><\?xml\b.*?\?>\s*)?(?><!--.*?-->\s*)*+<(?:VAST|DAAST)\b", re.DOTALL)
"""DAAST is what VAST for audio was called before VAST 4.1."""
_VAST_PLACE = re.compile(
    r"<!\[CDATA\[.*?(?:\]\]>|\Z)|<!--.*?(?:-->|\Z)|(?P<place><Impression\b|</(?:InLine|Wrapper)\s*>)", re.DOTALL
)
"""What is open to the end is passed over in one go: markup comes from strangers, and nothing may be searched twice."""
_CLOSING_TAGS_MAX_CHARS = 256

_Members = dict[str, msgspec.Raw]
_decode_members = msgspec.json.Decoder(_Members).decode
_decode_array_or_null = msgspec.json.Decoder(list[msgspec.Raw] | None).decode
_encode = msgspec.json.Encoder().encode


def dress(markup: str, *, impression_url: str, click_url: str | None) -> str:
    """The markup with the impression pixel in it and `${GAVEL_CLICK_URL}` replaced.

    The addresses must not hold what would end an attribute, a JSON string or a CDATA section: base64url does not.
    """
    if CLICK_URL in markup:
        markup = markup.replace(CLICK_URL, click_url or "")
    if is_native(markup):
        return _into_native(markup, impression_url)
    if is_vast(markup):
        return _into_vast(markup, impression_url)
    return _into_html(markup, impression_url)


def is_native(markup: str) -> bool:
    """Whether it looks like a native ad's JSON."""
    return markup.startswith("{") or (markup[:1].isspace() and markup.lstrip().startswith("{"))


def is_vast(markup: str) -> bool:
    """Whether it looks like a video or audio ad's VAST document."""
    return _VAST_START.match(markup) is not None


def _into_html(markup: str, url: str) -> str:
    """Before the document's closing tags, or at the end of a fragment."""
    pixel = f'<img src="{escape(url)}" width="1" height="1" alt="" style="position:absolute;border:0">'
    tail = max(0, len(markup) - _CLOSING_TAGS_MAX_CHARS)
    closing = _CLOSING_TAGS.search(markup, tail)
    if closing is None:
        return markup + pixel
    return f"{markup[: closing.start()]}{pixel}{markup[closing.start() :]}"


def _into_vast(markup: str, url: str) -> str:
    """One more `<Impression>` in the first ad, where the schema has its place: beside the first one."""
    for match in _VAST_PLACE.finditer(markup):
        if match["place"]:
            element = f"<Impression><![CDATA[{url}]]></Impression>"
            return f"{markup[: match.start()]}{element}{markup[match.start() :]}"
    return markup


def _into_native(markup: str, url: str) -> str:
    """One more entry in `imptrackers`, in the object itself or under its `native` member."""
    try:
        document = _decode_members(markup)
        wrapped = "native" in document
        native = _decode_members(document["native"]) if wrapped else document
        trackers = (_decode_array_or_null(native["imptrackers"]) or []) if "imptrackers" in native else []
    except (msgspec.DecodeError, UnicodeError, RecursionError):  # it is a bidder's, so it may be anything
        return markup
    native["imptrackers"] = _raw(list(chain(trackers, [_raw(url)])))
    return (_encode(document | {"native": native}) if wrapped else _encode(native)).decode()


def _raw(value: object) -> msgspec.Raw:
    return msgspec.Raw(_encode(value))
