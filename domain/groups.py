"""Bids that win or lose as a whole: `SeatBid.group` 1 (OpenRTB 2.6 section 4.2.2)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from domain.auction import Candidate

_NOBODY: Mapping[str, tuple[str, ...]] = MappingProxyType({})
_Group = tuple[str, int]
"""Bidder, and the number that it has in the auction's events."""


def without_failing_groups(
    ranked: Mapping[str, Sequence[Candidate]],
) -> tuple[Mapping[str, Sequence[Candidate]], Mapping[str, tuple[str, ...]]]:
    """The rankings of which every group that is left wins as a whole, and by imp the bidders that stepped back.

    While some group has a bid that is not the first of its imp, one such group steps back, and what was below it
    moves up: the group with the lowest total price, of equals the one that came in last.
    Bids that step back set no price.
    """
    if all(each.group is None for bids in ranked.values() for each in bids):
        return ranked, _NOBODY
    back = _stepping_back(ranked)
    standing = {imp_id: [each for each in bids if _group(each) not in back] for imp_id, bids in ranked.items()}
    withdrawn = {
        imp_id: tuple(each.bidder_id for each in bids if _group(each) in back)
        for imp_id, bids in ranked.items()
        if len(bids) != len(standing[imp_id])
    }
    return standing, withdrawn


def _stepping_back(ranked: Mapping[str, Sequence[Candidate]]) -> set[_Group]:
    """One look at each group is enough: bids only move up, so that a group that does not fail never will."""
    groups: dict[_Group, list[tuple[str, Candidate]]] = {}
    for imp_id, bids in ranked.items():
        for each in bids:
            if (group := _group(each)) is not None:
                groups.setdefault(group, []).append((imp_id, each))
    left = {imp_id: list(reversed(bids)) for imp_id, bids in ranked.items()}
    back: set[_Group] = set()
    for group in sorted(groups, key=lambda each: _standing(groups[each])):
        if any(_first(left[imp_id], back) is not bid for imp_id, bid in groups[group]):
            back.add(group)
    return back


def _first(left: list[Candidate], back: set[_Group]) -> Candidate:
    """The best, which stands last, once those that stepped back are taken away."""
    while _group(left[-1]) in back:
        left.pop()
    return left[-1]


def _group(candidate: Candidate) -> _Group | None:
    return None if candidate.group is None else (candidate.bidder_id, candidate.group)


def _standing(bids: Sequence[tuple[str, Candidate]]) -> tuple[int, int, int]:
    """Lowest steps back first. Groups of one answer arrived together: the one with the higher number came last."""
    _, first = bids[0]
    return sum(each.price_micros for _, each in bids), -first.arrival, -(first.group or 0)
