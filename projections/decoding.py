"""Records to events, with the one thing taken out that the log may hold and a database may not."""

from __future__ import annotations

import re
from collections.abc import Iterable
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
    found: list[Shape] = []
    decode = decoder.decode
    for record in records:
        payload = record.value
        if payload is None:
            raise UndecodableEvent("the record has no payload")
        if payload.find(BACKSLASH) >= 0 and NUL_ESCAPE in payload:
            payload = _NUL_ESCAPE.sub(_REPLACEMENT, payload)
        event = decode(payload)
        if event is not None:
            found.append(event)
    return found


def placed(decoder: Decoder[Any], records: Iterable[Record]) -> list[Placed]:
    """As `decoded`, each with its record."""
    return [Placed(record, event) for record in records for event in decoded(decoder, (record,))]
