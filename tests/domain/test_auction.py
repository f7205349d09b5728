"""Who wins and what it costs."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.auction import Candidate, clear, rank, ranking_member, ranking_score
from domain.limits import PRICE_MAX_MICROS
from domain.money import cpm_text, micros_from_text, split_share


def candidate(bidder: str, price: str, *, floor: str = "0", **changes: Any) -> Candidate:
    values = {
        "bidder_id": bidder,
        "bid_id": f"bid of {bidder}",
        "seat": "",
        "price_micros": micros_from_text(price),
        "floor_micros": micros_from_text(floor),
        "deal_id": None,
        "deal_at": None,
        "arrival": ord(bidder[0]),
    }
    return Candidate(**{**values, **changes})


@pytest.mark.parametrize(
    ("auction_type", "price", "winner_min_to_win", "loser_min_to_win"),
    [(1, "1.00", "0.90", "1.00"), (2, "0.91", "0.90", "0.91")],
    ids=["first price", "second price"],
)
def test_the_worked_example_of_the_specification(
    auction_type: int, price: str, winner_min_to_win: str, loser_min_to_win: str
) -> None:
    """Section 4.4.1: floor .85, bids 1.00 and .90 (.80 is below the floor and sets no price)."""
    ranked = rank([candidate("b", "0.90", floor="0.85"), candidate("a", "1.00", floor="0.85")])
    clearing = clear(ranked, auction_type)
    assert ranked[0].bidder_id == "a"
    assert cpm_text(clearing.price_micros) == price
    assert cpm_text(clearing.min_to_win_micros) == winner_min_to_win
    assert cpm_text(clearing.price_micros) == loser_min_to_win


@pytest.mark.parametrize(
    ("winner", "runner_up", "auction_type", "price", "applied"),
    [
        (candidate("a", "3", floor="0.85"), None, 2, "0.85", 2),
        (candidate("a", "3", floor="0.85"), None, 1, "3.00", 1),
        (candidate("a", "3"), None, 2, "0.01", 2),
        (candidate("a", "0.004"), None, 2, "0.004", 2),
        (candidate("a", "3", floor="0.85"), candidate("b", "0.845", floor="0"), 2, "0.855", 2),
        (candidate("a", "3", floor="2"), candidate("b", "1"), 2, "2.00", 2),
        (candidate("a", "3"), candidate("b", "3"), 2, "3.00", 2),
        (candidate("a", "3"), candidate("b", "2.995"), 2, "3.00", 2),
        (candidate("a", "3", deal_id="d", deal_at=1), candidate("b", "1"), 2, "3.00", 1),
        (candidate("a", "3", deal_id="d", deal_at=2), candidate("b", "1"), 1, "1.01", 2),
        (candidate("a", "3", floor="2", deal_id="d", deal_at=3), candidate("b", "1"), 1, "2.00", 3),
        (candidate("a", "3", deal_id="d", deal_at=3), None, 1, "3.00", 3),
        (candidate("a", "0", deal_id="d"), None, 2, "0.00", 2),
        (candidate("a", "1", deal_id="d"), candidate("b", "5"), 2, "1.00", 2),
        (candidate("a", "3"), candidate("b", "1"), 501, "1.01", 2),
    ],
    ids=[
        "alone, the floor",
        "alone, first price",
        "alone without a floor, one increment",
        "never above the bid",
        "one increment above",
        "the floor is higher",
        "a tie",
        "less than an increment apart",
        "the deal is first price",
        "the deal is second price",
        "the deal's agreed price",
        "an agreed price that is not stated",
        "free of charge",
        "a deal beats a higher open bid and never pays more than it bid",
        "an exchange's own type",
    ],
)
def test_clearing(winner: Candidate, runner_up: Candidate | None, auction_type: int, price: str, applied: int) -> None:
    """What the winner pays, rule by rule."""
    ranked = rank([each for each in (runner_up, winner) if each is not None])
    clearing = clear(ranked, auction_type)
    assert (ranked[0], cpm_text(clearing.price_micros), clearing.auction_type) == (winner, price, applied)


@pytest.mark.parametrize(
    ("winner", "runner_up", "min_to_win"),
    [
        (candidate("a", "3", floor="0.85"), None, "0.85"),
        (candidate("a", "3", floor="0.85"), candidate("b", "2"), "2.00"),
        (candidate("a", "3", floor="2.50"), candidate("b", "2"), "2.50"),
        (candidate("a", "3", floor="1", deal_id="d"), candidate("b", "5"), "1.00"),
        (candidate("a", "3", floor="1", deal_id="d"), candidate("b", "2", deal_id="e"), "2.00"),
    ],
    ids=["alone", "the next bid", "a floor of its own above the next bid", "a deal before an open bid", "two deals"],
)
def test_what_the_winner_would_have_had_to_bid(winner: Candidate, runner_up: Candidate | None, min_to_win: str) -> None:
    """The price below which another bid would have come first, or none at all."""
    ranked = rank([each for each in (runner_up, winner) if each is not None])
    assert ranked[0] == winner
    assert cpm_text(clear(ranked, 1).min_to_win_micros) == min_to_win


@st.composite
def contests(draw: st.DrawFn) -> list[Candidate]:
    """Candidates of one imp, as they come out of the judgement: each at or above its floor."""
    arrivals = draw(st.lists(st.sampled_from([0, 1, 2, 9, 10, 11, 99, 100, 4_000]), min_size=1, unique=True))
    micros = st.one_of(st.integers(0, PRICE_MAX_MICROS), st.sampled_from([0, 1, 10_000, 1_000_000]))
    contest = []
    for arrival in arrivals:
        floor, above = draw(micros), draw(micros)
        deal_id = draw(st.sampled_from([None, None, "d1", "d2"]))
        deal_at = draw(st.sampled_from([None, 1, 2, 3])) if deal_id else None
        price = min(floor + above, PRICE_MAX_MICROS)
        contest.append(Candidate(f"bidder {arrival}", "b", "", price, floor, deal_id, deal_at, arrival))
    return contest


@given(contests(), st.sampled_from([1, 2, 3, 500]), st.integers(0, 10_000))
def test_a_price_lies_between_floor_and_bid_and_is_shared_out(
    contest: list[Candidate], auction_type: int, share_bps: int
) -> None:
    """The winner never pays more than its bid nor less than its floor, and the money is conserved."""
    ranked = rank(contest)
    clearing = clear(ranked, auction_type)
    assert ranked[0].floor_micros <= clearing.price_micros <= ranked[0].price_micros
    revenue, fee = split_share(clearing.price_micros, share_bps)
    assert revenue + fee == clearing.price_micros
    assert min(revenue, fee) >= 0


@given(contests(), st.randoms(use_true_random=False))
def test_the_order_depends_on_nothing_but_the_bids(contest: list[Candidate], dice: Any) -> None:
    """However the same candidates are shuffled, their ranking is the same: deals, then price, then arrival."""
    shuffled = list(contest)
    dice.shuffle(shuffled)
    ranked = rank(shuffled)
    assert ranked == rank(contest)
    for better, worse in pairwise(ranked):
        if (better.deal_id is None) != (worse.deal_id is None):
            assert better.deal_id is not None
        elif better.price_micros != worse.price_micros:
            assert better.price_micros > worse.price_micros
        else:
            assert better.arrival < worse.arrival


@given(contests())
def test_a_sorted_set_has_the_same_order(contest: list[Candidate]) -> None:
    """Doubles as scores and bytes as members, as Redis compares them, give the order of `rank`."""
    as_redis = sorted(contest, key=lambda each: (float(ranking_score(each)), ranking_member(each).encode()))
    assert as_redis == rank(contest)
    assert all(abs(ranking_score(each)) < 2**53 for each in contest)
