"""Groups of bids win all of their imps or none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from random import Random
from time import process_time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.auction import Candidate, rank
from domain.award import decide
from domain.groups import without_failing_groups

FIRST_PRICE = 1


def bid(bidder: str, micros: int, *, group: int | None = None, deal: str | None = None) -> Candidate:
    return Candidate(bidder, f"bid of {bidder}", "", micros, 0, deal, None, ord(bidder[0]), group)


def winners(imps: Mapping[str, Sequence[Candidate]]) -> tuple[dict[str, str], Mapping[str, tuple[str, ...]]]:
    ranked = {imp_id: rank(bids) for imp_id, bids in imps.items()}
    decision = decide(ranked, FIRST_PRICE, dict.fromkeys(imps, 10_000))
    return {imp_id: award.winner.bidder_id for imp_id, award in decision.awards.items()}, decision.withdrawn


@pytest.mark.parametrize(
    ("imps", "won", "withdrawn"),
    [
        ({"1": [bid("a", 5, group=0), bid("b", 4)], "2": [bid("a", 1, group=0)]}, {"1": "a", "2": "a"}, {}),
        (
            {"1": [bid("a", 5, group=0), bid("b", 4)], "2": [bid("a", 1, group=0), bid("b", 2)]},
            {"1": "b", "2": "b"},
            {"1": ("a",), "2": ("a",)},
        ),
        (
            {"1": [bid("a", 5, group=0)], "2": [bid("a", 1, group=0), bid("b", 2)]},
            {"2": "b"},
            {"1": ("a",), "2": ("a",)},
        ),
        (
            {
                "1": [bid("a", 5, group=0), bid("b", 4, group=0)],
                "2": [bid("a", 1, group=0), bid("b", 3, group=0)],
            },
            {"1": "b", "2": "b"},
            {"1": ("a",), "2": ("a",)},
        ),
        (
            {
                "1": [bid("a", 5, group=0), bid("b", 4, group=0)],
                "2": [bid("a", 2, group=0), bid("b", 3, group=0)],
            },
            {"1": "a", "2": "a"},
            {"1": ("b",), "2": ("b",)},
        ),
        (
            {"1": [bid("a", 5, group=0)], "2": [bid("a", 5, group=0), bid("b", 1, deal="d")]},
            {"2": "b"},
            {"1": ("a",), "2": ("a",)},
        ),
        (
            {"1": [bid("a", 9, group=0), bid("b", 8, group=0)], "2": [bid("b", 1, group=0), bid("c", 2)]},
            {"1": "a", "2": "c"},
            {"1": ("b",), "2": ("b",)},
        ),
    ],
    ids=[
        "first everywhere",
        "beaten once, gone everywhere",
        "an imp that nobody else wants is not sold",
        "of two in each other's way the cheaper steps back",
        "of two as dear the later one steps back",
        "a deal beats a group",
        "a group that is first of all its imps stays when another steps back",
    ],
)
def test_all_or_nothing(
    imps: Mapping[str, Sequence[Candidate]], won: dict[str, str], withdrawn: Mapping[str, tuple[str, ...]]
) -> None:
    """Who wins which imp, and who stepped back."""
    assert winners(imps) == (won, withdrawn)


def test_a_bid_that_stepped_back_sets_no_price() -> None:
    """The second price is that of the next bid that is left."""
    imps = {
        "1": rank([bid("a", 900_000, group=0), bid("b", 800_000), bid("c", 500_000)]),
        "2": rank([bid("a", 100_000, group=0), bid("b", 200_000)]),
    }
    award = decide(imps, 2, {"1": 10_000, "2": 10_000}).awards["1"]
    assert (award.winner.bidder_id, award.clearing.price_micros) == ("b", 510_000)
    assert [each.bidder_id for each in award.ranking] == ["b", "c"]


@st.composite
def auctions(draw: st.DrawFn) -> dict[str, list[Candidate]]:
    """Some imps, some bidders, each with at most one bid for an imp, some of them in groups."""
    imps: dict[str, list[Candidate]] = {imp_id: [] for imp_id in draw(st.sets(st.sampled_from("1234"), min_size=1))}
    for bidder in "abcde":
        for bids in imps.values():
            if draw(st.booleans()):
                bids.append(bid(bidder, draw(st.integers(0, 9)), group=draw(st.sampled_from([None, 0, 1]))))
    return {imp_id: rank(bids) for imp_id, bids in imps.items()}


@given(auctions())
def test_nobody_wins_a_part_of_a_group(ranked: dict[str, list[Candidate]]) -> None:
    """What is left of a group is first of all its imps and complete; bids of their own all stay, in their order."""
    standing, withdrawn = without_failing_groups(ranked)
    for imp_id, bids in ranked.items():
        left = standing[imp_id]
        assert list(left) == [each for each in bids if each in left]
        assert [each for each in bids if each.group is None and each not in left] == []
        assert withdrawn.get(imp_id, ()) == tuple(each.bidder_id for each in bids if each not in left)
        for place, each in enumerate(left):
            if each.group is not None:
                assert place == 0
                whole = [(i, b) for i, all_bids in ranked.items() for b in all_bids if _together(b, each)]
                assert all(standing[i][0] == b for i, b in whole)


def test_many_groups_cost_little() -> None:
    """Pairs of imps that twenty bidders want only together: each group is looked at once."""
    prices = Random(1)
    imps = {
        str(place): rank(
            Candidate(
                f"b{number}", f"{place} {number}", "", prices.randint(1, 10**6), 0, None, None, number, place // 2
            )
            for number in range(20)
        )
        for place in range(64)
    }
    started = process_time()
    standing, _ = without_failing_groups(imps)
    assert process_time() - started < 0.1
    assert all(len({each.group for each in bids}) <= 1 for bids in standing.values())


def _together(one: Candidate, other: Candidate) -> bool:
    return (one.bidder_id, one.group) == (other.bidder_id, other.group)


@given(auctions())
def test_whoever_is_left_needs_not_step_back_again(ranked: dict[str, list[Candidate]]) -> None:
    """Deciding on what was decided changes nothing."""
    standing, _ = without_failing_groups(ranked)
    assert without_failing_groups(standing) == (standing, {})
