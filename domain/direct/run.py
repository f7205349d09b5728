"""The campaigns whose prices can be compared, in blocks that follow one another in price.

A change is the matter of the blocks that it is about. What time changes (what clicks are worth, and who need not rest
any more) is looked at a block at a time, as look-ups come, so that none of them waits for all.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from heapq import heappop, heappush, heapreplace
from math import inf
from typing import Final, NamedTuple

from domain.direct.block import CAMPAIGNS_MAX, NAMES_MAX, Block, Standing, blocks_of
from domain.direct.campaign import LiveCampaign

ROUND_SECONDS: Final = 10
"""In which all blocks have been looked after, where look-ups come often enough."""
_SMALL: Final = 4
"""A block with less than one in so many of what it may hold is given up, and its campaigns go to its neighbours."""

Numbers = Mapping[str, int]
"""The block of a campaign, by its id."""


class Revaluation(NamedTuple):
    """What time changes of campaigns."""

    at: float
    """Unix seconds."""
    worth: Callable[[LiveCampaign], int]
    """What an impression is worth to one that pays for clicks, CPM micros of its currency."""
    rests: Callable[[LiveCampaign], bool] = lambda _campaign: False
    """Whether it can bid for nothing at the moment."""


class Run:
    """Immutable, but for what its blocks remember, and whose turn it is to be looked after."""

    __slots__ = ("_blocks", "_pays_for_clicks", "_tops", "_turn", "looked_after_at")

    def __init__(self, *, pays_for_clicks: bool, blocks: Mapping[int, Block] | None = None) -> None:
        self._pays_for_clicks = pays_for_clicks
        self._blocks: Mapping[int, Block] = {} if blocks is None else blocks
        """By their numbers; whose block is whose stays so until it is cut up or given up."""
        self._tops = self._sorted_tops()
        self._turn = 0
        self.looked_after_at = -inf
        """Unix seconds."""

    def __len__(self) -> int:
        return sum(map(len, self._blocks.values()))

    def price_of(self, number: int, campaign_id: str) -> int:
        """CPM micros of the run's currency, as last valued."""
        return self._blocks[number].price_of(campaign_id)

    # -- looking up --------------------------------------------------------------------------------

    def picked(self, fitting: Callable[[Block], int]) -> Iterator[tuple[Standing, Block]]:
        """The campaigns that stand in the mask that `fitting` makes of their block, dearest first.

        A block is looked at only once nothing of those before it is dearer than its dearest.
        """
        opened: list[tuple[Standing, Block, Iterator[Standing]]] = []
        for top, block in self._tops:
            yield from _until(top, opened)
            if mask := fitting(block):
                found = block.picked(mask)
                heappush(opened, (next(found), block, found))
        yield from _until(None, opened)

    def is_due(self, at: float) -> bool:
        """Whether it is time for the next block, in Unix seconds."""
        return abs(at - self.looked_after_at) * len(self._tops) >= ROUND_SECONDS

    def look_after(self, revaluation: Revaluation) -> int:
        """Looks after the next block; returns how many campaigns that were."""
        self.looked_after_at = revaluation.at
        self._turn += 1
        numbers = [*self._blocks]
        block = self._blocks[numbers[self._turn % len(numbers)]]
        block.wake(revaluation.rests)
        if self._pays_for_clicks:
            block.revalue(revaluation.worth)
            self._tops = self._sorted_tops()
        return len(block)

    def _sorted_tops(self) -> list[tuple[Standing, Block]]:
        return sorted(((block.in_order[0], block) for block in self._blocks.values()), key=_top)

    # -- filling -----------------------------------------------------------------------------------

    def with_changes(self, leaving: Mapping[int, Collection[str]], coming: Collection[Standing]) -> tuple[Run, Numbers]:
        """Without these of each block, then with those; and the blocks of all that have come or moved to another."""
        blocks, numbers = dict(self._blocks), dict[str, int]()
        _change(blocks, numbers, leaving, coming)
        run = Run(pays_for_clicks=self._pays_for_clicks, blocks=blocks)
        run._turn, run.looked_after_at = self._turn, self.looked_after_at
        return run, numbers


_NOBODY: Final = Block()


def _top(of: tuple[Standing, Block]) -> Standing:
    return of[0]


def _until(
    top: Standing | None, opened: list[tuple[Standing, Block, Iterator[Standing]]]
) -> Iterator[tuple[Standing, Block]]:
    """Takes from the opened blocks what goes before `top`, dearest first; None: everything."""
    while opened and (top is None or opened[0][0] < top):
        standing, block, left = opened[0]
        yield standing, block
        following = next(left, None)
        if following is None:
            heappop(opened)
        else:
            heapreplace(opened, (following, block, left))


def _change(
    blocks: dict[int, Block],
    numbers: dict[str, int],
    leaving: Mapping[int, Collection[str]],
    coming: Collection[Standing],
) -> None:
    """Changes the blocks in place, and notes in `numbers` who stands in another one now."""
    arriving = _shared_out(blocks, coming)
    adrift: list[Standing] = []
    for number in leaving.keys() | arriving.keys():
        new = arriving.get(number, [])
        pieces = _changed(blocks.pop(number, _NOBODY), leaving.get(number, ()), new)
        if len(pieces) == 1 and blocks and _is_small(pieces[0]):
            adrift += pieces[0].in_order
        elif len(pieces) == 1:
            blocks[number] = pieces[0]
            numbers.update((each.campaign_id, number) for each in new)
        else:
            for piece in pieces:
                free = 1 + max(blocks, default=-1)
                blocks[free] = piece
                numbers.update((each.campaign_id, free) for each in piece.in_order)
    if adrift:
        _change(blocks, numbers, {}, adrift)


def _shared_out(blocks: Mapping[int, Block], coming: Iterable[Standing]) -> dict[int, list[Standing]]:
    """To the block whose prices are theirs; all to one where there is none yet."""
    tops = sorted((*block.in_order[0][:2], number) for number, block in blocks.items())
    arriving: dict[int, list[Standing]] = {}
    for each in coming:
        place = max(0, bisect_right(tops, (*each[:2], inf)) - 1)
        arriving.setdefault(tops[place][2] if tops else 0, []).append(each)
    return arriving


def _changed(block: Block, leaving: Collection[str], coming: list[Standing]) -> list[Block]:
    """The block after the change, cut up if that is too large; nothing, if it is empty."""
    if len(block) - len(leaving) + len(coming) > CAMPAIGNS_MAX:
        gone = frozenset(leaving)
        return [*blocks_of([*(each for each in block.in_order if each.campaign_id not in gone), *coming])]
    changed = block.with_changes(leaving, coming)
    if changed.names > NAMES_MAX:
        return [*blocks_of(changed.in_order)]
    return [changed] if len(changed) else []


def _is_small(block: Block) -> bool:
    return len(block) * _SMALL < CAMPAIGNS_MAX and block.names * _SMALL < NAMES_MAX
