"""Even pacing: a campaign spends its day's part of the budget along a straight line, and waits when it is ahead of it.

The line begins with the day, the flight, or the campaign's own activity, whichever is latest, so that one that comes in
the evening does not spend a day's budget at once. While a campaign is paused the line stands still.

The day's part is the daily budget, or what is left of the whole budget divided by the time that is left of the flight,
whichever is less. A campaign with neither a daily budget nor an end of its flight has no line to keep to. What is
reserved counts as spent; what was not spent yesterday is spread over all days that are left.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from math import inf
from typing import Final

from domain.budget_account import day_of
from domain.direct.budget import BudgetState
from domain.direct.campaign import LiveCampaign

LEAD_SECONDS: Final = 300
"""So far the spending may be ahead of the line: a campaign is not held back for a burst of a few minutes."""
_DAY: Final = timedelta(days=1)


def allowed_nanos(campaign: LiveCampaign, state: BudgetState, now: datetime) -> float:
    """What it may have spent and reserved of this UTC day by now; infinity where it need not wait."""
    terms = campaign.terms
    if terms.pacing != "even":
        return inf
    midnight = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    start = max(midnight.timestamp(), campaign.starts_at)
    end = min((midnight + _DAY).timestamp(), campaign.ends_at)
    of_day = inf if terms.daily_budget_nanos is None else float(terms.daily_budget_nanos)
    if campaign.ends_at != inf:
        before_today = state.committed_nanos - state.committed_nanos_on(day_of(now))
        left = max(0, terms.budget_nanos - before_today)
        of_day = min(of_day, left * (end - start) / (campaign.ends_at - start))
    if of_day == inf:
        return inf
    passed = (now.timestamp() - start + LEAD_SECONDS) / (end - start)
    return of_day * min(1.0, passed)


def is_ahead(campaign: LiveCampaign, state: BudgetState, now: datetime) -> bool:
    """Whether it is to wait, at a moment of its flight."""
    allowed = allowed_nanos(campaign, state, now)
    return allowed != inf and state.committed_nanos_on(day_of(now)) >= allowed
