"""What the page says of memory: a leak is seen, and warming up is not taken for one."""

from __future__ import annotations

import pytest

from bench.followed_build import Sample
from bench.rebuild_page import growth, picture


def test_memory_that_stays_where_it_warmed_up_to_is_flat() -> None:
    """What happens in the first tenth does not count."""
    samples = [Sample(applied, 50 if applied < 5 else 100) for applied in range(101)]
    assert growth(samples) == 1.0


def test_memory_that_grows_with_the_events_is_told() -> None:
    """A hundred bytes for each event more than double what there was."""
    samples = [Sample(applied, 1_000 + 100 * applied) for applied in range(101)]
    assert growth(samples) == pytest.approx(10_500 / 2_500)


def test_the_picture_rises_with_memory() -> None:
    """From nothing to the most there was, in no more bars than fit on a line."""
    assert picture([Sample(0, 1), Sample(1, 4), Sample(2, 8)]) == "▂▅█"
    assert len(picture([Sample(applied, 8) for applied in range(1_000)])) == 60
