"""What an award to a campaign says of it: whose ad was sold, and what it costs."""

from __future__ import annotations

import msgspec

from domain.award import Award
from domain.direct.price import cost_of
from domain.event_parts import DirectDemand
from domain.outcomes import Placed


def awarded_demand(placed: Placed, award: Award) -> DirectDemand:
    """Of a bid of the bidder `direct` that won, with the price of a click and what the budget is charged."""
    direct, admitted = placed.direct, placed.admitted
    assert direct is not None, "only a campaign's bid costs a campaign something"
    cost = cost_of(
        direct.campaign.terms,
        price_micros=admitted.price_micros,
        clearing_micros=award.clearing.price_micros,
        stated=admitted.stated,
    )
    return msgspec.structs.replace(
        direct.demand,
        click_price_nanos=cost.price_nanos if direct.demand.charged_on == "click" else 0,
        charge_nanos=cost.charge_nanos,
    )
