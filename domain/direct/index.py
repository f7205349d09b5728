"""Finds the campaigns that fit an imp, dearest first, without looking at the others.

Campaigns stand in blocks, in the order of their prices. A block has a mask of bits for every target, which says which
of its campaigns have it; an imp's masks, joined, are the campaigns that fit. So a look-up costs some microseconds for
each of the blocks that it comes to, whatever the campaigns target, and it ends with the block that has enough of them.

An index never changes: a change makes a new one that shares all that stayed the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from heapq import merge
from typing import Final, NamedTuple

from domain.currency import SAME, Rates, bid_converted
from domain.direct.block import CAMPAIGNS_MAX, Block, Standing
from domain.direct.budget import NOTHING_SPENT
from domain.direct.campaign import LiveAd, LiveCampaign
from domain.direct.price import worth_micros
from domain.direct.run import Revaluation, Run
from domain.direct.shards import Shards
from domain.direct.sought import NOTHING_SOUGHT, SegmentsSought
from domain.direct.targets import CAPPED, SizesSought, Traffic, advertiser_name, names_sought


class Match(NamedTuple):
    """A campaign that fits an imp, with its ads of one size. In this order the dearest is the least."""

    minus_price_micros: int
    """CPM of the auction's currency, with a minus before it."""
    campaign_id: str
    first_ad_id: str
    campaign: LiveCampaign
    ads: tuple[LiveAd, ...]
    block: Block
    """Where it stands, and may be laid to rest."""


class _Kind(NamedTuple):
    """What prices can be compared by."""

    currency: str
    pays_for_clicks: bool


class _Place(NamedTuple):
    """A campaign, and the block of its run that it stands in."""

    campaign: LiveCampaign
    number: int


class Matches:
    """The campaigns whose targets an imp meets, dearest first; of equals the older campaign.

    One with ads of several of the imp's sizes comes once for each. Flights and budgets are not looked at, unless it is
    asked for; campaigns without a rate into the auction's currency are left out.
    """

    def __init__(self, runs: Iterable[tuple[Run, Decimal]], traffic: Traffic) -> None:
        """Each run with the rate that its prices are multiplied by."""
        self._runs = runs
        self._sought = names_sought(traffic)
        self._sizes = SizesSought(traffic)
        self._passed_over: set[str] | None = None
        """The names of those that are, beside those that rest; None: nobody is."""
        self._is_settled = False

    def __iter__(self) -> Iterator[Match]:
        priced = [self._priced(run, rate) for run, rate in self._runs]
        for minus_price, campaign_id, campaign, block in priced[0] if len(priced) == 1 else merge(*priced):
            if self._passed_over is not None and block.has(block.hidden(self._passed_over), campaign_id):
                continue
            self._is_settled = False
            for ads in self._sizes.ads_of(campaign):
                yield Match(minus_price, campaign_id, ads[0].id, campaign, ads, block)
                if self._is_settled:
                    break

    def settle(self) -> None:
        """Leaves out the other sizes of the campaign that came last."""
        self._is_settled = True

    def pass_over_those_at_rest(self, *, capped: bool) -> None:
        """From now on campaigns that rest are left out; with `capped` those with a frequency cap as well."""
        self._pass_over({CAPPED} if capped else ())

    def pass_over_advertiser_of(self, campaign: LiveCampaign) -> None:
        """From now on the advertiser's campaigns are left out, and those that rest; the one that came last as well."""
        self.settle()
        self._pass_over((advertiser_name(campaign),))

    def _pass_over(self, names: Iterable[str]) -> None:
        self._passed_over = (self._passed_over or set()).union(names)

    def _priced(self, run: Run, rate: Decimal) -> Iterator[tuple[int, str, LiveCampaign, Block]]:
        for (minus_price, campaign_id, campaign), block in run.picked(self._fitting):
            minus = minus_price if rate is SAME else -bid_converted(-minus_price, rate)
            yield minus, campaign_id, campaign, block

    def _fitting(self, block: Block) -> int:
        mask = block.fitting(self._sought, self._sizes)
        return mask if self._passed_over is None or not mask else mask & ~block.hidden(self._passed_over)


class DirectIndex:
    """All campaigns that may bid."""

    __slots__ = ("_places", "_runs", "sought")

    def __init__(self, places: Shards[str, _Place], runs: Mapping[_Kind, Run], sought: SegmentsSought) -> None:
        """Begin with NO_CAMPAIGNS: the arguments belong together, and to the index alone."""
        self._places = places
        self._runs = runs
        self.sought = sought
        """The segments that its campaigns are for."""

    def __repr__(self) -> str:
        return f"DirectIndex(campaigns={len(self._places)})"

    def __len__(self) -> int:
        return len(self._places)

    def campaign(self, campaign_id: str) -> LiveCampaign | None:
        place = self._places.get(campaign_id)
        return None if place is None else place.campaign

    def with_campaigns(self, campaigns: Iterable[LiveCampaign]) -> DirectIndex:
        """With these, in the place of those with the same ids. Cheap for many at once: pass what changed together."""
        return self._changed({each.id: each for each in campaigns})

    def without(self, campaign_ids: Iterable[str]) -> DirectIndex:
        """Without these; an id that it does not hold is passed over."""
        return self._changed({each: None for each in campaign_ids if self._places.get(each) is not None})

    def matching(self, traffic: Traffic, *, currency: str, rates: Rates, revaluation: Revaluation) -> Matches:
        """The campaigns that fit the imp, at prices in `currency`; a few that time has changed are looked after."""
        runs = [
            (run, rate)
            for kind, run in self._runs.items()
            if (rate := rates.between(kind.currency, currency)) is not None
        ]
        if due := [run for run, _ in runs if run.is_due(revaluation.at)]:
            _look_after(due, revaluation)
        return Matches(runs, traffic)

    def _changed(self, changes: Mapping[str, LiveCampaign | None]) -> DirectIndex:
        if not changes:
            return self
        places: dict[str, _Place | None] = {}
        left: list[LiveCampaign] = []
        leaving: dict[_Kind, dict[int, list[str]]] = {}
        coming: dict[_Kind, list[Standing]] = {}
        for campaign_id, new in changes.items():
            old = self._places.get(campaign_id)
            if old is not None:
                left.append(old.campaign)
                leaving.setdefault(_kind_of(old.campaign), {}).setdefault(old.number, []).append(campaign_id)
            if new is not None:
                coming.setdefault(_kind_of(new), []).append(Standing(-self._price_of(new, old), campaign_id, new))
            places[campaign_id] = None if new is None else _Place(new, _NOWHERE)
        runs = dict(self._runs)
        for kind in leaving.keys() | coming.keys():
            run = runs.pop(kind, None) or Run(pays_for_clicks=kind.pays_for_clicks)
            run, numbers = run.with_changes(leaving.get(kind, {}), coming.get(kind, ()))
            if len(run):
                runs[kind] = run
            for campaign_id, number in numbers.items():
                if (place := places.get(campaign_id) or self._places.get(campaign_id)) is not None:
                    places[campaign_id] = place._replace(number=number)
        sought = self.sought.with_changes(left, filter(None, changes.values()))
        return DirectIndex(self._places.with_changes(places), runs, sought)

    def _price_of(self, new: LiveCampaign, old: _Place | None) -> int:
        """What it bids, CPM micros of its currency; for a click as much as it was last worth, until it is valued."""
        kind, click_bid = _kind_of(new), new.terms.click_bid_nanos
        if old is None or not click_bid or kind != _kind_of(old.campaign):
            return worth_micros(new.terms, NOTHING_SPENT)
        worth = self._runs[kind].price_of(old.number, new.id)
        return worth * click_bid // old.campaign.terms.click_bid_nanos


_NOWHERE: Final = -1
NO_CAMPAIGNS = DirectIndex(Shards(), {}, NOTHING_SOUGHT)


def _look_after(runs: Iterable[Run], revaluation: Revaluation) -> None:
    """One block of each, those first that have waited longest, until they are half a block's campaigns."""
    campaigns = 0
    for run in sorted(runs, key=_looked_after_at):
        campaigns += run.look_after(revaluation)
        if campaigns >= CAMPAIGNS_MAX // 2:
            break


def _looked_after_at(run: Run) -> float:
    return run.looked_after_at


def _kind_of(campaign: LiveCampaign) -> _Kind:
    return _Kind(campaign.terms.currency, campaign.pays_for_clicks)
