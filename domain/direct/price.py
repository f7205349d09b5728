"""What a campaign bids for an impression, and what an award then costs it.

A campaign that pays for clicks bids what an impression brings at its observed click-through. That is drawn towards a
prior, so that a new campaign starts as an average one, and neither its first click nor its absence decides anything.
"""

from __future__ import annotations

from decimal import ROUND_CEILING, Context, Decimal
from typing import Final, NamedTuple

from domain.catalogue import Campaign
from domain.currency import bid_converted
from domain.direct.budget import BudgetState
from domain.event_parts import StatedPrice
from domain.limits import PRICE_MAX_MICROS

PRIOR_CLICKS: Final = 1
PRIOR_IMPRESSIONS: Final = 1_000
"""As if each campaign had been seen so often and clicked so often before: 0.1 %, what a display ad usually has."""
_UP = Context(prec=60, rounding=ROUND_CEILING)


class Cost(NamedTuple):
    """What one impression or click costs, whichever the campaign pays for, in nano-units."""

    price_nanos: int
    """In the auction's currency."""
    charge_nanos: int
    """In the campaign's: what its budget is charged."""


def worth_micros(campaign: Campaign, state: BudgetState) -> int:
    """What it bids for an impression, CPM in micros of its own currency; rounded down for one that pays for clicks."""
    if not campaign.click_bid_nanos:
        return campaign.bid_micros
    clicks, impressions = state.clicks + PRIOR_CLICKS, state.impressions + PRIOR_IMPRESSIONS
    # More clicks than impressions would be somebody's mistake, and no reason to bid more than a click is worth.
    return min(campaign.click_bid_nanos * min(clicks, impressions) // impressions, PRICE_MAX_MICROS)


def cost_of(campaign: Campaign, *, price_micros: int, clearing_micros: int, stated: StatedPrice | None) -> Cost:
    """What the campaign pays where its bid of `price_micros` cleared at `clearing_micros`, not above its own maximum.

    Of a click it pays the same part of its maximum as of its bid. What the budget is charged is rounded up.
    """
    rate = None if stated is None else Decimal(stated.rate)
    if campaign.click_bid_nanos:
        charge = -(-campaign.click_bid_nanos * clearing_micros // price_micros)
        return Cost(charge if rate is None else bid_converted(charge, rate), charge)
    return Cost(clearing_micros, clearing_micros if rate is None else _through(clearing_micros, rate))


def _through(amount: int, rate: Decimal) -> int:
    """Rounded up. The rate is the one that the bid was multiplied by, so that this is never more than was bid."""
    return int(_UP.divide(Decimal(amount), rate).to_integral_value(ROUND_CEILING))
