"""How many different people: HyperLogLog, counting in 2^14 registers what would take a set of all of them.

A sketch is what was marked in its registers, each the highest rank of all persons that fall into it. It depends on
the set of persons alone, not on their order, nor on how often each came; the sketch of several hours is the highest
of their ranks, register by register. That takes no more of a database than `max`.

Flajolet, Fusy, Gandouet, Meunier, "HyperLogLog: the analysis of a near-optimal cardinality estimation algorithm"
(2007), with the estimator of Ertl, "New cardinality estimation algorithms for HyperLogLog sketches" (2017,
arXiv:1702.01284, algorithm 6), which needs no tables of corrections and is right from none to billions.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from hashlib import blake2b
from typing import NamedTuple

REGISTER_BITS = 14
REGISTERS = 1 << REGISTER_BITS
_HASH_BYTES = 8
_RANK_BITS = 8 * _HASH_BYTES - REGISTER_BITS
_RANK_MASK = (1 << _RANK_BITS) - 1
RANK_MAX = _RANK_BITS + 1
STANDARD_ERROR = 1.04 / math.sqrt(REGISTERS)
"""Of an estimate, relative: 0.8 %. Two of three estimates are within it, 19 of 20 within twice of it."""

_BIAS = 1 / (2 * math.log(2))


class Mark(NamedTuple):
    """What one person leaves in a sketch."""

    register: int
    """From 0 up to but not including REGISTERS."""
    rank: int
    """From 1 to RANK_MAX."""


def mark_of(person: str) -> Mark:
    """The mark of a pseudonym; the same everywhere and for ever."""
    digest = blake2b(person.encode(), digest_size=_HASH_BYTES, person=b"gavel reach").digest()
    bits = int.from_bytes(digest, "big")
    return Mark(bits >> _RANK_BITS, RANK_MAX - (bits & _RANK_MASK).bit_length())


def estimate(ranks: Mapping[int, int]) -> int:
    """Persons in a sketch, of which is told how many registers hold each rank; those without a mark are left out."""
    unmarked = REGISTERS - sum(ranks.values())
    total = REGISTERS * _tau(1 - ranks.get(RANK_MAX, 0) / REGISTERS)
    for rank in range(_RANK_BITS, 0, -1):
        total = 0.5 * (total + ranks.get(rank, 0))
    total += REGISTERS * _sigma(unmarked / REGISTERS)
    return round(_BIAS * REGISTERS * REGISTERS / total)


def _sigma(share: float) -> float:
    """Of the registers without a mark: x + the sum of x^(2^k) 2^(k-1)."""
    if share == 1:
        return math.inf
    term, weight, total, before = share, 1.0, share, math.nan
    while total != before:
        term *= term
        before = total
        total += term * weight
        weight += weight
    return total


def _tau(share: float) -> float:
    """Of the registers below the highest rank: (1 - x - the sum of (1 - x^(2^-k))^2 2^-k) / 3."""
    if share in (0, 1):
        return 0.0
    term, weight, total, before = share, 1.0, 1 - share, math.nan
    while total != before:
        term = math.sqrt(term)
        before = total
        weight *= 0.5
        total -= (1 - term) ** 2 * weight
    return total / 3
