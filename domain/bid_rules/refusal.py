"""Why a bid is refused: an IAB loss reason and a sentence that names what is wrong and which limit it breaks."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from typing import NamedTuple

_QUOTED_MAX = 8
_QUOTED_MAX_CHARS = 64


class Refusal(NamedTuple):
    """Why a bid is not in the ranking."""

    code: int
    """IAB loss reason."""
    reason: str


def clip(text: str) -> str:
    """Somebody else's text, short enough for a sentence that is kept for ever."""
    return text if len(text) <= _QUOTED_MAX_CHARS else text[:_QUOTED_MAX_CHARS] + "…"


def listing(names: Iterable[object]) -> str:
    """The first few of somebody else's names or numbers, for a sentence."""
    return " or ".join(clip(str(name)) for name in islice(names, _QUOTED_MAX)) or "(none named)"
