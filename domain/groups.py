"""Bids that win or lose as a whole: `SeatBid.group` 1 (OpenRTB 2.6 section 4.2.2)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
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
    standing = ranked
    while failing := _failing(standing):
        loser = min(failing, key=lambda group: _standing(failing[group]))
        standing = {
            imp_id: [each for each in bids if each.group is None or _group(each) != loser]
            for imp_id, bids in standing.items()
        }
    withdrawn = {
        imp_id: tuple(each.bidder_id for each in bids if each not in standing[imp_id])
        for imp_id, bids in ranked.items()
        if len(bids) != len(standing[imp_id])
    }
    return standing, withdrawn


def _failing(ranked: Mapping[str, Sequence[Candidate]]) -> dict[_Group, list[Candidate]]:
    """The bids of every group of which at least one is not the first of its imp."""
    groups: dict[_Group, list[Candidate]] = {}
    beaten: set[_Group] = set()
    for bids in ranked.values():
        for place, each in enumerate(bids):
            if each.group is None:
                continue
            groups.setdefault(_group(each), []).append(each)
            if place:
                beaten.add(_group(each))
    return {group: groups[group] for group in groups if group in beaten}


def _group(candidate: Candidate) -> _Group:
    assert candidate.group is not None
    return candidate.bidder_id, candidate.group


def _standing(bids: Iterable[Candidate]) -> tuple[int, int, int]:
    """Lowest steps back first. Groups of one answer arrived together: the one with the higher number came last."""
    bids = list(bids)
    return sum(each.price_micros for each in bids), -bids[0].arrival, -(bids[0].group or 0)
