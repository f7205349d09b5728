"""Records to events, with the one thing taken out that the log may hold and a database may not."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

from domain.codec import Decoder, Shape
from domain.errors import UndecodableEvent
from projections.batch import Record
from projections.projection import ByExcerpt, Placed, Projection

BACKSLASH = b"\\"
NUL_ESCAPE = b"\\u0000"
_NUL_ESCAPE = re.compile(rb"(?<!\\)((?:\\\\)*)\\u0000")
_REPLACEMENT = rb"\1\\ufffd"


def decoder_of(projection: Projection[Any]) -> Decoder[Any]:
    """Makes of payloads what the projection folds."""
    return Decoder(projection.excerpts if isinstance(projection, ByExcerpt) else projection.events)


def decoded(decoder: Decoder[Shape], records: Iterable[Record]) -> list[Shape]:
    """The events that the decoder was made for, in order. Raises CorruptEvent at the first bad record.

    A NUL character, which JSON allows and Postgres does not, becomes U+FFFD: an outsider's text must not be able
    to park an auction.
    """
    return [event for event in _each(decoder, records) if event is not None]


def placed(decoder: Decoder[Any], records: Sequence[Record]) -> list[Placed]:
    """As `decoded`, each with its record."""
    new = tuple.__new__
    pairs = zip(records, _each(decoder, records), strict=True)
    return [new(Placed, pair) for pair in pairs if pair[1] is not None]


def _each(decoder: Decoder[Shape], records: Iterable[Record]) -> list[Shape | None]:
    """None for those that the decoder was not made for."""
    found: list[Shape | None] = []
    decode = decoder.decode
    for record in records:
        payload = record.value
        if payload is None:
            raise UndecodableEvent("the record has no payload")
        if payload.find(BACKSLASH) >= 0 and NUL_ESCAPE in payload:
            payload = _NUL_ESCAPE.sub(_REPLACEMENT, payload)
        found.append(decode(payload))
    return found
