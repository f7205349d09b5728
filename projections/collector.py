"""Python's collector of cycles, in a process that reads the log: much is made there, and nearly nothing is a cycle."""

from __future__ import annotations

import gc

YOUNG_OBJECTS = 50_000
"""A piece of a batch is gone before so many have been made; looking for cycles in it took a fifth of its CPU."""
YOUNG_ROUNDS, MIDDLE_ROUNDS = 5, 5
"""All are looked at after a million and a quarter more were made than freed: cycles cannot pile up without end."""


def calm_the_collector() -> None:
    """What start-up made is never looked at again, and what follows less often than by default."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS, YOUNG_ROUNDS, MIDDLE_ROUNDS)
