"""`GET /v1/campaigns/{id}/budget`: what a campaign has spent and reserved, at this moment."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
from litestar import Request, Response, get
from litestar.params import FromPath

from api.access import tenant_of
from api.read.waiting import read_model
from api.services import Services
from domain.budget_account import day_of
from domain.catalogue import Campaign
from domain.direct.budget import BudgetState
from domain.errors import NotFound
from domain.money import amount_text
from projections.queries.entities import entity
from projections.registry import BUDGETS

PROJECTIONS = ("catalogue", BUDGETS)
"""Whose campaign it is and what it may spend stands in the one, what it has spent in the other."""


class DayBudget(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Of one UTC day."""

    day: str
    """`2026-11-21`."""
    spent: str
    reserved: str
    budget: str | None = None
    """Absent for a campaign without a daily budget, as is `left`."""
    left: str | None = None


class CampaignBudget(msgspec.Struct, frozen=True, kw_only=True):
    """Money is decimal text, in the campaign's currency."""

    campaign_id: str
    currency: str
    budget: str
    spent: str
    """For ads that were shown, or clicked; refunds are taken off."""
    reserved: str
    """For ads that were awarded and may yet be shown."""
    left: str
    """What may still be awarded: no more than `today.left` of it today."""
    today: DayBudget
    impressions: int
    clicks: int
    """Both valid, of the whole flight."""


@get("/campaigns/{campaign_id:str}/budget", tags=["Reports"], summary="What a campaign has spent")
async def show_campaign_budget(
    request: Request[Any, Any, Any], services: Services, campaign_id: FromPath[str]
) -> Response[CampaignBudget]:
    """The very account that awards are reserved in; 503 while it is being read from the log anew."""
    async with read_model(PROJECTIONS[0], request, services, *PROJECTIONS[1:]) as freshness:
        found = await entity(services.database, "campaign", campaign_id, tenant=tenant_of(request))
        if found is None:
            raise NotFound(f"There is no campaign {campaign_id!r} in the read model (yet).")
        state = await services.budgets.state_of(campaign_id)
    terms = msgspec.json.decode(found.terms, type=Campaign)
    answer = _told(campaign_id, terms, state, day_of(datetime.now(UTC)))
    return Response(answer, headers=freshness.headers)


def _told(campaign_id: str, terms: Campaign, state: BudgetState, day: str) -> CampaignBudget:
    is_today = state.day == day
    daily = terms.daily_budget_nanos
    return CampaignBudget(
        campaign_id=campaign_id,
        currency=terms.currency,
        budget=amount_text(terms.budget_nanos),
        spent=amount_text(state.spent_nanos),
        reserved=amount_text(state.reserved_nanos),
        left=_left(terms.budget_nanos, state.committed_nanos),
        today=DayBudget(
            day=day,
            spent=amount_text(state.day_spent_nanos if is_today else 0),
            reserved=amount_text(state.day_reserved_nanos if is_today else 0),
            budget=None if daily is None else amount_text(daily),
            left=None if daily is None else _left(daily, state.committed_nanos_on(day)),
        ),
        impressions=state.impressions,
        clicks=state.clicks,
    )


def _left(budget_nanos: int, committed_nanos: int) -> str:
    """Nothing where more is promised than a budget that was lowered since."""
    return amount_text(max(0, budget_nanos - committed_nanos))
