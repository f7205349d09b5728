"""Where the line of even pacing begins: no campaign that comes late in the day spends the day's budget at once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from domain import events
from domain.catalogue import Ad, Advertiser, Campaign
from domain.direct.budget import NOTHING_SPENT
from domain.direct.pacing import LEAD_SECONDS, allowed_nanos
from domain.entity import Entity, evolve
from domain.marketplace import Marketplace

UNIT = 10**9
TERMS = Campaign(
    advertiser_id="shop", name="Winter", bid_micros=1_000_000, budget_nanos=100 * UNIT, daily_budget_nanos=24 * UNIT
)
SHOP = Advertiser(name="Shop", domain="shop.example")
OWNER = Entity("advertiser", "shop", 1, "active", msgspec.Raw(msgspec.json.encode(SHOP)))
AD = Ad(campaign_id="camp", name="Coats", width=300, height=250, landing_url="https://shop.example/", html="<b>x</b>")
LEAD_HOURS = LEAD_SECONDS / 3_600


def at(hour: float, *, days: int = 0) -> datetime:
    return datetime(2026, 11, 21, tzinfo=UTC) + timedelta(days=days, hours=hour)


def allowed_at(now: datetime, *moves: tuple[type[events.CatalogueEvent], datetime], terms: Campaign = TERMS) -> float:
    """Units that the campaign may have spent of the day by then, as the log's events have made it."""
    entity: Entity | None = None
    for version, (kind, moment) in enumerate(moves, 1):
        content: dict[str, Any] = {"terms": terms} if hasattr(kind, "terms") else {}
        about: dict[str, Any] = {
            "id": "e",
            "at": moment,
            "correlation_id": "camp",
            "causation_id": "c",
            "version": version,
        }
        entity = evolve(entity, kind(**about, aggregate_id="camp", **content))
    assert entity is not None
    # As other processes read it.
    cached = msgspec.json.decode(msgspec.json.encode(entity), type=Entity)
    marketplace = Marketplace()
    marketplace.take([OWNER, cached, Entity("ad", "ad", 1, "active", msgspec.Raw(msgspec.json.encode(AD)))])
    campaign = marketplace.publish().direct.campaign("camp")
    assert campaign is not None
    return allowed_nanos(campaign, NOTHING_SPENT, now) / UNIT


REGISTERED, CHANGED = events.CampaignRegistered, events.CampaignChanged
PAUSED, RESUMED = events.EntityPaused, events.EntityResumed
LONG_PAUSED = ((REGISTERED, at(1, days=-3)), (PAUSED, at(2, days=-1)))


@pytest.mark.parametrize(
    ("moves", "now", "units"),
    [
        ([(REGISTERED, at(18))], at(18), 24 * LEAD_HOURS / 6),
        ([(REGISTERED, at(18))], at(21), 24 * (3 + LEAD_HOURS) / 6),
        # A change begins nothing anew, and the next day is a whole one.
        ([(REGISTERED, at(18)), (CHANGED, at(20))], at(21), 24 * (3 + LEAD_HOURS) / 6),
        ([(REGISTERED, at(18))], at(36), 12 + LEAD_HOURS),
        # Away since yesterday, or for an hour: the hour that was missed is not made up for at once.
        ([*LONG_PAUSED, (RESUMED, at(18))], at(18), 24 * LEAD_HOURS / 6),
        ([(REGISTERED, at(1, days=-3)), (PAUSED, at(12)), (RESUMED, at(13))], at(13), 24 * (12 + LEAD_HOURS) / 23),
        (
            [*LONG_PAUSED, (RESUMED, at(12)), (PAUSED, at(15)), (RESUMED, at(18))],
            at(18),
            24 * (3 + LEAD_HOURS) / 9,
        ),
    ],
)  # fmt: skip
def test_what_a_campaign_of_the_evening_may_spend(
    moves: list[tuple[type[events.CatalogueEvent], datetime]], now: datetime, units: float
) -> None:
    """Along a line from when it began to be active to the day's end; while it was paused the line stood still."""
    assert allowed_at(now, *moves) == pytest.approx(units)


def test_a_flight_without_a_start_begins_with_its_registration() -> None:
    """Seven days from eleven in the evening: not a whole day's part in the first hour."""
    terms = msgspec.structs.replace(
        TERMS, daily_budget_nanos=None, ends_at="2026-11-28T23:00:00Z", budget_nanos=168 * UNIT
    )
    assert allowed_at(at(23), (REGISTERED, at(23)), terms=terms) == pytest.approx(LEAD_HOURS)
