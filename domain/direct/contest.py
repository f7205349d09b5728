"""What the campaigns bid for one imp: the best ad is the bid of them all, the next ones stand ready behind it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from itertools import chain, islice
from typing import Final

import msgspec

from domain.bid_rules.refusal import Refusal, clip
from domain.bids import Admitted, judge
from domain.catalogue import SegmentTarget
from domain.currency import bid_converted
from domain.direct.ad_bid import bid_of, with_members
from domain.direct.bidder import DIRECT
from domain.direct.book import Book
from domain.direct.budget import BudgetState
from domain.direct.campaign import LiveAd, LiveCampaign
from domain.direct.index import Match, Matches
from domain.direct.restraint import not_reserved, restraint, rests
from domain.direct.targets import Traffic
from domain.domain_names import names_above
from domain.event_parts import DirectDemand, OtherBid
from domain.imp_floors import listed_sizes
from domain.limits import (
    ADS_JUDGED_MAX,
    ADS_JUDGED_PER_ADVERTISER_MAX,
    CAMPAIGNS_HELD_BACK_MAX,
    CAMPAIGNS_LOOKED_AT_MAX,
    CAMPAIGNS_STANDING_MAX,
    CAMPAIGNS_TOLD_MAX,
)
from domain.openrtb.codes import LossReason, NonBidStatus
from domain.openrtb.parse import ParsedBid
from domain.outcomes import DirectBid, Missed, Outcome, Placed
from domain.sale import ImpOnSale, Sale
from domain.skip import Skip

_NO_MATCH: Final = Missed(
    "no_bid",
    NonBidStatus.NO_BID,
    "No campaign is for this imp: those that are active and in their flight target something else, have no ad of its"
    " size, or no rate into the auction's currency.",
)
_BANNERS_ONLY: Final = Skip(NonBidStatus.MEDIA_TYPE_UNSUPPORTED, "Not asked: campaigns have banners only.")
_PRIVATE: Final = Skip(NonBidStatus.REQUEST_BLOCKED, "Not asked: the auction is private, and campaigns have no deals.")
_NO_SEAT: Final = Skip(
    NonBidStatus.REQUEST_BLOCKED, "Not asked: only named seats may buy (wseat), campaigns have none."
)


class Contender(msgspec.Struct, frozen=True, gc=False):
    """A campaign's ad that may win the imp."""

    campaign: LiveCampaign
    ad: LiveAd
    bid: ParsedBid
    admitted: Admitted


class Withheld(msgspec.Struct, frozen=True, gc=False):
    """A campaign that fits the imp and does not bid for it."""

    campaign: LiveCampaign
    ad: LiveAd
    why: Refusal
    price_micros: int
    """What it would bid, CPM of the auction's currency."""

    @property
    def told(self) -> OtherBid:
        return _told(self.ad, self.why, self.price_micros)


class Contest(msgspec.Struct, frozen=True):
    """The campaigns' standing in one imp."""

    imp_id: str
    currency: str
    """The auction's."""
    contenders: tuple[Contender, ...]
    """Dearest first."""
    withheld: tuple[Withheld, ...]
    """The first of those that do not bid, and why."""
    person: str
    segments: tuple[SegmentTarget, ...]
    """That the viewer is known to be in."""

    def outcome(self) -> Outcome:
        """Of the bidder `direct`."""
        if not self.contenders:
            return self._missed()
        best, *beaten = self.contenders
        behind = [_told(each.ad, _beaten(each.campaign), each.admitted.price_micros) for each in beaten]
        behind += [each.told for each in self.withheld]
        direct = DirectBid(_demand(best, self), best.campaign, best.ad)
        return Placed(with_members(best.bid), best.admitted, None, tuple(behind), direct=direct)

    def without_best(self, why: str) -> Contest:
        """Once the best one's award could not be reserved, for the reason that `why` says in a sentence."""
        best, *left = self.contenders
        withheld = Withheld(best.campaign, best.ad, not_reserved(best.campaign, why), best.admitted.price_micros)
        return msgspec.structs.replace(self, contenders=tuple(left), withheld=(withheld, *self.withheld))

    def _missed(self) -> Missed:
        if not self.withheld:
            return _NO_MATCH
        first, *others = self.withheld
        return Missed(
            "refused",
            first.why.code,
            first.why.reason,
            bid_of(first.ad, first.campaign, self.imp_id, first.price_micros),
            first.ad.id,
            self.currency,
            others=tuple(each.told for each in others),
        )


def reason_to_skip(sale: Sale, for_sale: ImpOnSale) -> Skip | None:
    """The first reason for campaigns not to bid for the imp at all; None: they may."""
    if for_sale.closed is not None:
        return for_sale.closed
    if "banner" not in for_sale.media_types:
        return _BANNERS_ONLY
    if for_sale.is_private:
        return _PRIVATE
    return _NO_SEAT if sale.seats_allowed else None


def traffic_of(sale: Sale, for_sale: ImpOnSale, segments: Sequence[SegmentTarget] = ()) -> Traffic:
    """What campaigns target of the imp; `segments` are the viewer's."""
    inventory, banner = for_sale.inventory, for_sale.imp.banner
    sizes = listed_sizes(for_sale.imp, None if for_sale.placement is None else for_sale.placement.terms)
    formats = (banner.format if banner is not None else None) or ()
    has_proportions = any(each.wratio and each.hratio for each in formats)
    is_flexible = for_sale.imp.instl == 1 or has_proportions
    is_app = sale.request.app is not None
    return Traffic(
        inventory.placement_id,
        (inventory.site,) if is_app else names_above(inventory.site),
        inventory.country,
        inventory.device_type,
        for_sale.allows_size if sizes or has_proportions else None,
        tuple(dict.fromkeys(sizes)) if sizes and not is_flexible else None,
        segments,
    )


def contest(
    matches: Matches,
    sale: Sale,
    for_sale: ImpOnSale,
    book: Book,
    *,
    now: datetime,
    person: str,
    turn: int,
    segments: tuple[SegmentTarget, ...] = (),
) -> Contest:
    """Judges the campaigns in their order until enough may win; `turn` decides between ads of one campaign.

    `segments` are those that `matches` were looked for by.

    Those whose price is below the imp's lowest floor are not looked at any more, but for the first of them. Many that
    are held back, or are one advertiser's and refused, do not keep the others from bidding: more of their like are
    passed over.
    """
    looking = _Looking(matches, sale, for_sale, book, now=now, person=person, turn=turn)
    for match in islice(matches, CAMPAIGNS_LOOKED_AT_MAX):
        if looking.has_enough_with(match):
            break
    # What campaigns bid now may be another order than that of some seconds ago.
    looking.contenders.sort(key=lambda each: -each.admitted.price_micros)
    contenders, withheld = tuple(looking.contenders), tuple(looking.withheld)
    return Contest(for_sale.imp.id, sale.currency, contenders, withheld, person, segments)


class _Looking:
    """At the campaigns that fit an imp, one after the other."""

    def __init__(
        self, matches: Matches, sale: Sale, for_sale: ImpOnSale, book: Book, *, now: datetime, person: str, turn: int
    ) -> None:
        self.contenders: list[Contender] = []
        self.withheld: list[Withheld] = []
        self._matches = matches
        self._sale, self._for_sale, self._book = sale, for_sale, book
        self._now, self._person, self._turn = now, person, turn
        self._timestamp = now.timestamp()
        self._held_back = 0
        self._refused = 0
        self._refused_of: Counter[str] = Counter()
        """Ads that were refused, by advertiser and, above, of all."""

    def has_enough_with(self, match: Match) -> bool:
        """Takes the campaign up; returns whether none behind it needs to be looked at."""
        campaign = match.campaign
        if not campaign.runs_at(self._timestamp):
            self._hold_back(match, None)
            return False
        state = self._book.state_of(campaign.id)
        if len(self.withheld) == CAMPAIGNS_TOLD_MAX and rests(campaign, state, self._now):
            self._hold_back(match, None)
        elif (why := self._restraint(campaign, state)) is not None:
            self._hold_back(match, why)
        else:
            self._judge(match)
        lowest_floor = self._for_sale.floor.micros
        is_below = lowest_floor is None or -match.minus_price_micros < lowest_floor
        return is_below or len(self.contenders) == CAMPAIGNS_STANDING_MAX or self._refused >= ADS_JUDGED_MAX

    def _restraint(self, campaign: LiveCampaign, state: BudgetState) -> Refusal | None:
        refused_lately = self._book.refusal_of(campaign, self._person, self._now)
        return restraint(campaign, state, self._now, self._person, refused_lately)

    def _hold_back(self, match: Match, why: Refusal | None) -> None:
        """None: there is nothing to tell."""
        campaign = match.campaign
        self._matches.settle()
        if why is not None:
            self._withhold(Withheld(campaign, match.ads[0], why, -match.minus_price_micros))
        if rests(campaign, self._book.state_of(campaign.id), self._now):
            match.block.rest(campaign.id)
        self._held_back += 1
        if self._held_back == CAMPAIGNS_HELD_BACK_MAX:
            self._matches.pass_over_those_at_rest(capped=not self._person)

    def _judge(self, match: Match) -> None:
        """The first of the ads, beginning with the one whose turn it is, that is admitted; or why none is."""
        campaign = match.campaign
        advertiser_id, currency = campaign.terms.advertiser_id, campaign.terms.currency
        worth_micros, first = self._book.worth(campaign), self._turn % len(match.ads)
        withheld: Withheld | None = None
        for ad in islice(chain(match.ads[first:], match.ads[:first]), ADS_JUDGED_PER_ADVERTISER_MAX):
            bid = bid_of(ad, campaign, self._for_sale.imp.id, worth_micros)
            verdict = judge(bid, DIRECT, self._sale, self._for_sale, currency)
            if isinstance(verdict, Admitted):
                self._matches.settle()
                self.contenders.append(Contender(campaign, ad, bid, verdict))
                return
            withheld = withheld or Withheld(campaign, ad, verdict, -match.minus_price_micros)
            self._refused += 1
            self._refused_of[advertiser_id] += 1
        assert withheld is not None, "a campaign stands in the index for its ads"
        self._withhold(withheld)
        if self._refused_of[advertiser_id] >= ADS_JUDGED_PER_ADVERTISER_MAX:
            self._matches.pass_over_advertiser_of(campaign)

    def _withhold(self, withheld: Withheld) -> None:
        if len(self.withheld) < CAMPAIGNS_TOLD_MAX:
            self.withheld.append(withheld)


def _beaten(campaign: LiveCampaign) -> Refusal:
    why = f"Another campaign's bid goes before that of the campaign {clip(campaign.terms.name)!r}."
    return Refusal(LossReason.LOST_TO_HIGHER_BID, why)


def _told(ad: LiveAd, refusal: Refusal, price_micros: int) -> OtherBid:
    return OtherBid(bid_id=ad.id, code=refusal.code, reason=refusal.reason, price_micros=price_micros)


def _demand(best: Contender, of: Contest) -> DirectDemand:
    terms = best.campaign.terms
    stated = best.admitted.stated
    click_price = terms.click_bid_nanos
    if click_price and stated is not None:
        click_price = bid_converted(click_price, Decimal(stated.rate))
    return DirectDemand(
        advertiser_id=terms.advertiser_id,
        campaign_id=best.campaign.id,
        ad_id=best.ad.id,
        charged_on="click" if terms.click_bid_nanos else "impression",
        click_price_nanos=click_price,
        person=of.person if terms.frequency_cap is not None else "",
        segments=tuple(each for each in of.segments if each in best.campaign.segments),
    )
