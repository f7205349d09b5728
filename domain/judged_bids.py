"""The bids of one answer, each with its verdict, and which of them a bidder may stand with: its best for every imp.

A group (`SeatBid.group` 1, OpenRTB 2.6 section 4.2.2) stands with all of its bids or with none.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator

import msgspec

from domain.bid_rules.refusal import Refusal, clip
from domain.bids import Admitted
from domain.openrtb.codes import LossReason
from domain.openrtb.parse import ParsedBid


class Judged(msgspec.Struct, frozen=True, gc=False):
    """One bid of an answer."""

    verdict: Admitted | Refusal
    bid: ParsedBid | None
    """None where it could not be read."""
    bid_id: str
    group: int | None = None
    """The bids of an answer with the same number win or lose as a whole."""

    @property
    def standing(self) -> tuple[bool, bool, int]:
        """Greater is better; of equals the first in the answer is taken."""
        if isinstance(self.verdict, Refusal):
            return (False, False, 0)
        return (True, self.verdict.deal is not None, self.verdict.price_micros)


JudgedBids = dict[str, list[Judged]]
"""By the imp that they are reported with, in the order of the answer."""


def best_of(bids: list[Judged]) -> Judged:
    """The one that competes; `bids` holds at least one."""
    return bids[0] if len(bids) == 1 else max(bids, key=lambda each: each.standing)


def refuse_broken_groups(judged: JudgedBids) -> None:
    """Refuses every bid of a group that cannot win as a whole.

    That is one with a refused bid, with two bids for one imp, or with a bid that is not its bidder's best for its imp.
    Of several groups that stand in each other's way the one with the lowest total price goes first.
    """
    broken = dict(_broken_from_the_start(judged))
    _find_beaten(judged, broken)
    if broken:
        for bids in judged.values():
            bids[:] = [_refused(each, broken) for each in bids]


def _broken_from_the_start(judged: JudgedBids) -> Iterator[tuple[int, str]]:
    found: set[int] = set()
    for imp_id, bids in judged.items():
        here: set[int] = set()
        for each in bids:
            if each.group is None or each.group in found:
                continue
            if isinstance(each.verdict, Refusal):
                found.add(each.group)
                yield each.group, f"the bid {clip(each.bid_id)!r} is refused: {each.verdict.reason}"
            elif each.group in here:
                found.add(each.group)
                yield each.group, f"two of them are for the imp {clip(imp_id)!r}."
            here.add(each.group)


def _find_beaten(judged: JudgedBids, broken: dict[int, str]) -> None:
    """Adds the groups that are in the way of a better bid: those that step aside let others move up, never down.

    So one look at each group, the cheapest first, is enough.
    """
    groups: dict[int, list[tuple[str, Judged]]] = {}
    for imp_id, bids in judged.items():
        for each in bids:
            if each.group is not None and each.group not in broken:
                groups.setdefault(each.group, []).append((imp_id, each))
    if not groups:
        return
    left = {
        imp_id: deque(sorted(bids, key=lambda each: each.standing, reverse=True)) for imp_id, bids in judged.items()
    }
    for group in sorted(groups, key=lambda each: (_total_micros(groups[each]), -each)):
        for imp_id, each in groups[group]:
            best = _best_left(left[imp_id], broken)
            if best is not each:
                broken[group] = f"the bidder has a better one, {clip(best.bid_id)!r}, for the imp {clip(imp_id)!r}."
                break


def _best_left(left: deque[Judged], broken: dict[int, str]) -> Judged:
    """The first, once the bids of broken groups are taken away."""
    while left[0].group in broken:
        left.popleft()
    return left[0]


def _total_micros(bids: Iterable[tuple[str, Judged]]) -> int:
    return sum(each.verdict.price_micros for _, each in bids if isinstance(each.verdict, Admitted))


def _refused(judged: Judged, broken: dict[int, str]) -> Judged:
    """The bid that broke a rule of its own keeps the reason for that."""
    if judged.group not in broken or isinstance(judged.verdict, Refusal):
        return judged
    why = f"The seat's bids win or lose as a whole (group 1), and {broken[judged.group]}"
    return msgspec.structs.replace(judged, verdict=Refusal(LossReason.INVALID_RESPONSE, why))
