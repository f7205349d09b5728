"""What must come of a feed client's two partitions, told without any order between the two."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class Fact(NamedTuple):
    """A record of one of the partitions; its offset is its place in the list."""

    what: str
    run_id: str = ""
    mode: str = ""
    since: int = -1
    line: int = 0
    key: str = ""
    old_key: str = ""
    expired: bool = False
    source: str = ""
    place: int = 0
    rejected: int = 0
    digest: str = ""


class Candidate(NamedTuple):
    """Something that stands for a key; the highest of all does."""

    stamp: int
    bulk_offset: int
    name: str | None
    """None for a delete, and for what has expired."""


def expected(changes: Sequence[Fact], bulk: Sequence[Fact]) -> dict[str, str]:
    """Key to the name of the record that stands: 'c<offset>' of a change, 'b<offset>' of a bulk record."""
    if any(fact.what == "erased" for fact in changes):
        return {}
    accepted, base = _accepted(bulk)
    candidates: list[tuple[str, Candidate]] = []
    repeated = _repeated(changes)
    for at, fact in enumerate(changes):
        if at in repeated:
            continue
        name = None if fact.expired else f"c{at}"
        if fact.what == "deleted":
            candidates.append((fact.key, Candidate(at, 0, None)))
        if fact.what == "updated" and fact.old_key != fact.key:
            candidates.append((fact.old_key, Candidate(at, 0, None)))
        if fact.what in {"put", "updated"}:
            candidates.append((fact.key, Candidate(at, 0, name)))
    for at, since in accepted.items():
        name = None if bulk[at].expired else f"b{at}"
        candidates.append((bulk[at].key, Candidate(since, at, name)))
    standing: dict[str, Candidate] = {}
    for key, candidate in candidates:
        if candidate.stamp >= base:
            standing[key] = max(standing.get(key, candidate), candidate, key=lambda each: each[:2])
    return {key: each.name for key, each in standing.items() if each.name is not None}


def _repeated(changes: Sequence[Fact]) -> set[int]:
    """Offsets of changes that do not stand behind all that their source has told before."""
    return {
        at
        for at, fact in enumerate(changes)
        if fact.source and any(each.source == fact.source and each.place >= fact.place for each in changes[:at])
    }


class _Run:
    """The load that is open; there is one at most."""

    def __init__(self, opened: Fact) -> None:
        self.id, self.since, self._replaces = opened.run_id, opened.since, opened.mode == "replace"
        self._next_line, self._closed = 1, False
        self._taken: dict[int, int] = {}

    def read(self, at: int, fact: Fact) -> None:
        if fact.what == "loaded" and not self._closed and fact.line >= self._next_line:
            self._taken[at], self._next_line = self.since, fact.line + 1
        self._closed = self._closed or fact.what == "received"

    def left(self, *, published: bool) -> dict[int, int]:
        return self._taken if published or not self._replaces else {}

    def replaced(self, what: str) -> bool:
        return self._replaces and what == "published"


def _accepted(bulk: Sequence[Fact]) -> tuple[dict[int, int], int]:
    """Offsets of the bulk records that count, with their run's place; and the place of the last run that replaced."""
    latest, base, known = -1, -1, set[str]()
    run: _Run | None = None
    taken: dict[int, int] = {}
    for at, fact in enumerate(bulk):
        if fact.what == "failed":
            known.add(fact.run_id)
        if fact.what == "opened" and fact.run_id not in known:
            known.add(fact.run_id)
            if fact.since > latest:
                taken |= run.left(published=False) if run else {}
                latest, run = fact.since, _Run(fact)
        if run is None or fact.run_id != run.id:
            continue
        run.read(at, fact)
        if fact.what in {"published", "failed"}:
            taken |= run.left(published=fact.what == "published")
            base = run.since if run.replaced(fact.what) else base
            run = None
    taken |= run.left(published=False) if run else {}
    return {at: since for at, since in taken.items() if since >= base}, base
