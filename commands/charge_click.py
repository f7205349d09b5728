"""Charges a click to the budget of the campaign that pays for it, before the click is logged."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from commands.ports import Budgets, Wanted
from domain.catalogue import Campaign
from domain.direct.budget import Uncharged
from domain.tokens import EngagementClaims


class ChargeClick:
    """Never more than the budget: what may not fit is no charge, and the person still gets to the page."""

    def __init__(self, budgets: Budgets, campaign: Callable[[str], Campaign | None]) -> None:
        """`campaign` gives the newest known terms of a campaign, whatever its status; None for one never heard of."""
        self._budgets = budgets
        self._campaign = campaign

    def __repr__(self) -> str:
        return f"ChargeClick({self._budgets!r})"

    async def __call__(self, claims: EngagementClaims, at: datetime) -> Uncharged | None:
        """None once it is charged, or why it is not; the budget of the day is that of the click.

        Asked again, the same answer. A campaign that this process has not heard of yet has a budget that is not known.
        Its frequency cap does not matter: that was for the impression.
        """
        campaign = None if claims.campaign_id is None else self._campaign(claims.campaign_id)
        if claims.campaign_id is None or campaign is None:
            return "budget_unknown"
        return await self._budgets.charge_click(
            Wanted(
                claims.campaign_id,
                claims.auction_id,
                claims.imp_id,
                claims.charge_nanos,
                at,
                datetime.fromtimestamp(claims.expires_at, UTC),
                campaign.budget_nanos,
                campaign.daily_budget_nanos,
                None,
                "",
            )
        )
