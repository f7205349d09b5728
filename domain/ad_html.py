"""Whether an ad's HTML keeps to itself: every tag that it closes it has opened, and it leaves nothing open.

An ad stands inside a frame, or between the elements of somebody's page. HTML that ends an element of the page around
it, or swallows what follows it (an open comment, quote or script), is refused when it is registered.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

from domain.html_tags import ATTRIBUTES, BETWEEN, BLANK

_VOID: Final = frozenset(
    {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "param", "source", "track", "wbr"}
)
"""Section 13.1.2 of the WHATWG standard."""
_END_IS_OPTIONAL: Final = frozenset(
    {"p", "li", "dt", "dd", "option", "optgroup", "tr", "td", "th", "thead", "tbody", "tfoot", "colgroup", "caption"}
    | {"rp", "rt", "html", "head", "body"}
)
"""Section 13.1.2.4."""
_TEXT_ONLY: Final = ("script", "style", "title", "textarea", "iframe", "noscript", "noembed", "noframes", "xmp")
"""What stands in these is no HTML up to their own end tag."""
_NEVER: Final = frozenset({"plaintext", "frameset", "frame"})
"""They take over the whole document."""
_FOREIGN: Final = frozenset({"svg", "math"})
"""Within these a tag may close itself."""
_TOKEN: Final = re.compile(
    r"(?P<text>[^<]++|<(?=[^a-zA-Z/!?]))"
    r"|<!--(?!-?>)(?:[^-]++|-(?!-!?>))*+-->"
    r"|<(?:!(?!--|\[CDATA\[)|\?)[^<>]*+>|"
    + "|".join(
        rf"<(?i:{name})(?={BETWEEN}|>){ATTRIBUTES}>(?:[^<]++|<(?!!--|/(?i:{name})))*+</(?i:{name}){BLANK}*+>"
        for name in _TEXT_ONLY
    )
    + rf"|<(?!(?i:{'|'.join(_TEXT_ONLY)})(?:{BETWEEN}|>))(?P<start>[a-zA-Z][a-zA-Z0-9:-]*+)(?={BETWEEN}|>)"
    rf"{ATTRIBUTES}(?P<closed>(?<=/))?>"
    rf"|</(?P<end>[a-zA-Z][a-zA-Z0-9:-]*+){BLANK}*+>",
    re.ASCII,
)
"""A piece of HTML that every browser takes for complete: what follows it is HTML again."""
_FRAME_END: Final = re.compile(r"</(iframe|html|body)", re.IGNORECASE)
_OWN_FRAME: Final = re.compile(rf"<iframe.*(?=</iframe{BLANK}*>\Z)", re.IGNORECASE | re.DOTALL | re.ASCII)
_SHOWN_CHARS: Final = 20


class _Tag(NamedTuple):
    name: str
    ends: bool
    """It is an end tag."""
    closes_itself: bool = False


class _Unfit(Exception):
    """What is wrong with a piece of HTML."""


def html_fault(html: str) -> str | None:
    """Why this HTML could break the page that shows it; None if it could not."""
    if "\0" in html:
        return "holds a NUL character"
    try:
        return _nesting_fault(_tags(html))
    except _Unfit as unfit:
        return str(unfit)


def _tags(html: str) -> Iterator[_Tag]:
    place = 0
    while place < len(html):
        token = _TOKEN.match(html, place)
        if token is None:
            shown = html[place : place + _SHOWN_CHARS]
            raise _Unfit(f"has a tag, quote, comment or script that is not complete, at character {place}: {shown!r}")
        if token["end"]:
            yield _Tag(token["end"].lower(), ends=True)
        elif token["start"]:
            yield _Tag(token["start"].lower(), ends=False, closes_itself=token["closed"] is not None)
        if not token["end"]:
            _check_for_hidden_end(token.group())
        place = token.end()


def _check_for_hidden_end(piece: str) -> None:
    """The end of a frame in a comment or a script is nothing to a browser, but may be to who embeds the ad."""
    own = _OWN_FRAME.match(piece)
    found = _FRAME_END.search(piece, 0, own.end() if own else len(piece))
    if found:
        raise _Unfit(f"has {found.group()} inside a comment, a script or the like: write it otherwise there")


def _nesting_fault(tags: Iterator[_Tag]) -> str | None:
    opened: list[str] = []
    foreign = 0
    for tag in tags:
        foreign += 0 if tag.ends else tag.name in _FOREIGN
        if tag.name in _NEVER:
            return f"holds <{tag.name}>, which takes over the whole document"
        if tag.ends:
            while opened and opened[-1] != tag.name and opened[-1] in _END_IS_OPTIONAL:
                opened.pop()
            if not opened:
                return f"closes </{tag.name}>, which it has not opened"
            if opened.pop() != tag.name:
                return f"closes </{tag.name}> out of turn"
            foreign -= tag.name in _FOREIGN
        elif tag.closes_itself and foreign:
            foreign -= tag.name in _FOREIGN
        elif tag.name not in _VOID:
            opened.append(tag.name)
    left = [name for name in opened if name not in _END_IS_OPTIONAL]
    return f"leaves <{left[-1]}> open" if left else None
