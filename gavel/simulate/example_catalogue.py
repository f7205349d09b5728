"""What the simulated market sells from the exchange's catalogue: stored placements, a house ad, a deal, a rate."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import Any

import msgspec

from gavel.simulate.catalogue_client import CatalogueClient, Entity
from gavel.simulate.inventory import PROPERTIES, Property, Size

PREMIUM_DEAL = "premium-display"
"""The deal that publishers offer to the dear bidder's seat."""
DEAL_SITE = "orbitreview.example"
"""Where the catalogue offers it; requests of other sites may list it themselves."""
EURO_IN_DOLLARS = "1.0852"
STORED_PUBLISHERS = ("pub-harbour", "pub-orbit")
"""The others sell through requests alone, as an SSP's publishers do whom the exchange does not know."""
SHARE_BPS = 8_500
"""These two have a better contract than the setting gives everybody."""
HOUSE_AD_SPACE = ("harbourdaily.example", (300, 250))
"""By domain and size: the space that has a house ad."""
_NONE: Mapping[Any, str] = MappingProxyType({})


class Stored(msgspec.Struct, frozen=True):
    """The ids that the exchange gave to what the simulation sells."""

    publishers: Mapping[str, str] = _NONE
    """By the id in `inventory.PROPERTIES`."""
    placements: Mapping[tuple[str, Size], str] = _NONE
    """By domain and size."""

    def publisher(self, sold_by: Property) -> str:
        return self.publishers.get(sold_by.publisher_id, sold_by.publisher_id)

    def tagid(self, sold_by: Property, size: Size) -> str:
        return self.placements.get((sold_by.domain, size), placement_name(sold_by, size))


NOTHING_STORED = Stored()


def placement_name(sold_by: Property, size: Size) -> str:
    return f"{sold_by.domain}/{size[0]}x{size[1]}"


async def store_catalogue(catalogue: CatalogueClient) -> Stored:
    """Registers what is missing. Raises CannotRun, ExchangeUnreachable."""
    await _store_rate(catalogue)
    properties = [each for each in PROPERTIES if each.publisher_id in STORED_PUBLISHERS]
    known = {entity["domain"]: entity["id"] async for entity in catalogue.active("publishers")}
    publishers = {
        each.publisher_id: known.get(_publisher_domain(each)) or await _store_publisher(catalogue, each)
        for each in {each.publisher_id: each for each in properties}.values()
    }
    names = {entity["name"]: entity["id"] async for entity in catalogue.active("placements")}
    spaces = [(sold_by, size) for sold_by in properties for size in sold_by.sizes]

    async def placement(sold_by: Property, size: Size) -> str:
        known_id = names.get(placement_name(sold_by, size))
        return known_id or await _store_placement(catalogue, sold_by, size, publishers[sold_by.publisher_id])

    ids = await asyncio.gather(*(placement(*space) for space in spaces))
    return Stored(publishers, {(sold_by.domain, size): each for (sold_by, size), each in zip(spaces, ids, strict=True)})


async def store_deal(catalogue: CatalogueClient, stored: Stored, bidder_ids: Collection[str]) -> None:
    """Registers the deal for these bidders on one site, unless it is there. Raises CannotRun, ExchangeUnreachable."""
    if PREMIUM_DEAL not in [deal["id"] async for deal in catalogue.active("deals")]:
        deal = {
            "id": PREMIUM_DEAL,
            "placement_ids": sorted(each for (site, _), each in stored.placements.items() if site == DEAL_SITE),
            "bidder_ids": sorted(bidder_ids),
            "floor_cpm": "1.50",
            "auction": "first_price",
        }
        await catalogue.register("deals", deal)


async def _store_rate(catalogue: CatalogueClient) -> None:
    rates = [(rate["base"], rate["quote"]) async for rate in catalogue.active("currency-rates")]
    if ("EUR", "USD") not in rates:
        await catalogue.register("currency-rates", {"base": "EUR", "quote": "USD", "rate": EURO_IN_DOLLARS})


async def _store_publisher(catalogue: CatalogueClient, sold_by: Property) -> str:
    terms = {"name": sold_by.publisher, "domain": _publisher_domain(sold_by), "share_bps": SHARE_BPS}
    return _id_of(await catalogue.register("publishers", terms))


async def _store_placement(catalogue: CatalogueClient, sold_by: Property, size: Size, publisher_id: str) -> str:
    floor = sold_by.floor_cents / 100
    terms: Entity = {
        "publisher_id": publisher_id,
        "name": placement_name(sold_by, size),
        "sizes": [list(size)],
        "floor_cpm": f"{floor:.2f}",
        "auction": "second_price",
        # People in the States are dearer, and the French side is sold in euros.
        "floor_rules": [
            {"country": "USA", "floor_cpm": f"{floor * 1.5:.2f}"},
            {"country": "FRA", "floor_cpm": f"{floor:.2f}", "currency": "EUR"},
        ],
        "badv": ["casino.example"],
    }
    if (sold_by.domain, size) == HOUSE_AD_SPACE:
        terms["house_ads"] = [_house_ad(sold_by, size)]
    return _id_of(await catalogue.register("placements", terms))


def _house_ad(sold_by: Property, size: Size) -> Entity:
    """The publisher's own, for when nobody buys."""
    address = f"https://www.{sold_by.domain}/subscribe"
    text = f'<p style="font:16px sans-serif">Read {sold_by.name} without ads</p>'
    return {"width": size[0], "height": size[1], "html": text, "landing_url": address}


def _publisher_domain(sold_by: Property) -> str:
    return f"{sold_by.publisher.split()[0].lower()}.example"


def _id_of(entity: Entity) -> str:
    found: str = entity["id"]
    return found
