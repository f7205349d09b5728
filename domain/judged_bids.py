"""The bids of one answer, each with its verdict, and which of them a bidder may stand with: its best for every imp.

A group (`SeatBid.group` 1, OpenRTB 2.6 section 4.2.2) stands with all of its bids or with none.
"""

from __future__ import annotations

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
    for group, why in list(_broken_from_the_start(judged)):
        _refuse(judged, group, why)
    while beaten := dict(_beaten(judged)):
        group = min(beaten, key=lambda each: (_total_micros(judged, each), -each))
        _refuse(judged, group, beaten[group])


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


def _beaten(judged: JudgedBids) -> Iterator[tuple[int, str]]:
    for imp_id, bids in judged.items():
        best = best_of(bids) if len(bids) > 1 else None
        for each in bids:
            if best is not None and each is not best and each.group is not None and _is_admitted(each):
                yield (
                    each.group,
                    f"the bidder has a better one, {clip(best.bid_id)!r}, for the imp {clip(imp_id)!r}.",
                )


def _total_micros(judged: JudgedBids, group: int) -> int:
    return sum(
        each.verdict.price_micros for each in _all(judged) if each.group == group and isinstance(each.verdict, Admitted)
    )


def _refuse(judged: JudgedBids, group: int, why: str) -> None:
    """The bid that broke a rule of its own keeps the reason for that."""
    refusal = Refusal(LossReason.INVALID_RESPONSE, f"The seat's bids win or lose as a whole (group 1), and {why}")
    for bids in judged.values():
        bids[:] = [
            msgspec.structs.replace(each, verdict=refusal) if each.group == group and _is_admitted(each) else each
            for each in bids
        ]


def _is_admitted(judged: Judged) -> bool:
    return isinstance(judged.verdict, Admitted)


def _all(judged: JudgedBids) -> Iterable[Judged]:
    return (each for bids in judged.values() for each in bids)
