"""Gavel's impression pixel inside a bidder's markup: HTML, VAST (video and audio) or native JSON.

Whatever the markup holds, the pixel stands where it fires.
What has no place for it must not be sold: `takes_tracker`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import escape
from itertools import pairwise

import msgspec

from domain.catalogue import MediaType
from domain.html_tags import ATTRIBUTES, BETWEEN, BLANK
from domain.macros import CLICK_URL

_CLOSING_TAGS = re.compile(r"</body\s*>\s*(</html\s*>\s*)?$", re.IGNORECASE)
"""The end of a document; a </body> before that may stand inside a script's string."""
_TEXT_ONLY = ("script", "style", "title", "textarea", "iframe")
_HIDING = rf"(?i:{'|'.join(_TEXT_ONLY)}|noscript|noembed|noframes|xmp|plaintext|template|select|frameset|svg|math)"
"""Elements in which an image may be mere text, or dropped; in svg and math other rules hold for all that follows."""
_COMMENT = r"<!--(?!-?>)(?:[^-]++|-(?!-!?>))*+-->"
_INSTRUCTION = r"<[!?](?!--)[^<>]*+>"
"""A doctype, and whatever else browsers take for a comment up to the next `>`."""
_TEXT = "|".join(
    rf"<(?i:{name})(?={BETWEEN}|>){ATTRIBUTES}>(?:[^<]++|<(?!!--|/(?i:{name})))*+</(?i:{name}){BLANK}*+>"
    for name in _TEXT_ONLY
)
"""No pattern for all of them: a group that is referred to and repeated possessively breaks `re` of Python 3.11."""
_TOKEN = (
    rf"(?:[^<]++|</?(?!{_HIDING}\b)[a-zA-Z][a-zA-Z0-9:-]*+(?={BETWEEN}|>){ATTRIBUTES}>"
    rf"|{_TEXT}|{_COMMENT}|{_INSTRUCTION}|<(?![a-zA-Z/!?]))"
)
"""A piece of HTML that every browser takes for complete, so that what follows it is HTML again."""
_COMPLETE_HTML = re.compile(rf"{_TOKEN}*+", re.ASCII)
_UP_TO_BODY = re.compile(rf"(?:(?!<(?i:body)\b){_TOKEN})*+<(?i:body)(?={BETWEEN}|>){ATTRIBUTES}>", re.ASCII)
_UP_TO_DOCTYPE = re.compile(rf"\ufeff?(?:\s++|{_COMMENT}|<\?[^<>]*+>)*+<!(?i:doctype)\b[^<>]*+>", re.ASCII)
_VAST_START = re.compile(r"\ufeff?\s*+(?><\?xml\b.*?\?>\s*)?(?><!--.*?-->\s*)*+<(?:VAST|DAAST)\b", re.DOTALL)
"""DAAST is what VAST for audio was called before VAST 4.1."""
_XML_UNREAD = r"<!\[CDATA\[.*?(?:\]\]>|\Z)|<!--.*?(?:-->|\Z)|<\?.*?(?:\?>|\Z)"
"""What is open to the end is passed over in one go: markup comes from strangers, and nothing may be searched twice."""
_XML_ATTRIBUTES = r"""(?:[^<>"']++|"[^<"]*+"|'[^<']*+')*+"""
_VAST_PLACE = re.compile(
    rf"{_XML_UNREAD}"
    rf"|<(?:Creative)?Extensions(?=[\s>]){_XML_ATTRIBUTES}(?<!/)>"
    rf"(?:[^<]++|{_XML_UNREAD}|<(?!/(?:Creative)?Extensions\b))*+(?:<|\Z)"
    rf"|(?P<ad><(?:InLine|Wrapper)(?=[\s>]){_XML_ATTRIBUTES}(?<!/)>"
    rf"(?:[^<]++|{_XML_UNREAD}|<(?!(?:Impression|Creatives|Extensions|InLine|Wrapper)\b)[\w:.-]++{_XML_ATTRIBUTES}"
    rf"(?:(?<=/)>|(?<!/)>(?:[^<]++|{_XML_UNREAD})*+</[^<>]*+>))*+)",
    re.DOTALL,
)
"""An ad from its start over those first elements that hold nothing but text: behind them the schema wants Impression.

Nothing of it can enclose what is put behind it.
"""
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


def pixel(impression_url: str) -> str:
    """The element that `dress` puts into HTML, once."""
    return f'<img src="{escape(impression_url)}" width="1" height="1" alt="" style="position:absolute;border:0">'


def is_native(markup: str) -> bool:
    """Whether it looks like a native ad's JSON."""
    return markup.startswith("{") or (markup[:1].isspace() and markup.lstrip().startswith("{"))


def is_vast(markup: str) -> bool:
    """Whether it looks like a video or audio ad's VAST document."""
    return _VAST_START.match(markup) is not None


def takes_tracker(markup: str, media_type: MediaType) -> bool:
    """Whether VAST or native markup has a place for the impression pixel; HTML always has one."""
    if media_type == "native":
        return _native_of(markup) is not None
    return next(_vast_places(markup), None) is not None


def _into_html(markup: str, url: str) -> str:
    """Before the document's closing tags, or at the end of a fragment.

    Where the end may lie inside of something that shows no images (an open comment, tag, script …), it goes behind
    the start of the body, or before everything but a doctype: there nothing can hide it.
    """
    if _COMPLETE_HTML.fullmatch(markup):
        tail = max(0, len(markup) - _CLOSING_TAGS_MAX_CHARS)
        closing = _CLOSING_TAGS.search(markup, tail)
        place = len(markup) if closing is None else closing.start()
    else:
        start = _UP_TO_BODY.match(markup) or _UP_TO_DOCTYPE.match(markup)
        place = 0 if start is None else start.end()
    return f"{markup[:place]}{pixel(url)}{markup[place:]}"


def _into_vast(markup: str, url: str) -> str:
    """One more `<Impression>` in each ad of the document: which of them plays is the player's choice."""
    element = f"<Impression><![CDATA[{url}]]></Impression>"
    places = [0, *_vast_places(markup), len(markup)]
    return element.join(markup[start:end] for start, end in pairwise(places))


def _vast_places(markup: str) -> Iterator[int]:
    return (match.end() for match in _VAST_PLACE.finditer(markup) if match["ad"])


def _into_native(markup: str, url: str) -> str:
    """One more entry in `imptrackers`, in the object itself or under its `native` member."""
    found = _native_of(markup)
    if found is None:
        return markup
    document, native, trackers = found
    native["imptrackers"] = _raw([*trackers, _raw(url)])
    return (_encode(native) if native is document else _encode(document | {"native": native})).decode()


def _native_of(markup: str) -> tuple[_Members, _Members, list[msgspec.Raw]] | None:
    """The whole document, the native ad in it (or the same) and its trackers; None if that is not clear."""
    try:
        document = _decode_members(markup)
        if "native" in document and "assets" in document:
            return None
        native = _decode_members(document["native"]) if "native" in document else document
        trackers = (_decode_array_or_null(native["imptrackers"]) or []) if "imptrackers" in native else []
    except (msgspec.DecodeError, UnicodeError, RecursionError):  # it is a bidder's, so it may be anything
        return None
    return document, native, trackers


def _raw(value: object) -> msgspec.Raw:
    return msgspec.Raw(_encode(value))
