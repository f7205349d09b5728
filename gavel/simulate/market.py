"""The simulated market in the exchange's catalogue: all of it, before the first request is sent."""

from __future__ import annotations

import asyncio

from gavel.settings import Settings
from gavel.simulate.bidder_processes import BidderProcesses
from gavel.simulate.catalogue_client import CatalogueClient
from gavel.simulate.characters import CHARACTERS
from gavel.simulate.example_catalogue import PREMIUM_DEAL, Stored, store_catalogue, store_deal
from gavel.simulate.exchange_client import ExchangeClient

PUSH_SECONDS = 1.0
"""Within this time every API process knows what the read model knows."""


async def set_up_market(client: ExchangeClient, settings: Settings, bidders: BidderProcesses) -> Stored:
    """Registers what is missing and returns what publishers sell. Raises CannotRun, ExchangeUnreachable."""
    catalogue = CatalogueClient(client, settings)
    stored = await store_catalogue(catalogue)
    ids = await bidders.register(catalogue)
    await store_deal(
        catalogue, stored, [ids[key] for key, character in CHARACTERS.items() if PREMIUM_DEAL in character.deals]
    )
    await asyncio.sleep(PUSH_SECONDS)
    return stored
