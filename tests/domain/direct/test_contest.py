"""Campaigns that cannot bid do not keep those from bidding that can, however many and however dear they are."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from domain.catalogue import FrequencyCap
from domain.direct.book import Book
from domain.direct.budget import BudgetState
from domain.direct.contest import Contest, contest, traffic_of
from domain.direct.index import NO_CAMPAIGNS, DirectIndex
from domain.direct.run import ROUND_SECONDS
from domain.limits import ADS_JUDGED_PER_ADVERTISER_MAX, CAMPAIGNS_LOOKED_AT_MAX
from tests.domain.direct.campaigns import UNIT, campaign
from tests.domain.trading import imp, market, request, sale_of

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
MANY = 3_000
SPENT = BudgetState(UNIT, 0, "2026-11-21", UNIT, 0, 0, 0)


def held(
    index: DirectIndex,
    states: dict[str, BudgetState] | None = None,
    *,
    at: datetime = NOW,
    banner: dict[str, Any] | None = None,
    **members: Any,
) -> Contest:
    """The contest for a box, unless for another banner, of a viewer of whom nothing may be known."""
    book = Book(lambda: states or {})
    banner = {"w": 300, "h": 250} if banner is None else banner
    sale = sale_of(request(imp(id="1", banner=banner), **members), market())
    for_sale = sale.imps["1"]
    matches = index.matching(
        traffic_of(sale, for_sale), currency="USD", rates=sale.rates, revaluation=book.revaluation(at)
    )
    return contest(matches, sale, for_sale, book, now=at, person="", turn=0)


def winners(index: DirectIndex, states: dict[str, BudgetState] | None = None, **how: Any) -> list[str]:
    return [each.campaign.id for each in held(index, states, **how).contenders]


def crowd(of: int, **terms: Any) -> DirectIndex:
    """Beside one that bids 2.00, so many that would bid more."""
    many = [campaign(f"crowd-{number}", bid_micros=3_000_000, **terms) for number in range(of)]
    return NO_CAMPAIGNS.with_campaigns([campaign("live", bid_micros=2_000_000), *many])


@pytest.mark.parametrize(
    ("terms", "told"),
    [
        pytest.param({"starts_at": "2099-01-01T00:00:00Z"}, 0, id="not begun"),
        pytest.param({"ends_at": "2026-11-21T12:00:00Z"}, 0, id="ended"),
        pytest.param({"budget_nanos": UNIT}, 8, id="spent"),
        pytest.param({"daily_budget_nanos": UNIT}, 8, id="spent for the day"),
        pytest.param({"daily_budget_nanos": UNIT + 1, "pacing": "even"}, 8, id="ahead of their time"),
        pytest.param({"frequency_cap": FrequencyCap(1, 60)}, 8, id="capped"),
    ],
)
def test_those_that_cannot_bid_now_are_passed_over(terms: dict[str, Any], told: int) -> None:
    """The first ones of those that run are told of all the same."""
    index = crowd(MANY, **terms)
    states = {f"crowd-{number}": SPENT for number in range(MANY)}
    found = held(index, states)
    assert [each.campaign.id for each in found.contenders] == ["live"]
    assert len(found.withheld) == told


def test_an_imp_finds_what_those_before_it_had_no_time_to_look_for() -> None:
    """Of very many that have begun to rest, each look-up passes over those that the ones before it have met."""
    index = crowd(2 * CAMPAIGNS_LOOKED_AT_MAX, ends_at="2026-11-21T12:00:00Z")
    assert [winners(index) for _ in range(4)] == [[], [], ["live"], ["live"]]


def test_an_advertiser_that_is_refused_does_not_stand_in_the_way() -> None:
    """A page that blocks it still gets the campaigns of others."""
    index = crowd(2 * ADS_JUDGED_PER_ADVERTISER_MAX, advertiser_id="rival", domain="rival.example")
    assert winners(index, badv=["rival.example"]) == ["live"]
    assert "live" not in winners(index)


def test_a_campaign_of_many_ads_that_are_refused_is_settled_for_all_its_sizes() -> None:
    """An imp of any size does not judge a thousand of them one by one."""
    sizes = tuple((100 + number, 100) for number in range(1_000))
    rival: dict[str, Any] = {
        "sizes": sizes,
        "bid_micros": 3_000_000,
        "advertiser_id": "rival",
        "domain": "rival.example",
    }
    rivals = [campaign(f"rival-{number}", **rival) for number in range(8)]
    index = NO_CAMPAIGNS.with_campaigns([campaign("live", bid_micros=2_000_000), *rivals])
    assert winners(index, banner={}, badv=["rival.example"]) == ["live"]


def test_those_that_rested_bid_again_once_they_can() -> None:
    """Their flight begins, or their money comes back: within a round of look-ups they are in the contest."""
    starts = crowd(100, starts_at="2026-11-21T12:00:30Z")
    assert winners(starts) == ["live"]
    later = NOW + timedelta(seconds=30)
    assert "live" not in winners(starts, at=later)
    spent = crowd(100, budget_nanos=UNIT)
    states = {f"crowd-{number}": SPENT for number in range(100)}
    assert winners(spent, states) == ["live"]
    del states["crowd-99"]
    assert winners(spent, states, at=NOW + timedelta(seconds=ROUND_SECONDS)) == ["crowd-99", "live"]


def test_few_that_rest_are_looked_at_each_time() -> None:
    """What comes back to one of them counts at once."""
    index = crowd(10, budget_nanos=UNIT)
    states = {f"crowd-{number}": SPENT for number in range(10)}
    assert winners(index, states) == ["live"]
    del states["crowd-7"]
    assert winners(index, states) == ["crowd-7", "live"]


def test_a_campaign_that_is_changed_does_not_rest() -> None:
    """With a higher budget it bids in the next imp."""
    index = crowd(100, budget_nanos=UNIT)
    states = {f"crowd-{number}": SPENT for number in range(100)}
    assert winners(index, states) == ["live"]
    index = index.with_campaigns([campaign("crowd-99", bid_micros=3_000_000, budget_nanos=2 * UNIT)])
    assert winners(index, states) == ["crowd-99", "live"]
