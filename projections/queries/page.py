"""Lists come in pages: some items and where the next page starts."""

from __future__ import annotations

import base64
import binascii
from typing import Generic, TypeVar

import msgspec

from domain.errors import Fault, InvalidInput

Item = TypeVar("Item")


class Page(msgspec.Struct, Generic[Item], frozen=True, kw_only=True):
    """A part of a list. A page may be short, or empty, although more follow: only `next_cursor` tells."""

    items: tuple[Item, ...]
    next_cursor: str | None
    """Opaque; hand it back to get the next page. None at the end."""


def cursor_after(key: str) -> str:
    """The cursor of a page that ended with `key`."""
    return base64.urlsafe_b64encode(key.encode()).decode().rstrip("=")


def key_of(cursor: str) -> str:
    """The key a cursor stands for; raises InvalidInput for one that was never issued."""
    try:
        key = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True).decode()
    except (binascii.Error, UnicodeDecodeError, ValueError):
        key = ""
    # What no key has, such as a NUL, which Postgres would refuse.
    if not key.isprintable() or not key:
        raise InvalidInput([Fault("cursor", "is not one that was given out")])
    return key
