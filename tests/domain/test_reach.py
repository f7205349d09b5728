"""The number of different people, estimated from sketches, against sets that know it."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.reach import RANK_MAX, REGISTERS, STANDARD_ERROR, Mark, estimate, mark_of

PEOPLE = st.sets(st.text(max_size=20), max_size=60)
FEW = 200
"""So few that hardly any two share a register."""


def sketch(people: Iterable[str]) -> dict[int, int]:
    """Register to its highest rank, as the database keeps it."""
    return merged(dict([mark_of(person)]) for person in people)


def merged(sketches: Iterable[dict[int, int]]) -> dict[int, int]:
    both: dict[int, int] = {}
    for each in sketches:
        for register, rank in each.items():
            both[register] = max(rank, both.get(register, 0))
    return both


def people_in(ranks: dict[int, int]) -> int:
    return estimate(Counter(ranks.values()))


def test_nobody_is_nobody() -> None:
    """An empty sketch estimates zero."""
    assert estimate({}) == 0


@given(PEOPLE)
def test_a_few_are_counted_nearly_exactly(people: set[str]) -> None:
    """Where hardly any two share a register, nearly everybody is told from the others."""
    assert abs(people_in(sketch(people)) - len(people)) <= 1


@given(PEOPLE, PEOPLE)
def test_sketches_of_two_hours_make_that_of_both(one: set[str], other: set[str]) -> None:
    """Register by register the higher rank: who came in both hours is one person, in whatever order they are put."""
    both = merged([sketch(one), sketch(other)])
    assert both == sketch(one | other) == merged([sketch(other), sketch(one), sketch(one)])


@given(st.text())
def test_marks_lie_within_a_sketch(person: str) -> None:
    """Register and rank fit the columns that keep them."""
    mark = mark_of(person)
    assert 0 <= mark.register < REGISTERS
    assert 1 <= mark.rank <= RANK_MAX


def test_marks_never_change() -> None:
    """What was stored stays comparable with what will be: these are written down."""
    assert [mark_of(person) for person in ("", "a", "person 7", "Zoë")] == [
        Mark(3889, 1),
        Mark(4677, 1),
        Mark(8729, 2),
        Mark(13713, 1),
    ]


@pytest.mark.parametrize("size", [FEW, 5_000, 41_000, 150_000])
def test_the_error_is_the_one_that_is_promised(size: int) -> None:
    """Over several crowds the estimates scatter by no more than the standard error, and do not lean to one side."""
    errors = [people_in(_crowd(random.Random(seed), size)) / size - 1 for seed in range(12)]
    root_mean_square = (sum(error**2 for error in errors) / len(errors)) ** 0.5
    assert root_mean_square < 1.6 * STANDARD_ERROR
    assert abs(sum(errors) / len(errors)) < STANDARD_ERROR


def _crowd(chance: random.Random, size: int) -> dict[int, int]:
    """The sketch of so many people, drawn as the distributions of register and rank have it: without their names."""
    ranks = [0] * REGISTERS
    for _ in range(size):
        bits = chance.getrandbits(64)
        rank = RANK_MAX - (bits >> 14).bit_length()
        register = bits & (REGISTERS - 1)
        ranks[register] = max(ranks[register], rank)
    return {register: rank for register, rank in enumerate(ranks) if rank}
