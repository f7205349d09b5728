"""The shapes that events once had, and how a payload of each is raised to the one that followed it.

One file per event type, named by its tag, with one function for each version that was left behind and `CHAIN`, which
lists them from version 1 on: the newest version of a type is one more than its chain is long, and none of them can be
without a way up. `docs/EVOLUTION.md` shows how a version is added.

An upcaster is pure and, once released, never changes: it speaks of a shape of the past in the words of JSON, so no
change of a Struct can reach it. What it raises is checked against the present shape in the end.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

Fields = dict[str, Any]
"""A payload by the names of its fields; what the type keeps as it came is `msgspec.Raw`."""
Upcaster = Callable[[Fields], Fields]
"""Takes the fields of one version and gives those of the next; `v` is raised for it."""
Chain = tuple[Upcaster, ...]

CHAINS: Mapping[str, Chain] = {}
"""Tag to its chain. A type that is not here has had one version only."""
