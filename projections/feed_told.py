"""What the script of `feed_script.py` is told of records, in as few and as large pieces as there can be.

Most records are of a load, and follow each other: their fields stand in columns, so that neither side handles each.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Any, Final, NamedTuple

import msgspec

from projections.audiences import Step

LOADED: Final = "loaded"

_encode = msgspec.msgpack.Encoder().encode


class Told(NamedTuple):
    """The last three arguments of the script."""

    digests: bytes
    values: bytes
    """One behind the other."""
    parts: bytes
    """A flat array of MessagePack, seven of each record: its offset, what it is, four more of its own, and how long its
    value is. Of records of one run that follow each other only seven, of which all but the second and the third are
    arrays: offsets, 'loaded', the run, lines, keys, digests of the upload so far, lengths."""


def told_of(steps: Sequence[Step]) -> Told:
    """Of records in the order of the log."""
    parts: list[Any] = []
    for run, some in groupby(steps, _run_of):
        if run is None:
            for offset, what, own, value, _, _ in some:
                parts += (offset, what, *own, len(value))
        else:
            offsets, _, owns, values, _, _ = zip(*some, strict=True)
            _, lines, keys, digests = zip(*owns, strict=True)
            parts += (offsets, LOADED, run, lines, keys, digests, [*map(len, values)])
    return Told(b"".join([step.digest for step in steps]), b"".join([step.value for step in steps]), _encode(parts))


def _run_of(step: Step) -> str | int | None:
    """None where it is no record of a load."""
    return step.own[0] if step.what == LOADED else None
