"""What this process knows of all budgets: the states that it last heard, and what it has reserved itself since then."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Final, NamedTuple

from domain.budget_account import day_of
from domain.direct.budget import NOTHING_SPENT, BudgetState
from domain.direct.campaign import LiveCampaign
from domain.direct.price import worth_micros
from domain.direct.restraint import rests
from domain.direct.run import Revaluation

REFUSED_SECONDS: Final = 10
"""How long a campaign does not bid again for whom it could not reserve an award."""
REFUSALS_KEPT_MAX: Final = 100_000


class _Refused(NamedTuple):
    why: str
    until: float
    """Unix seconds."""


class _Reserved(NamedTuple):
    """By this process, beside the state that it went by."""

    beside: BudgetState
    day: str
    nanos: int


class Book:
    """Without its own reservations a process would spend a second's worth of awards before it hears of the first."""

    def __init__(self, states: Callable[[], Mapping[str, BudgetState]]) -> None:
        """`states` tells the newest, by campaign."""
        self._states = states
        self._reserved: dict[str, _Reserved] = {}
        self._refused: dict[tuple[str, str], _Refused] = {}
        """By campaign and, where it has a frequency cap, person."""

    def __repr__(self) -> str:
        return f"Book(campaigns={len(self._states())}, reserved={len(self._reserved)})"

    def state_of(self, campaign_id: str) -> BudgetState:
        """The newest state; the same day's reservations of this process are in it."""
        state = self._states().get(campaign_id, NOTHING_SPENT)
        mine = self._reserved.get(campaign_id)
        if mine is None:
            return state
        if mine.beside != state:
            # Heard of since, so it is told with the others'.
            del self._reserved[campaign_id]
            return state
        if state.day != mine.day:
            state = state._replace(day=mine.day, day_spent_nanos=0, day_reserved_nanos=0)
        return state._replace(
            reserved_nanos=state.reserved_nanos + mine.nanos,
            day_reserved_nanos=state.day_reserved_nanos + mine.nanos,
        )

    def reserved(self, campaign_id: str, nanos: int, now: datetime) -> None:
        """Books what this process has reserved at this moment; negative: given back."""
        self.state_of(campaign_id)
        day, mine = day_of(now), self._reserved.get(campaign_id)
        so_far = mine.nanos if mine is not None and mine.day == day else 0
        state = self._states().get(campaign_id, NOTHING_SPENT)
        self._reserved[campaign_id] = _Reserved(state, day, so_far + nanos)

    def refused(self, campaign: LiveCampaign, person: str, why: str, now: datetime) -> None:
        """Remembers for a while that an award could not be reserved, for the reason in a sentence."""
        if len(self._refused) >= REFUSALS_KEPT_MAX:
            self._refused.clear()
        self._refused[_whom(campaign, person)] = _Refused(why, now.timestamp() + REFUSED_SECONDS)

    def refusal_of(self, campaign: LiveCampaign, person: str, now: datetime) -> str | None:
        """The sentence, while it is remembered."""
        if not self._refused:
            return None
        refused = self._refused.get(_whom(campaign, person))
        return refused.why if refused is not None and now.timestamp() < refused.until else None

    def worth(self, campaign: LiveCampaign) -> int:
        """What it bids for an impression, CPM micros of its currency."""
        return worth_micros(campaign.terms, self._states().get(campaign.id, NOTHING_SPENT))

    def revaluation(self, now: datetime) -> Revaluation:
        """What campaigns are worth at this moment, and which of them rest."""
        return Revaluation(now.timestamp(), self.worth, lambda each: rests(each, self.state_of(each.id), now))


def _whom(campaign: LiveCampaign, person: str) -> tuple[str, str]:
    return campaign.id, "" if campaign.terms.frequency_cap is None else person
