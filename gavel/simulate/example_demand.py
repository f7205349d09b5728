"""The direct demand of the simulated market: two advertisers and three campaigns, one of which pays for clicks."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from gavel.simulate.catalogue_client import CatalogueClient, Entity
from gavel.simulate.inventory import Size


class ExampleCampaign(NamedTuple):
    """A campaign with one ad of each size."""

    name: str
    terms: Mapping[str, Any]
    sizes: tuple[Size, ...]
    slogan: str
    colour: str


class ExampleAdvertiser(NamedTuple):
    name: str
    domain: str
    campaigns: tuple[ExampleCampaign, ...]


ADVERTISERS = (
    ExampleAdvertiser(
        "Harbour Outfitters",
        "outfitters.example",
        (
            ExampleCampaign(
                "Winter coats",
                MappingProxyType(
                    {
                        "bid_cpm": "1.80",
                        "budget": "500.00",
                        "daily_budget": "50.00",
                        "frequency_cap": {"impressions": 5, "per_seconds": 3_600},
                    }
                ),
                ((300, 250), (728, 90), (300, 600)),
                "Coats for the wrong kind of weather",
                "#2b4c7e",
            ),
            ExampleCampaign(
                "Rain gear, Germany and France",
                MappingProxyType(
                    {
                        "bid_cpm": "2.10",
                        "budget": "200.00",
                        "currency": "EUR",
                        "pacing": "asap",
                        "targeting": {"countries": ["DEU", "FRA"]},
                    }
                ),
                ((300, 250), (970, 250)),
                "There is no bad weather",
                "#1f7a4d",
            ),
        ),
    ),
    ExampleAdvertiser(
        "Paper and Pen",
        "paperandpen.example",
        (
            ExampleCampaign(
                "Notebooks, for phones",
                MappingProxyType({"bid_cpc": "0.12", "budget": "300.00", "targeting": {"device_types": [4]}}),
                ((320, 50), (320, 100), (300, 250)),
                "Write it down",
                "#8a4b08",
            ),
        ),
    ),
)


async def store_demand(catalogue: CatalogueClient) -> None:
    """Registers what is missing, by name. Raises CannotRun, ExchangeUnreachable."""
    advertisers = await _ids_by_name(catalogue, "advertisers")
    campaigns = await _ids_by_name(catalogue, "campaigns")
    ads = await _ids_by_name(catalogue, "ads")
    for advertiser in ADVERTISERS:
        terms = {"name": advertiser.name, "domain": advertiser.domain}
        advertiser_id = advertisers.get(advertiser.name) or _id_of(await catalogue.register("advertisers", terms))
        for campaign in advertiser.campaigns:
            stated = {"advertiser_id": advertiser_id, "name": campaign.name, **campaign.terms}
            campaign_id = campaigns.get(campaign.name) or _id_of(await catalogue.register("campaigns", stated))
            for size in campaign.sizes:
                if _ad_name(campaign, size) not in ads:
                    await catalogue.register("ads", _ad(campaign, campaign_id, size, advertiser.domain))


async def _ids_by_name(catalogue: CatalogueClient, kind: str) -> dict[str, str]:
    return {entity["name"]: entity["id"] async for entity in catalogue.active(kind)}


def _ad(campaign: ExampleCampaign, campaign_id: str, size: Size, domain: str) -> Entity:
    width, height = size
    style = (
        f"display:block;box-sizing:border-box;width:{width}px;height:{height}px;padding:8px;overflow:hidden;"
        f"background:{campaign.colour};color:#fff;font:bold 16px sans-serif;text-decoration:none"
    )
    link = f'<a href="${{GAVEL_CLICK_URL}}" target="_blank" rel="noopener" style="{style}">{campaign.slogan}</a>'
    return {
        "campaign_id": campaign_id,
        "name": _ad_name(campaign, size),
        "width": width,
        "height": height,
        "html": link,
        "landing_url": f"https://www.{domain}/offer?click=${{CLICK_ID}}&ad=${{AD_ID}}",
    }


def _ad_name(campaign: ExampleCampaign, size: Size) -> str:
    return f"{campaign.name}, {size[0]}x{size[1]}"


def _id_of(entity: Entity) -> str:
    found: str = entity["id"]
    return found
