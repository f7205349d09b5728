"""Finds the campaigns that fit an imp, dearest first, without looking at the others.

Every campaign stands under its most selective kind of target (placements, else sites, countries, devices, else all),
once for each target and each size that it has an ad of. An imp looks up what it is itself: five kinds of targets and
its few sizes. What is found there is merged lazily by price, so that nobody looks at more campaigns than are asked for.

An index never changes: a change makes a new one that shares all that stayed the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from heapq import merge
from itertools import groupby
from typing import Literal, NamedTuple

from domain.currency import SAME, Rates, bid_converted
from domain.direct.campaign import LiveAd, LiveCampaign, Size

TargetKind = Literal["placement", "site", "country", "device", "all"]
Target = tuple[TargetKind, str | int]
Worth = Callable[[LiveCampaign], int]
"""CPM micros of the campaign's currency that it would bid now; 0 for one that can bid for nothing."""
_EVERYBODY: Target = ("all", "")
SPENT_LOOKED_AT_MAX = 4
"""Of campaigns without a budget on one shelf."""


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
    """A campaign that fits an imp, with its ads of one size."""

    price_micros: int
    """CPM of the auction's currency."""
    campaign: LiveCampaign
    ads: tuple[LiveAd, ...]


class Revaluation(NamedTuple):
    """How campaigns are put in order of price: anew whenever `number` is another one."""

    number: int
    worth: Worth
    is_spent: Callable[[LiveCampaign], bool]
    """Whether it has no budget left: of such ones a few are looked at, to say so, and the others are not."""


class _Standing(NamedTuple):
    """A campaign on a shelf."""

    campaign: LiveCampaign
    ads: tuple[LiveAd, ...]


class _Shelf:
    """The campaigns of one target, size and currency. Immutable, but for the order that it remembers."""

    __slots__ = ("_in_order", "_revalued", "standing")

    def __init__(self, standing: Mapping[str, _Standing]) -> None:
        self.standing = standing
        """By campaign."""
        self._in_order: list[tuple[int, _Standing]] = []
        self._revalued: int | None = None

    def in_order(self, revaluation: Revaluation) -> list[tuple[int, _Standing]]:
        """What can bid, with its worth, dearest first; of equals the older campaign."""
        if self._revalued != revaluation.number:
            valued = [(revaluation.worth(each.campaign), each) for each in self.standing.values()]
            valued.sort(key=lambda each: (-each[0], each[1].campaign.id))
            spent = [each for each in valued if revaluation.is_spent(each[1].campaign)]
            left_out = {each[1].campaign.id for each in spent[SPENT_LOOKED_AT_MAX:]}
            self._in_order = [each for each in valued if each[0] > 0 and each[1].campaign.id not in left_out]
            self._revalued = revaluation.number
        return self._in_order


_Shelves = dict[Target, dict[Size, dict[str, _Shelf]]]
"""By target, size and currency."""


class DirectIndex:
    """All campaigns that may bid."""

    __slots__ = ("_campaigns", "_shelves")

    def __init__(self, campaigns: dict[str, LiveCampaign], shelves: _Shelves) -> None:
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
        return self._changed(dict.fromkeys(campaign_ids))

    def matching(self, traffic: Traffic, *, currency: str, rates: Rates, revaluation: Revaluation) -> Iterator[Match]:
        """The campaigns whose targets the imp meets, dearest first in `currency`; of equals the older campaign.

        One with ads of several of the imp's sizes comes once for each. Flights and budgets are not looked at, and
        campaigns without a rate into the currency are left out.
        """
        runs = [
            _priced(shelf.in_order(revaluation), rate)
            for of_target in self._of_targets(traffic)
            for size in self._sizes_of(traffic, of_target)
            for stated_in, shelf in of_target[size].items()
            if (rate := rates.between(stated_in, currency)) is not None
        ]
        found = runs[0] if len(runs) == 1 else merge(*runs, key=_dearest_first)
        return (each for each in found if _is_for(each.campaign, traffic))

    def _of_targets(self, traffic: Traffic) -> Iterator[dict[Size, dict[str, _Shelf]]]:
        shelves = self._shelves
        for target in _targets_met(traffic):
            if (of_target := shelves.get(target)) is not None:
                yield of_target

    def _sizes_of(self, traffic: Traffic, of_target: Mapping[Size, object]) -> Iterable[Size]:
        if traffic.sizes is not None:
            return (size for size in traffic.sizes if size in of_target)
        return (size for size in of_target if traffic.allows_size(*size))

    def _changed(self, changes: Mapping[str, LiveCampaign | None]) -> DirectIndex:
        changes = {
            campaign_id: campaign
            for campaign_id, campaign in changes.items()
            if campaign is not None or campaign_id in self._campaigns
        }
        if not changes:
            return self
        campaigns, shelves = self._campaigns.copy(), self._shelves.copy()
        for campaign_id, campaign in changes.items():
            if campaign is None:
                del campaigns[campaign_id]
            else:
                campaigns[campaign_id] = campaign
        _refill(shelves, _moves(self._campaigns, changes))
        return DirectIndex(campaigns, shelves)


NO_CAMPAIGNS = DirectIndex({}, {})


# -- looking up ------------------------------------------------------------------------------------


def _targets_met(traffic: Traffic) -> Iterator[Target]:
    if traffic.placement_id:
        yield "placement", traffic.placement_id
    for site in traffic.sites:
        yield "site", site
    if traffic.country:
        yield "country", traffic.country
    if traffic.device_type:
        yield "device", traffic.device_type
    yield _EVERYBODY


def _priced(in_order: Iterable[tuple[int, _Standing]], rate: Decimal) -> Iterator[Match]:
    if rate is SAME:
        return (Match(worth, *standing) for worth, standing in in_order)
    return (Match(bid_converted(worth, rate), *standing) for worth, standing in in_order)


def _dearest_first(match: Match) -> tuple[int, str]:
    return -match.price_micros, match.campaign.id


def _is_for(campaign: LiveCampaign, traffic: Traffic) -> bool:
    """Whether the imp meets all of the campaign's targets, and not only the one that it stands under."""
    return (
        (not campaign.countries or traffic.country in campaign.countries)
        and (not campaign.device_types or traffic.device_type in campaign.device_types)
        and (not campaign.placement_ids or traffic.placement_id in campaign.placement_ids)
        and (not campaign.sites or any(site in campaign.sites for site in traffic.sites))
    )


# -- filling ---------------------------------------------------------------------------------------


class _Move(NamedTuple):
    """A campaign that comes to a shelf, or leaves it."""

    target: Target
    size: Size
    currency: str
    campaign_id: str
    standing: _Standing | None
    """None: it leaves."""


def _moves(before: Mapping[str, LiveCampaign], changes: Mapping[str, LiveCampaign | None]) -> Iterator[_Move]:
    """First all that leave, then all that come."""
    for campaign_id in changes:
        if (old := before.get(campaign_id)) is not None:
            yield from (move._replace(standing=None) for move in _places_of(old))
    for new in changes.values():
        if new is not None:
            yield from _places_of(new)


def _places_of(campaign: LiveCampaign) -> Iterator[_Move]:
    """One that targets segments stands nowhere: nobody is known to be in a segment."""
    if campaign.terms.targeting.segments:
        return
    by_size = {
        size: _Standing(campaign, tuple(ads)) for size, ads in groupby(sorted(campaign.ads, key=_size_of), key=_size_of)
    }
    for target in _targets_of(campaign):
        for size, standing in by_size.items():
            yield _Move(target, size, campaign.terms.currency, campaign.id, standing)


def _size_of(ad: LiveAd) -> Size:
    return ad.terms.width, ad.terms.height


def _targets_of(campaign: LiveCampaign) -> Iterable[Target]:
    """The most selective kind of its targets."""
    if campaign.placement_ids:
        return (("placement", each) for each in campaign.placement_ids)
    if campaign.sites:
        return (("site", each) for each in campaign.sites)
    if campaign.countries:
        return (("country", each) for each in campaign.countries)
    if campaign.device_types:
        return (("device", each) for each in campaign.device_types)
    return (_EVERYBODY,)


def _refill(shelves: _Shelves, moves: Iterable[_Move]) -> None:
    """Makes every shelf anew that a move is about, once for all of its moves, and nothing of the old ones changes."""
    touched: dict[tuple[Target, Size, str], dict[str, _Standing]] = {}
    for move in moves:
        place = move.target, move.size, move.currency
        standing = touched.get(place)
        if standing is None:
            shelf = shelves.get(move.target, {}).get(move.size, {}).get(move.currency)
            standing = touched[place] = {} if shelf is None else dict(shelf.standing)
        if move.standing is None:
            standing.pop(move.campaign_id, None)
        else:
            standing[move.campaign_id] = move.standing
    for target in {target for target, _, _ in touched}:
        shelves[target] = {size: dict(by_currency) for size, by_currency in shelves.get(target, {}).items()}
    for (target, size, currency), standing in touched.items():
        _put(shelves, target, size, currency, standing)


def _put(shelves: _Shelves, target: Target, size: Size, currency: str, standing: dict[str, _Standing]) -> None:
    """A shelf that holds nothing any more goes, and with it what held nothing else."""
    of_target = shelves.setdefault(target, {})
    of_size = of_target.setdefault(size, {})
    of_size.pop(currency, None)
    if standing:
        of_size[currency] = _Shelf(standing)
        return
    if not of_size:
        del of_target[size]
    if not of_target:
        del shelves[target]
