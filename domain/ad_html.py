"""Whether an ad's HTML keeps to itself: every tag that it closes it has opened, and it leaves nothing open.

An ad stands inside a frame, or between the elements of somebody's page. HTML that ends an element of the page around
it, or swallows what follows it (an open comment, quote or script), is refused when it is registered.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, Literal, NamedTuple

from domain.html_tags import ATTRIBUTE, ATTRIBUTES, BETWEEN, BLANK

_VOID: Final = frozenset(
    {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "param", "source", "track", "wbr"}
)
"""Section 13.1.2 of the WHATWG standard."""
_END_IS_OPTIONAL: Final = frozenset(
    {"p", "li", "dt", "dd", "option", "optgroup", "tr", "td", "th", "thead", "tbody", "tfoot", "colgroup", "caption"}
    | {"rp", "rt", "html", "head", "body"}
)
"""Section 13.1.2.4."""
_TEXT_ONLY: Final = ("script", "style", "title", "textarea", "iframe", "noembed", "noframes", "xmp")
"""What stands in these is no HTML up to their own end tag."""
_NEVER: Final = frozenset({"plaintext", "frameset", "frame"})
"""They take over the whole document."""
_DIRECTIVE: Final = re.compile(
    rf"<(?:base|meta(?={BETWEEN})(?:{BETWEEN}++|(?!http-equiv(?:{BETWEEN}|[=>])){ATTRIBUTE})*+http-equiv)"
    rf"(?={BETWEEN}|[=>])",
    re.ASCII | re.IGNORECASE,
)
"""What would govern the document around it: a policy for what it may load, or where its links lead."""
_FOREIGN: Final = frozenset({"svg", "math"})
"""Within these a tag may close itself, and nothing is mere text."""
_HTML_AGAIN: Final = frozenset({"foreignobject", "desc", "annotation-xml", "mi", "mo", "mn", "ms", "mtext"})
"""Within these, inside of the former, HTML's own rules hold."""
_ALWAYS_HTML: Final = frozenset(
    {"a", "b", "big", "blockquote", "body", "button", "center", "code", "dd", "div", "dl", "dt", "em", "font", "form"}
    | {"h1", "h2", "h3", "h4", "h5", "h6", "head", "html", "i", "label", "li", "listing", "menu", "nobr", "object"}
    | {"ol", "option", "p", "pre", "ruby", "s", "select", "small", "span", "strike", "strong", "sub", "sup", "table"}
    | {"tbody", "td", "template", "tr", "tt", "u", "ul", "var"}
)
"""Most of them end the drawing that they stand in (section 13.2.6.5); a `/>` closes none of them outside of one."""
_TOKEN: Final = re.compile(
    r"(?P<text>[^<]++|<(?=[^a-zA-Z/!?]))"
    r"|<!--(?!-?>)(?:[^-]++|-(?!-!?>))*+-->"
    r"|<(?:!(?!--|\[CDATA\[)|\?)[^<>]*+>|(?P<whole>"
    + "|".join(
        rf"<(?i:{name})(?={BETWEEN}|>){ATTRIBUTES}>(?:[^<]++|<(?!!--|/(?i:{name})))*+</(?i:{name}){BLANK}*+>"
        for name in _TEXT_ONLY
    )
    + rf")|<(?!(?i:{'|'.join(_TEXT_ONLY)})(?:{BETWEEN}|>))(?P<start>[a-zA-Z][a-zA-Z0-9:-]*+)(?={BETWEEN}|>)"
    rf"{ATTRIBUTES}(?P<closed>(?<=/))?>"
    rf"|</(?P<end>[a-zA-Z][a-zA-Z0-9:-]*+){BLANK}*+>",
    re.ASCII,
)
"""A piece of HTML that every browser takes for complete: what follows it is HTML again."""
_FRAME_END: Final = re.compile(r"</(iframe|html|body|noscript)", re.IGNORECASE)
_OWN_FRAME: Final = re.compile(rf"<iframe.*(?=</iframe{BLANK}*>\Z)", re.IGNORECASE | re.DOTALL | re.ASCII)
_TAGS_OF_AN_ELEMENT: Final = 2
_SHOWN_CHARS: Final = 20


class _Tag(NamedTuple):
    name: str
    kind: Literal["start", "closed", "end", "text"]
    """`closed` ends with `/>`; `text` is a whole element of mere text, tags in it included."""


class _Unfit(Exception):
    """What is wrong with a piece of HTML."""


def html_fault(html: str) -> str | None:
    """Why this HTML could break the page that shows it; None if it could not."""
    if "\0" in html:
        return "holds a NUL character"
    nesting = _Nesting()
    try:
        for tag in _tags(html):
            nesting.meet(tag)
        nesting.check_end()
    except _Unfit as unfit:
        return str(unfit)
    return None


def _tags(html: str) -> Iterator[_Tag]:
    place = 0
    while place < len(html):
        token = _TOKEN.match(html, place)
        if token is None:
            shown = html[place : place + _SHOWN_CHARS]
            raise _Unfit(f"has a tag, quote, comment or script that is not complete, at character {place}: {shown!r}")
        if token["end"]:
            yield _Tag(token["end"].lower(), "end")
        elif token["start"]:
            if _DIRECTIVE.match(token.group()):
                raise _Unfit("holds <base> or <meta http-equiv>, which would govern the document that shows the ad")
            yield _Tag(token["start"].lower(), "start" if token["closed"] is None else "closed")
        else:
            _check_for_hidden_end(token.group())
        if (whole := token["whole"]) and whole.count("<") > _TAGS_OF_AN_ELEMENT:
            yield _Tag(whole[1:].partition(">")[0].split()[0].lower(), "text")
        place = token.end()


def _check_for_hidden_end(piece: str) -> None:
    """The end of a frame in a comment or a script is nothing to a browser, but may be to who embeds the ad."""
    own = _OWN_FRAME.match(piece)
    found = _FRAME_END.search(piece, 0, own.end() if own else len(piece))
    if found:
        raise _Unfit(f"has {found.group()} inside a comment, a script or the like: write it otherwise there")


class _Nesting:
    """The elements that are open at some place. What does not fit raises _Unfit."""

    def __init__(self) -> None:
        self._opened: list[str] = []
        self._drawings = [False]
        """Whether a drawing's rules hold: at first, and within each open element that changes them."""

    def meet(self, tag: _Tag) -> None:
        if tag.name in _NEVER:
            raise _Unfit(f"holds <{tag.name}>, which takes over the whole document")
        if tag.kind == "text":
            if self._drawings[-1]:
                raise _Unfit(f"has tags inside <{tag.name}> inside <svg> or <math>, where they are more than text")
        elif tag.kind == "end":
            self._end(tag.name)
        elif tag.name not in _VOID and not self._closes_itself(tag):
            self._opened.append(tag.name)
            if self._changes_rules(tag.name):
                self._drawings.append(tag.name in _FOREIGN)

    def check_end(self) -> None:
        left = [name for name in self._opened if name not in _END_IS_OPTIONAL]
        if left:
            raise _Unfit(f"leaves <{left[-1]}> open")

    def _end(self, name: str) -> None:
        opened, is_in_drawing = self._opened, len(self._drawings) > 1
        while opened and opened[-1] != name and opened[-1] in _END_IS_OPTIONAL and not is_in_drawing:
            opened.pop()
        if not opened:
            raise _Unfit(f"closes </{name}>, which it has not opened")
        if opened.pop() != name:
            raise _Unfit(f"closes </{name}> out of turn")
        if self._changes_rules(name):
            self._drawings.pop()

    def _changes_rules(self, name: str) -> bool:
        return name in _FOREIGN or (name in _HTML_AGAIN and len(self._drawings) > 1)

    def _closes_itself(self, tag: _Tag) -> bool:
        if tag.kind != "closed":
            return False
        return tag.name in _FOREIGN or (self._drawings[-1] and tag.name not in _ALWAYS_HTML)
