"""What `gavel doctor` makes of the figures that servers tell; that it asks them is shown where an exchange runs."""

from __future__ import annotations

import pytest

from gavel.checkup import Trouble, refuse_too_few_locks


def test_a_lock_table_too_small_for_a_comparison_is_told_with_what_to_set() -> None:
    """64 places for each of 100 transactions hold two generations of 3,200 tables and indexes, and not one more."""
    refuse_too_few_locks(64, 100, 3_200)
    with pytest.raises(Trouble, match="hold 6,400 locks, and a comparison of two generations takes 6,402") as trouble:
        refuse_too_few_locks(64, 100, 3_201)
    assert trouble.value.advice == "set max_locks_per_transaction to 130 and restart it"
