"""Some hundred campaigns that stand next to one another in price, and a bit for each in the masks of all it targets.

To find those that fit an imp takes some twenty operations on whole numbers, whatever the campaigns target and however
many of them fit; the dearest are then taken one by one.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Any, Final, NamedTuple

from domain.direct.campaign import LiveCampaign, Size
from domain.direct.targets import SizesSought, names_of

CAMPAIGNS_MAX: Final = 1_024
"""More make a look-up cheaper, and a change dearer: it copies the block."""
NAMES_MAX: Final = 16_384
"""That the campaigns of a block stand under, unless it is one campaign alone."""
_SPARSE: Final = 16
"""Where fewer than one in so many fit they are put in order, else picked out of the order of all."""


class Standing(NamedTuple):
    """A campaign in its place. In this order the dearest is the least, and no two are equal."""

    minus_price_micros: int
    """CPM of the campaign's currency, with a minus before it."""
    campaign_id: str
    campaign: LiveCampaign


class Block:
    """Immutable, but for what it remembers: what its campaigns are worth at the moment, and which of them rest."""

    __slots__ = ("_free", "_masks", "_resting", "_sizes", "_slot_of", "_slots", "in_order")

    def __init__(self, standings: Iterable[Standing] = ()) -> None:
        self._masks: dict[str, int] = {}
        self._sizes: dict[Size, int] = {}
        self._slot_of: dict[str, int] = {}
        self._slots: list[Standing | None] = []
        """What a bit of a mask stands for."""
        self._free: list[int] = []
        self._resting = 0
        for each in standings:
            self._add(each)
        self.in_order = sorted(filter(None, self._slots))

    def __len__(self) -> int:
        return len(self._slot_of)

    @property
    def names(self) -> int:
        """Under how many its campaigns stand."""
        return len(self._masks) + len(self._sizes)

    def price_of(self, campaign_id: str) -> int:
        """CPM micros of its currency, as last valued."""
        standing = self._slots[self._slot_of[campaign_id]]
        assert standing is not None, "a slot that is somebody's is not free"
        return -standing.minus_price_micros

    def with_changes(self, leaving: Iterable[str], coming: Iterable[Standing]) -> Block:
        """Without these campaigns, then with those."""
        block = Block()
        block._masks, block._sizes, block._slot_of = self._masks.copy(), self._sizes.copy(), self._slot_of.copy()
        block._slots, block._free, block._resting = self._slots.copy(), self._free.copy(), self._resting
        for campaign_id in leaving:
            block._remove(campaign_id)
        for standing in coming:
            block._add(standing)
        block.in_order = sorted(filter(None, block._slots))
        return block

    # -- looking up --------------------------------------------------------------------------------

    def fitting(self, sought: Iterable[Iterable[str]], sizes: SizesSought) -> int:
        """The mask of the campaigns that stand under a name of each group, and have an ad of one of the sizes."""
        masks, found = self._masks, -1
        for names in sought:
            of_group = 0
            for name in names:
                if (mask := masks.get(name)) is not None:
                    of_group |= mask
            found &= of_group
            if not found:
                return 0
        return found & sizes.union(self._sizes)

    def hidden(self, names: Iterable[str]) -> int:
        """The mask of the campaigns that rest or stand under one of these names."""
        found = self._resting
        for name in names:
            found |= self._masks.get(name, 0)
        return found

    def has(self, mask: int, campaign_id: str) -> bool:
        """Whether the mask has this campaign of the block."""
        return bool(mask >> self._slot_of[campaign_id] & 1)

    def picked(self, mask: int) -> Iterator[Standing]:
        """The campaigns of the mask, dearest first."""
        if mask.bit_count() * _SPARSE < len(self._slot_of):
            return iter(sorted(self._of(mask)))
        slot_of = self._slot_of
        return (each for each in self.in_order if mask >> slot_of[each[1]] & 1)

    def _of(self, mask: int) -> Iterator[Standing]:
        while mask:
            lowest = mask & -mask
            mask ^= lowest
            standing = self._slots[lowest.bit_length() - 1]
            if standing is not None:
                yield standing

    # -- what it remembers -------------------------------------------------------------------------

    def rest(self, campaign_id: str) -> None:
        """Remembers that the campaign cannot bid for anything at the moment."""
        self._resting |= 1 << self._slot_of[campaign_id]

    def wake(self, rests: Callable[[LiveCampaign], bool]) -> None:
        """Forgets it of those that need not rest any more."""
        for each in self._of(self._resting):
            if not rests(each.campaign):
                self._resting &= ~(1 << self._slot_of[each.campaign_id])

    def revalue(self, worth: Callable[[LiveCampaign], int]) -> None:
        """Puts its campaigns in order by what they are worth now, CPM micros of their currency."""
        slots = [each and _at_price(each, worth(each.campaign)) for each in self._slots]
        if slots != self._slots:
            # Replaced, not changed: look-ups that are under way go on with the old ones.
            self._slots = slots
            self.in_order = sorted(filter(None, slots))

    # -- filling -----------------------------------------------------------------------------------

    def _add(self, standing: Standing) -> None:
        if self._free:
            slot = self._free.pop()
            self._slots[slot] = standing
        else:
            slot = len(self._slots)
            self._slots.append(standing)
        self._slot_of[standing.campaign_id] = slot
        bit = 1 << slot
        for name in names_of(standing.campaign):
            self._masks[name] = self._masks.get(name, 0) | bit
        for size in standing.campaign.ads_of_size:
            self._sizes[size] = self._sizes.get(size, 0) | bit

    def _remove(self, campaign_id: str) -> None:
        slot = self._slot_of.pop(campaign_id)
        standing = self._slots[slot]
        assert standing is not None, "a slot that is somebody's is not free"
        self._slots[slot] = None
        self._free.append(slot)
        others = ~(1 << slot)
        self._resting &= others
        for name in names_of(standing.campaign):
            _lessen(self._masks, name, others)
        for size in standing.campaign.ads_of_size:
            _lessen(self._sizes, size, others)


def _at_price(standing: Standing, micros: int) -> Standing:
    """The very same one where nothing has changed."""
    return standing if standing.minus_price_micros == -micros else standing._replace(minus_price_micros=-micros)


def _lessen(masks: dict[Any, int], key: Any, others: int) -> None:
    masks[key] &= others
    if not masks[key]:
        del masks[key]


def blocks_of(standings: Collection[Standing]) -> Iterator[Block]:
    """As few as hold them all and leave some room, next to one another in price."""
    pieces = -(-len(standings) // (CAMPAIGNS_MAX * 3 // 4))
    piece: list[Standing] = []
    names = 0
    for each in sorted(standings):
        more = sum(1 for _ in names_of(each.campaign)) + len(each.campaign.ads_of_size)
        if piece and (len(piece) * pieces >= len(standings) or names + more > NAMES_MAX // 2):
            yield Block(piece)
            piece, names = [], 0
        piece.append(each)
        names += more
    if piece:
        yield Block(piece)
