"""Ratios say what their names promise, round by round."""

from __future__ import annotations

from typing import Any

import pytest

from bench.cost import Comparison, Contender, Cost, Target, take_turns


def cost(cpu_seconds: float, wall_seconds: float = 1.0) -> Cost:
    return Cost(operations=1_000, cpu_seconds=cpu_seconds, wall_seconds=wall_seconds)


def comparison(**fields: Any) -> Comparison:
    rounds: dict[str, Any] = {"subject_rounds": [cost(1), cost(2), cost(9)], "peer_rounds": [cost(4), cost(4), cost(9)]}
    return Comparison(what="work", unit="piece", subject="ours", peer="theirs", **(rounds | fields))


def test_a_ratio_of_costs_is_ours_over_theirs_and_its_median_is_judged() -> None:
    """Rounds of 1:4, 2:4 and 9:9 give one half, not the ratio of sums."""
    measured = comparison()
    assert measured.cpu_ratios == [0.25, 0.5, 1.0]
    assert measured.ratio == pytest.approx(0.5)
    assert Target("≤", 0.5).is_met(measured.ratio)
    assert not Target("≤", 0.49).is_met(measured.ratio)


def test_a_ratio_of_rates_is_the_other_way_round() -> None:
    """Half of the time is twice the rate."""
    assert comparison(ratio_of="rates").ratio == pytest.approx(2)


def test_wall_time_judges_where_it_was_asked_to() -> None:
    """The same CPU time, but a third of the wall time."""
    rounds: dict[str, Any] = {"subject_rounds": [cost(1, 1.0)], "peer_rounds": [cost(1, 3.0)]}
    assert comparison(judged_by="wall", ratio_of="rates", **rounds).ratio == pytest.approx(3)


async def test_contenders_take_turns_after_a_warm_up() -> None:
    """A B, then A B A B: the machine's drift meets both alike, and the first of each is not counted."""
    order: list[str] = []

    def contender(name: str) -> Contender:
        async def measured() -> Cost:
            order.append(name)
            return cost(len(order))

        return measured

    rounds = await take_turns({name: contender(name) for name in "AB"}, rounds=2)
    assert "".join(order) == "ABABAB"
    assert {name: [each.cpu_seconds for each in costs] for name, costs in rounds.items()} == {"A": [3, 5], "B": [4, 6]}
