"""What `gavel doctor` makes of the figures that servers tell; that it asks them is shown where an exchange runs."""

from __future__ import annotations

import pytest

from gavel.checkup import Trouble, memory_told, refuse_too_few_locks


def test_a_lock_table_too_small_for_a_comparison_is_told_with_what_to_set() -> None:
    """64 places for each of 100 transactions hold two generations of 3,200 tables and indexes, and not one more."""
    refuse_too_few_locks(64, 100, 3_200)
    with pytest.raises(Trouble, match="hold 6,400 locks, and a comparison of two generations takes 6,402") as trouble:
        refuse_too_few_locks(64, 100, 3_201)
    assert trouble.value.advice == "set max_locks_per_transaction to 130 and restart it"


def test_the_memory_that_feeds_may_fill_is_told() -> None:
    """Without feed clients a bound is anybody's choice; with them it has to be there, and not to be reached."""
    unbounded = {"used_memory": 500, "used_memory_human": "500B", "maxmemory": 0}
    assert memory_told([unbounded], 0) == "500B used, without a bound"
    with pytest.raises(Trouble, match="nothing bounds what 2 feed clients may add") as trouble:
        memory_told([unbounded], 2)
    assert "maxmemory" in trouble.value.advice
    assert memory_told([unbounded | {"maxmemory": 1_000}], 2) == "500B used, 50 % of what it may"
    fuller = {"used_memory": 990, "used_memory_human": "990B", "maxmemory": 1_000}
    with pytest.raises(Trouble, match=r"500B \+ 990B used, 99 % of what it may"):
        memory_told([unbounded | {"maxmemory": 1_000}, fuller], 0)
