"""The parameters of `GET /ad`, and what the headers of a browser tell beside them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import NamedTuple, TypeVar
from urllib.parse import parse_qsl

from api.raw_http import Headers
from domain.ad_request import AdRequest
from domain.endpoint import ENDPOINT_MAX_CHARS, endpoint_fault
from domain.errors import Fault, InvalidInput
from domain.feeds.records import key_fault
from domain.floors import Size
from domain.limits import (
    AD_PARAMETERS_MAX,
    CATALOGUE_ID_MAX_CHARS,
    DIMENSION_MAX_PIXELS,
    FEED_KEY_MAX_BYTES,
    REQUEST_CHOICES_MAX,
)

FORMATS = ("json", "html")
_DIGITS_MAX = 9
_COUNTRY = re.compile(r"[A-Za-z]{3}")
_LANGUAGE = re.compile(rb"\s*([A-Za-z]{2})(?![A-Za-z])")
_ON = b"1"

_T = TypeVar("_T")


class AdQuery(NamedTuple):
    asked: AdRequest
    wants_html: bool
    """The page inside a frame; else JSON."""


def ad_query(query: bytes, headers: Headers, *, ip: str) -> AdQuery:
    """What is asked for. Unknown parameters are passed over: pages add some against caches.

    Raises InvalidInput with the name of every parameter that is wrong.
    """
    read = _Reader(query)
    form = read("format", _format) or FORMATS[0]
    placement_id = read("placement", _placement_id) or ""
    if not placement_id:
        read.fault("placement", "is required")
    asked = AdRequest(
        placement_id=placement_id,
        size=_size(read),
        page=_page(read.text("url")) or _page(headers.get(b"referer", b"").decode("latin-1")),
        ip=ip,
        user_agent=headers.get(b"user-agent", b"").decode("latin-1"),
        language=_language(headers),
        country=read("country", _country) or "",
        user_id=_user_id(read, wants_html=form == "html"),
        do_not_track=headers.get(b"dnt") == _ON or headers.get(b"sec-gpc") == _ON,
        gdpr=read("gdpr", _flag),
        consent=read("consent", str) or "",
        coppa=read("coppa", _flag),
        us_privacy=read("us_privacy", str) or "",
        gpp=read("gpp", str) or "",
        gpp_sid=read("gpp_sid", _sections) or (),
        test=read("test", _flag) == 1,
    )
    read.raise_faults()
    return AdQuery(asked, form == "html")


class _Reader:
    """Reads parameters one by one and collects what is wrong with them; an empty one counts as not there."""

    def __init__(self, query: bytes) -> None:
        self._faults: list[Fault] = []
        try:
            pairs = parse_qsl(query.decode("latin-1"), max_num_fields=AD_PARAMETERS_MAX)
        except ValueError:
            raise InvalidInput([Fault("", f"the query has more than {AD_PARAMETERS_MAX} parameters")]) from None
        self._values: Mapping[str, str] = dict(reversed(pairs))
        """Of a repeated one the first."""

    def __call__(self, name: str, read: Callable[[str], _T]) -> _T | None:
        text = self._values.get(name)
        if text is None:
            return None
        if "\0" in text:
            self.fault(name, "holds a zero byte")
            return None
        try:
            return read(text)
        except ValueError as error:
            self.fault(name, str(error))
            return None

    def text(self, name: str) -> str:
        """As it was stated, and nothing wrong with it; empty where it was not."""
        return self._values.get(name, "")

    def fault(self, name: str, message: str) -> None:
        if all(name != fault.path for fault in self._faults):
            self._faults.append(Fault(name, message))

    def raise_faults(self) -> None:
        if self._faults:
            raise InvalidInput(self._faults)


def _size(read: _Reader) -> Size | None:
    width, height = read("w", _pixels), read("h", _pixels)
    if width is None and height is None:
        return None
    if width is None or height is None:
        read.fault("w" if width is None else "h", "is needed beside the other of w and h")
        return None
    return (width, height)


def _placement_id(text: str) -> str:
    if len(text) > CATALOGUE_ID_MAX_CHARS:
        raise ValueError(f"is longer than {CATALOGUE_ID_MAX_CHARS} characters")
    return text


def _user_id(read: _Reader, *, wants_html: bool) -> str:
    user_id = read("user", _key) or ""
    if user_id and wants_html:
        # The ad's own script can read the address of the page that its frame stands in.
        read.fault("user", "is not taken with format=html: an ad could read it out of the page's address")
    return user_id


def _key(text: str) -> str:
    if key_fault(text) is not None:
        raise ValueError(f"is longer than {FEED_KEY_MAX_BYTES} bytes, or holds control characters")
    return text


def _format(text: str) -> str:
    if text not in FORMATS:
        raise ValueError(f"is none of {', '.join(FORMATS)}")
    return text


def _flag(text: str) -> int:
    if text not in {"0", "1"}:
        raise ValueError("is neither 0 nor 1")
    return int(text)


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= _DIGITS_MAX):
        raise ValueError("is not a whole number")
    return int(text)


def _pixels(text: str) -> int:
    pixels = _number(text)
    if not 1 <= pixels <= DIMENSION_MAX_PIXELS:
        raise ValueError(f"is not 1 to {DIMENSION_MAX_PIXELS} pixels")
    return pixels


def _sections(text: str) -> tuple[int, ...]:
    sections = text.split(",")
    if len(sections) > REQUEST_CHOICES_MAX:
        raise ValueError(f"lists more than {REQUEST_CHOICES_MAX} sections")
    return tuple(_number(each.strip()) for each in sections)


def _country(text: str) -> str:
    if not _COUNTRY.fullmatch(text):
        raise ValueError("is not a country's three letters (ISO 3166-1 alpha-3)")
    return text.upper()


def _page(stated: str) -> str:
    """The page's address without its fragment, and without its query where that makes it too long.

    Nothing where that is no page's address: the page cannot help where it stands, and its ad does not depend on it.
    """
    page = stated.partition("#")[0]
    if len(page) > ENDPOINT_MAX_CHARS:
        page = page.partition("?")[0]
    # Nobody calls it: a page under development is on a private address.
    return page if page and endpoint_fault(page, allow_private=True) is None else ""


def _language(headers: Headers) -> str:
    """The one that the viewer likes best."""
    found = _LANGUAGE.match(headers.get(b"accept-language", b""))
    return "" if found is None else found[1].decode().lower()
