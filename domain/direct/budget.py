"""What a campaign has spent of its budget, and whether it may spend more now."""

from __future__ import annotations

from typing import Literal, NamedTuple

Uncharged = Literal["no_budget", "budget_unknown"]
"""Why a click that counts costs its campaign nothing: there is no room for it, or nobody can tell whether there is."""


class BudgetState(NamedTuple):
    """What a campaign has spent and reserved, as this process last heard; money in the campaign's currency."""

    spent_nanos: int
    reserved_nanos: int
    day: str
    """The UTC day of the next two, `2026-11-21`."""
    day_spent_nanos: int
    day_reserved_nanos: int
    impressions: int
    clicks: int
    """Both valid, of its whole life."""

    @property
    def committed_nanos(self) -> int:
        """Spent or reserved."""
        return self.spent_nanos + self.reserved_nanos

    def committed_nanos_on(self, day: str) -> int:
        """Spent or reserved of this UTC day's budget."""
        return self.day_spent_nanos + self.day_reserved_nanos if day == self.day else 0


NOTHING_SPENT = BudgetState(0, 0, "", 0, 0, 0, 0)
