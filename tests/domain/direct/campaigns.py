"""Campaigns for tests of how they bid."""

from __future__ import annotations

from typing import Any

from domain.catalogue import Ad, Advertiser, Campaign, Targeting
from domain.direct.campaign import LiveCampaign, Size, live_campaign

BOX: Size = (300, 250)
WIDE: Size = (728, 90)
UNIT = 1_000_000_000
"""Nano-units in one unit of a currency."""


def campaign(
    campaign_id: str = "c",
    *,
    sizes: tuple[Size, ...] = (BOX,),
    targeting: dict[str, Any] | None = None,
    domain: str = "shop.example",
    **terms: Any,
) -> LiveCampaign:
    """One that bids a CPM of 1.00 USD, as soon as possible, and has an ad of each of the sizes."""
    default = {"advertiser_id": "shop", "name": campaign_id, "budget_nanos": 100 * UNIT, "pacing": "asap"}
    if "click_bid_nanos" not in terms:
        default["bid_micros"] = 1_000_000
    stated = Campaign(**{**default, **terms, "targeting": Targeting(**(targeting or {}))})
    ads = [
        (
            f"{campaign_id}-{number}",
            Ad(
                campaign_id=campaign_id,
                name="",
                width=width,
                height=height,
                landing_url="https://shop.example/",
                html="ad",
            ),
        )
        for number, (width, height) in enumerate(sizes)
    ]
    return live_campaign(campaign_id, stated, Advertiser(name="Shop", domain=domain), ads)
