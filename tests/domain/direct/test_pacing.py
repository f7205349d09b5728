"""When an evenly paced campaign waits."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from math import inf

import pytest

from domain.direct.budget import NOTHING_SPENT, BudgetState
from domain.direct.pacing import allowed_nanos, is_ahead
from tests.domain.direct.campaigns import UNIT, campaign

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
TODAY, YESTERDAY = "2026-11-21", "2026-11-20"


def spent(units: float, *, today: float = 0, reserved: float = 0, day: str = TODAY) -> BudgetState:
    return NOTHING_SPENT._replace(
        spent_nanos=int(units * UNIT),
        reserved_nanos=int(reserved * UNIT),
        day=day,
        day_spent_nanos=int(today * UNIT),
        day_reserved_nanos=int(reserved * UNIT),
    )


@pytest.mark.parametrize(
    ("terms", "state", "at", "units"),
    [
        # Half of the day, and five minutes more.
        ({"daily_budget_nanos": 24 * UNIT}, spent(0), NOON, 12 + 1 / 12),
        ({"daily_budget_nanos": 24 * UNIT}, spent(0), NOON - timedelta(hours=12), 1 / 12),
        # At the day's end no more than its budget.
        ({"daily_budget_nanos": 24 * UNIT}, spent(0), NOON + timedelta(hours=11, minutes=59), 24),
        # Ten days of which this is the third: 100 less 20 for eight days, of today's 10 the half.
        (
            {"starts_at": "2026-11-19T00:00:00Z", "ends_at": "2026-11-29T00:00:00Z"},
            spent(20, day=YESTERDAY, today=10),
            NOON,
            5 + 10 / 288,
        ),
        # What was not spent is spread over the days that are left, and what was spent today is part of today's.
        ({"ends_at": "2026-11-23T00:00:00Z"}, spent(20, today=20), NOON, 25 + 50 / 288),
        # A flight of the afternoon: a third of it is over at two.
        (
            {"starts_at": "2026-11-21T12:00:00Z", "ends_at": "2026-11-21T18:00:00Z"},
            spent(0),
            NOON + timedelta(hours=2),
            100 * (2 + 1 / 12) / 6,
        ),
        # The lesser of both.
        ({"daily_budget_nanos": 24 * UNIT, "ends_at": "2026-11-22T00:00:00Z"}, spent(0), NOON, 12 + 1 / 12),
        # Nothing to keep to.
        ({}, spent(50), NOON, inf),
        ({"pacing": "asap", "daily_budget_nanos": UNIT}, spent(50, today=0.9), NOON, inf),
    ],
)
def test_what_may_be_spent_by_now(terms: dict[str, object], state: BudgetState, at: datetime, units: float) -> None:
    """Along a straight line from the start of the day, or the flight, to its end."""
    paced = campaign(**{"pacing": "even", **terms})
    assert allowed_nanos(paced, state, at) == pytest.approx(units * UNIT)


def test_what_is_reserved_counts_and_yesterday_does_not() -> None:
    """A campaign waits as soon as it has promised what it may spend, until time has caught up."""
    paced = campaign(pacing="even", daily_budget_nanos=24 * UNIT)
    assert not is_ahead(paced, spent(12, today=12), NOON)
    assert is_ahead(paced, spent(12, today=12, reserved=0.1), NOON)
    assert not is_ahead(paced, spent(12, today=12, reserved=0.1), NOON + timedelta(minutes=5))
    assert not is_ahead(paced, spent(24, today=24, day=YESTERDAY), NOON)
