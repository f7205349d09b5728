"""Sets of domain names, in which a name is found together with all names below it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final
from unicodedata import normalize

_ENCODED: Final = "xn--"
"""How a label begins that stands for one with other than ASCII characters (RFC 3490)."""
_LABEL_MAX_CHARS: Final = 63
_LABELS_LOOKED_AT_MAX: Final = 8
_NOT_SEEN: Final = dict.fromkeys((0x00AD, 0x034F, 0x1806, 0x200B, 0x200C, 0x200D, 0x2060, 0xFEFF))
"""Characters that RFC 3454 (table B.1) takes out of names; the rest of that table is for old scripts' variants."""


def domain_names(names: Iterable[str]) -> frozenset[str]:
    """The names in one spelling: small letters, international ones in their own script."""
    return frozenset(map(_one_spelling, names)) - {""}


def is_within_any(name: str, domains: frozenset[str]) -> bool:
    """Whether the name is one of the domains or below one of them; costs the same however many there are."""
    rest = _one_spelling(name)
    while rest:
        if rest in domains:
            return True
        rest = rest.partition(".")[2]
    return False


def names_above(name: str) -> tuple[str, ...]:
    """The name itself and those above it, the longest first; of a very long one the last few labels only."""
    labels = _one_spelling(name).split(".")[-_LABELS_LOOKED_AT_MAX:]
    return tuple(".".join(labels[start:]) for start in range(len(labels))) if labels != [""] else ()


def _one_spelling(name: str) -> str:
    """What name servers take for the same name becomes the same text, at a price that anybody may ask for.

    Python's own codec for international names takes many times as long.
    """
    if not name.isascii():
        name = normalize("NFKC", name.casefold()).replace("\u3002", ".").translate(_NOT_SEEN)
    name = name.lower().strip(".")
    if _ENCODED not in name:
        return name
    return ".".join(_decoded(label) if label.startswith(_ENCODED) else label for label in name.split("."))


def _decoded(label: str) -> str:
    if len(label) > _LABEL_MAX_CHARS:
        return label
    try:
        return normalize("NFKC", label[len(_ENCODED) :].encode().decode("punycode").casefold())
    except UnicodeError:
        return label
