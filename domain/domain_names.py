"""Sets of domain names, in which a name is found together with all names below it."""

from __future__ import annotations

from collections.abc import Iterable


def domain_names(names: Iterable[str]) -> frozenset[str]:
    """The names in one spelling: small letters, international ones as name servers know them."""
    return frozenset(map(_one_spelling, names)) - {""}


def is_within_any(name: str, domains: frozenset[str]) -> bool:
    """Whether the name is one of the domains or below one of them; costs the same however many there are."""
    rest = _one_spelling(name)
    while rest:
        if rest in domains:
            return True
        rest = rest.partition(".")[2]
    return False


def _one_spelling(name: str) -> str:
    name = name.lower().strip(".")
    if name.isascii():
        return name
    try:
        return name.encode("idna").decode()
    except UnicodeError:
        return name
