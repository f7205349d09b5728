"""Why a campaign that fits an imp does not bid for it now: its budget, its pacing, its frequency cap.

This goes by what a process last heard of the budgets, to spare the awards that would be refused. What holds is decided
when an award is reserved.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from domain.bid_rules.refusal import Refusal, clip
from domain.budget_account import day_of
from domain.direct.budget import BudgetState
from domain.direct.campaign import LiveCampaign
from domain.direct.pacing import is_ahead
from domain.money import amount_text
from domain.openrtb.codes import LossReason


def restraint(
    campaign: LiveCampaign, state: BudgetState, now: datetime, person: str, refused_lately: str | None
) -> Refusal | None:
    """The first reason not to bid; None: it bids. `person` is empty where nothing may be known of the viewer.

    `refused_lately` is the sentence with which an award to the campaign could not be reserved some seconds ago.
    """
    terms = campaign.terms
    full = _full_budget(campaign, state, now)
    if full is not None:
        return _no_room(campaign, full)
    if terms.frequency_cap is not None and not person:
        why = "it has a frequency cap, and nothing may be known of the viewer"
        return _refusal(LossReason.NO_BUDGET, campaign, why)
    if refused_lately is not None:
        return not_reserved(campaign, refused_lately)
    if is_ahead(campaign, state, now):
        return _refusal(LossReason.PACED, campaign, "it spends evenly, and is ahead of its time")
    return None


def rests(campaign: LiveCampaign, state: BudgetState, now: datetime) -> bool:
    """Whether it bids for nothing and nobody at the moment: because of its flight, its budget or its pacing."""
    return (
        not campaign.runs_at(now.timestamp())
        or _full_budget(campaign, state, now) is not None
        or is_ahead(campaign, state, now)
    )


def not_reserved(campaign: LiveCampaign, why: str) -> Refusal:
    """The award could not be reserved; `why` is a sentence."""
    return _refusal(LossReason.NO_BUDGET, campaign, why[:1].lower() + why[1:].rstrip("."))


def _full_budget(campaign: LiveCampaign, state: BudgetState, now: datetime) -> Literal["whole", "daily"] | None:
    """The one that has no room."""
    terms = campaign.terms
    # Nothing is reserved for a click beforehand: without room for one, its impressions would be free for ever.
    needed = terms.click_bid_nanos or 1
    if state.committed_nanos + needed > terms.budget_nanos:
        return "whole"
    daily = terms.daily_budget_nanos
    return "daily" if daily is not None and state.committed_nanos_on(day_of(now)) + needed > daily else None


def _no_room(campaign: LiveCampaign, full: Literal["whole", "daily"]) -> Refusal:
    terms = campaign.terms
    daily = terms.daily_budget_nanos if full == "daily" else None
    budget = _money(campaign, terms.budget_nanos) if daily is None else f"{_money(campaign, daily)} for the day"
    click = terms.click_bid_nanos
    lack = f"has no room for one more click at up to {_money(campaign, click)}" if click else "is spent or reserved"
    return _refusal(LossReason.NO_BUDGET, campaign, f"its budget of {budget} {lack}")


def _money(campaign: LiveCampaign, nanos: int) -> str:
    return f"{amount_text(nanos)} {campaign.terms.currency}"


def _refusal(code: int, campaign: LiveCampaign, why: str) -> Refusal:
    return Refusal(code, f"The campaign {clip(campaign.terms.name)!r} does not bid: {why}.")
