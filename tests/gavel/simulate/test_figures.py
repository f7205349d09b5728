"""What a run writes down."""

from __future__ import annotations

import random
from pathlib import Path

import msgspec
import pytest

from gavel.simulate.figures import LatencyHistogram, Observations


def test_percentiles_are_within_one_per_cent_of_the_exact_ones() -> None:
    """The histogram may round, but by no more than a bucket's width."""
    rng = random.Random(1)
    values = sorted(rng.lognormvariate(2.0, 0.8) for _ in range(10_000))
    histogram = LatencyHistogram()
    for value in values:
        histogram.add(value)
    for percent in (50, 95, 99):
        assert histogram.percentile_ms(percent) == pytest.approx(values[percent * 100 - 1], rel=0.0101)
    assert histogram.percentile_ms(100) == histogram.max_ms == values[-1]


def test_money_is_exact_and_tests_are_left_out(tmp_path: Path) -> None:
    """The file holds the run, the figures and the evidence; a test auction is counted apart."""
    observations = Observations(keep_evidence=True)
    observations.saw_auction("a1", 2, test=False)
    observations.saw_auction("a2", 1, test=True)
    observations.saw_award("a1", "1", "swift", 1_250_001)
    observations.saw_impression(("a1", "1"), "swift", 1_250_001)
    observations.write(tmp_path / "figures.json", {"seed": 4})
    written = msgspec.json.decode((tmp_path / "figures.json").read_bytes())
    assert (written["seed"], written["auctions"], written["imps"], written["test_auctions"]) == (4, 1, 2, 1)
    assert (written["spend"], written["spend_nanos_by_seat"]) == ("0.001250001", {"swift": 1_250_001})
    assert written["evidence"]["auctions"] == ["a1"]
    assert written["evidence"]["awards"] == [["a1", "1", "swift", 1_250_001]]
