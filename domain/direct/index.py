"""Finds the campaigns that fit an imp, dearest first, without looking at the others.

A campaign stands under the combinations of its targets (placement, site, country, device), in each size that it has an
ad of; where it has no target of a kind, or too many of them, under none. An imp looks up the combinations of what it is
itself with none of a kind, some twenty of them, and what is found there is merged lazily by price. So it takes hardly
longer to find the dearest few among a hundred thousand than among a thousand.

An index never changes: a change makes a new one that shares all that stayed the same.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from heapq import merge
from itertools import groupby, product
from math import prod
from typing import Any, Final, NamedTuple

from domain.currency import SAME, Rates, bid_converted
from domain.direct.campaign import LiveAd, LiveCampaign, Size
from domain.direct.shards import Shards

Target = tuple[str, str, str, int]
"""Placement, site, country and device type; empty or 0: all."""
COMBINATIONS_MAX: Final = 4
"""Of one campaign's targets, unless its most selective kind alone has more of them.

Kinds of targets that would make it more are looked at when the campaign is found: a combination costs memory.
"""


class Traffic(NamedTuple):
    """What campaigns target of an imp. Unknown is empty or 0, and no target."""

    placement_id: str
    sites: Sequence[str]
    """The site's domain and those above it, or the app."""
    country: str
    device_type: int
    allows_size: Callable[[int, int], bool]
    sizes: Sequence[Size] | None
    """All that are allowed; None: only `allows_size` knows."""


class Match(NamedTuple):
    """A campaign that fits an imp, with its ads of one size. In this order the dearest is the least."""

    minus_price_micros: int
    """CPM of the auction's currency, with a minus before it."""
    campaign_id: str
    first_ad_id: str
    campaign: LiveCampaign
    ads: tuple[LiveAd, ...]


class Revaluation(NamedTuple):
    """What campaigns that pay for clicks are worth now; they are put in order anew whenever `number` is another one."""

    number: int
    worth: Callable[[LiveCampaign], int]
    """CPM micros of the campaign's currency."""


class _Shelf:
    """The campaigns of one target, size, currency and way to pay. Immutable, but for the order that it remembers."""

    __slots__ = ("_in_order", "_revalued", "by_bid")

    def __init__(self, by_bid: list[Match]) -> None:
        self.by_bid = by_bid
        """What they bid at most, for an impression or a click, stands in the place of the price."""
        self._in_order: list[Match] = []
        self._revalued: int | None = None

    def revalued(self, revaluation: Revaluation) -> list[Match]:
        """Campaigns that pay for clicks, by what an impression is worth to them."""
        if self._revalued != revaluation.number:
            worth = revaluation.worth
            self._in_order = sorted(Match(-worth(each[3]), *each[1:]) for each in self.by_bid)
            self._revalued = revaluation.number
        return self._in_order


class _Kind(NamedTuple):
    """What prices can be compared by."""

    currency: str
    pays_for_clicks: bool


_OfTarget = dict[tuple[Size, _Kind], _Shelf]


class DirectIndex:
    """All campaigns that may bid."""

    __slots__ = ("_campaigns", "_shelves")

    def __init__(self, campaigns: Shards[str, LiveCampaign], shelves: Shards[Target, _OfTarget]) -> None:
        """Begin with NO_CAMPAIGNS: the two arguments belong together, and to the index alone."""
        self._campaigns = campaigns
        self._shelves = shelves

    def __repr__(self) -> str:
        return f"DirectIndex(campaigns={len(self._campaigns)})"

    def __len__(self) -> int:
        return len(self._campaigns)

    def campaign(self, campaign_id: str) -> LiveCampaign | None:
        return self._campaigns.get(campaign_id)

    def with_campaigns(self, campaigns: Iterable[LiveCampaign]) -> DirectIndex:
        """With these, in the place of those with the same ids. Cheap for many at once: pass what changed together."""
        return self._changed({each.id: each for each in campaigns})

    def without(self, campaign_ids: Iterable[str]) -> DirectIndex:
        """Without these; an id that it does not hold is passed over."""
        return self._changed({each: None for each in campaign_ids if self._campaigns.get(each) is not None})

    def matching(self, traffic: Traffic, *, currency: str, rates: Rates, revaluation: Revaluation) -> Iterator[Match]:
        """The campaigns whose targets the imp meets, dearest first in `currency`; of equals the older campaign.

        One with ads of several of the imp's sizes comes once for each. Flights and budgets are not looked at, and
        campaigns without a rate into the currency are left out.
        """
        allowed = None if traffic.sizes is None else frozenset(traffic.sizes)
        runs = [
            _priced(shelf.revalued(revaluation) if kind.pays_for_clicks else shelf.by_bid, rate)
            for of_target in self._of_targets(traffic)
            for (size, kind), shelf in of_target.items()
            if (size in allowed if allowed is not None else traffic.allows_size(*size))
            and (rate := rates.between(kind.currency, currency)) is not None
        ]
        found: Iterable[Match] = runs[0] if len(runs) == 1 else merge(*runs)
        return (each for each in found if _is_for(each.campaign, traffic))

    def _of_targets(self, traffic: Traffic) -> Iterator[_OfTarget]:
        shelves = self._shelves
        for target in product(
            ("", traffic.placement_id) if traffic.placement_id else ("",),
            ("", *traffic.sites),
            ("", traffic.country) if traffic.country else ("",),
            (0, traffic.device_type) if traffic.device_type else (0,),
        ):
            if (of_target := shelves.get(target)) is not None:
                yield of_target

    def _changed(self, changes: Mapping[str, LiveCampaign | None]) -> DirectIndex:
        if not changes:
            return self
        shelves = _refilled_shelves(self._shelves, _moves(self._campaigns, changes))
        return DirectIndex(self._campaigns.with_changes(changes), shelves)


NO_CAMPAIGNS = DirectIndex(Shards(), Shards())


# -- looking up ------------------------------------------------------------------------------------


def _priced(in_order: list[Match], rate: Decimal) -> Iterable[Match]:
    if rate is SAME:
        return in_order
    return (Match(-bid_converted(-each[0], rate), *each[1:]) for each in in_order)


def _is_for(campaign: LiveCampaign, traffic: Traffic) -> bool:
    """Whether the imp meets all of the campaign's targets, also where it does not stand under each of them."""
    return (
        (not campaign.countries or traffic.country in campaign.countries)
        and (not campaign.device_types or traffic.device_type in campaign.device_types)
        and (not campaign.placement_ids or traffic.placement_id in campaign.placement_ids)
        and (not campaign.sites or any(site in campaign.sites for site in traffic.sites))
    )


# -- filling ---------------------------------------------------------------------------------------


_Place = tuple[Target, tuple[Size, _Kind]]
"""A shelf."""


class _Moves(NamedTuple):
    """What leaves a shelf, and what comes to it."""

    leaving: list[Match]
    coming: list[Match]


def _moves(before: Shards[str, LiveCampaign], changes: Mapping[str, LiveCampaign | None]) -> dict[_Place, _Moves]:
    moves: dict[_Place, _Moves] = {}
    for campaign_id, new in changes.items():
        if (old := before.get(campaign_id)) is not None:
            for place, match in _places_of(old):
                moves.setdefault(place, _Moves([], [])).leaving.append(match)
        if new is not None:
            for place, match in _places_of(new):
                moves.setdefault(place, _Moves([], [])).coming.append(match)
    return moves


def _places_of(campaign: LiveCampaign) -> Iterator[tuple[_Place, Match]]:
    """One that targets segments stands nowhere: nobody is known to be in a segment."""
    terms = campaign.terms
    if terms.targeting.segments:
        return
    kind = _Kind(terms.currency, campaign.pays_for_clicks)
    bid = terms.click_bid_nanos or terms.bid_micros
    by_size = [(size, tuple(ads)) for size, ads in groupby(sorted(campaign.ads, key=_size_of), key=_size_of)]
    for target in _targets_of(campaign):
        for size, ads in by_size:
            yield (target, (size, kind)), Match(-bid, campaign.id, ads[0].id, campaign, ads)


def _size_of(ad: LiveAd) -> Size:
    return ad.terms.width, ad.terms.height


def _targets_of(campaign: LiveCampaign) -> Iterable[Target]:
    """The combinations of its targets, the most selective kinds first, as far as there are not too many."""
    kept: list[Collection[Any]] = []
    for targets, none in (
        (campaign.placement_ids, ""),
        (campaign.sites, ""),
        (campaign.countries, ""),
        (campaign.device_types, 0),
    ):
        combinations = prod(map(len, kept))
        is_first = combinations == 1
        kept.append(targets if targets and (is_first or combinations * len(targets) <= COMBINATIONS_MAX) else (none,))
    return product(*kept)


def _refilled_shelves(shelves: Shards[Target, _OfTarget], moves: Mapping[_Place, _Moves]) -> Shards[Target, _OfTarget]:
    """Every shelf anew that a move is about; what holds nothing any more is gone."""
    changes: dict[Target, _OfTarget | None] = {}
    for (target, place), moving in moves.items():
        of_target = changes.get(target)
        if of_target is None:
            of_target = changes[target] = dict(shelves.get(target) or {})
        shelf = of_target.pop(place, None)
        by_bid = _refilled([] if shelf is None else shelf.by_bid, moving)
        if by_bid:
            of_target[place] = _Shelf(by_bid)
    return shelves.with_changes({target: of_target or None for target, of_target in changes.items()})


def _refilled(by_bid: list[Match], moving: _Moves) -> list[Match]:
    by_bid = by_bid.copy()
    for each in moving.leaving:
        del by_bid[bisect_left(by_bid, each[:3], key=_standing)]
    if len(moving.coming) == 1:
        insort(by_bid, moving.coming[0], key=_standing)
    elif moving.coming:
        by_bid += moving.coming
        by_bid.sort(key=_standing)
    return by_bid


def _standing(match: Match) -> tuple[int, str, str]:
    return match[:3]
