"""Lets the exchange's own campaigns bid in an auction, as the bidder `direct`, and reserves what they win.

An award to a campaign stands only once its cost is reserved in the campaign's budget. Where it cannot be, that campaign
steps back with a sentence, the next one takes its place, and the auction is decided again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import NamedTuple

from commands.fan_out import Asked
from commands.ports import Budgets, Clock, Wanted
from domain.audience import Audience
from domain.award import Award
from domain.direct.award import awarded_demand
from domain.direct.bidder import DIRECT, DIRECT_ID
from domain.direct.book import Book
from domain.direct.contest import Contest, contest, reason_to_skip, traffic_of
from domain.direct.index import DirectIndex
from domain.expiry import impression_expires_at
from domain.openrtb.codes import NoBidReason
from domain.outcomes import Outcome, Placed, skipped_imp
from domain.sale import ImpOnSale, Sale
from domain.skip import ROBOT, Skip

BUDGETS_UNKNOWN = Skip(
    NoBidReason.TECHNICAL_ERROR, "Not asked: what campaigns have spent is not known, or is being read from the log."
)


class Occasion(NamedTuple):
    """The auction that campaigns bid in."""

    auction_id: str
    sale: Sale
    person: str
    """The viewer's pseudonym; empty where nothing may be known."""
    is_robot: bool
    audience: Audience


class DirectBidder:
    """All campaigns of this process's catalogue, and what it knows of their budgets."""

    def __init__(self, *, budgets: Budgets, clock: Clock) -> None:
        self._budgets = budgets
        self._clock = clock
        self._book = Book(lambda: budgets.states)

    def __repr__(self) -> str:
        return f"DirectBidder({self._budgets!r})"

    def bid(self, index: DirectIndex, occasion: Occasion) -> DirectStanding:
        """What the campaigns bid for every imp of the auction."""
        began_at = self._clock.monotonic()
        outcomes: dict[str, Outcome] = {}
        contests: dict[str, Contest] = {}
        skip = self._skip(is_robot=occasion.is_robot)
        for imp_id, for_sale in occasion.sale.imps.items():
            not_asked = skip or reason_to_skip(occasion.sale, for_sale)
            if not_asked is None:
                contests[imp_id] = self._contest(index, occasion, for_sale)
                outcomes[imp_id] = contests[imp_id].outcome()
            else:
                outcomes[imp_id] = skipped_imp(not_asked)
        latency_ms = round((self._clock.monotonic() - began_at) * 1000, 3) if contests else None
        asked = Asked(DIRECT, outcomes, latency_ms)
        return DirectStanding(occasion, asked, contests, self._budgets, self._book)

    def may_bid(self, sale: Sale, *, is_robot: bool) -> bool:
        """Whether campaigns may bid for any imp at all."""
        return self._skip(is_robot=is_robot) is None and any(
            reason_to_skip(sale, each) is None for each in sale.imps.values()
        )

    def _skip(self, *, is_robot: bool) -> Skip | None:
        """Why they bid for none of the auction's imps."""
        return ROBOT if is_robot else None if self._budgets.are_known else BUDGETS_UNKNOWN

    def _contest(self, index: DirectIndex, occasion: Occasion, for_sale: ImpOnSale) -> Contest:
        now, sale, segments = self._clock.now(), occasion.sale, occasion.audience.segments
        matches = index.matching(
            traffic_of(sale, for_sale, segments),
            currency=sale.currency,
            rates=sale.rates,
            revaluation=self._book.revaluation(now),
        )
        turn = int(occasion.auction_id[-8:], 16)
        return contest(
            matches, sale, for_sale, self._book, now=now, person=occasion.person, turn=turn, segments=segments
        )


class DirectStanding:
    """How the campaigns stand in one auction, until it is decided."""

    def __init__(
        self, occasion: Occasion, asked: Asked, contests: dict[str, Contest], budgets: Budgets, book: Book
    ) -> None:
        self.asked = asked
        """The outcome for every imp; another one after `reserve` was refused something."""
        self._occasion = occasion
        self._contests = contests
        self._budgets = budgets
        self._book = book
        self._held: dict[str, Wanted] = {}
        """By imp, what is reserved."""

    def __repr__(self) -> str:
        return f"DirectStanding(auction={self._occasion.auction_id}, held={len(self._held)})"

    async def reserve(self, awards: Mapping[str, Award], *, at: datetime) -> bool:
        """Whether everything that campaigns won is reserved now, for awards of this moment.

        False: some of it was refused, those campaigns have stepped back in `asked`, and the auction is to be decided
        again. What no longer is awarded, or at another price, is given back.
        """
        if self._occasion.sale.is_test:
            return True
        wanted = {imp_id: self._wanted(award, at) for imp_id, award in awards.items() if _is_direct(award)}
        await self._give_back(each for imp_id, each in self._held.items() if wanted.get(imp_id) != each)
        # A campaign that pays for clicks, and shows itself to anybody as often as it likes, has nothing to reserve.
        missing = {
            imp_id: each
            for imp_id, each in wanted.items()
            if imp_id not in self._held and (each.nanos or each.frequency_cap is not None)
        }
        if not missing:
            return True
        refusals = await self._budgets.reserve(list(missing.values()))
        for (imp_id, each), why in zip(missing.items(), refusals, strict=True):
            if why is None:
                self._held[imp_id] = each
                self._book.reserved(each.campaign_id, each.nanos, at)
            else:
                self._step_back(imp_id, why, at)
        return all(why is None for why in refusals)

    def _step_back(self, imp_id: str, why: str, at: datetime) -> None:
        standing = self._contests[imp_id]
        self._book.refused(standing.contenders[0].campaign, self._occasion.person, why, at)
        self._contests[imp_id] = standing.without_best(why)
        self.asked.outcomes[imp_id] = self._contests[imp_id].outcome()

    async def give_back(self) -> None:
        """Releases everything, for an auction that is not going to be logged."""
        await self._give_back(self._held.values())

    async def _give_back(self, wanted: Iterable[Wanted]) -> None:
        released = list(wanted)
        if not released:
            return
        for each in released:
            del self._held[each.imp_id]
            self._book.reserved(each.campaign_id, -each.nanos, each.at)
        await self._budgets.release(released)

    def _wanted(self, award: Award, at: datetime) -> Wanted:
        placed = self.asked.outcomes[award.imp_id]
        assert isinstance(placed, Placed), "an award goes to a bid of the ranking"
        assert placed.direct is not None, "what the bidder `direct` wins is a campaign's"
        demand, terms = awarded_demand(placed, award), placed.direct.campaign.terms
        return Wanted(
            campaign_id=demand.campaign_id,
            auction_id=self._occasion.auction_id,
            imp_id=award.imp_id,
            nanos=demand.charge_nanos if demand.charged_on == "impression" else 0,
            at=at,
            expires_at=impression_expires_at(self._occasion.sale.imps[award.imp_id].imp, placed.bid.bid, at),
            budget_nanos=terms.budget_nanos,
            daily_budget_nanos=terms.daily_budget_nanos,
            frequency_cap=terms.frequency_cap,
            person=demand.person,
        )


def _is_direct(award: Award) -> bool:
    return award.winner.bidder_id == DIRECT_ID
