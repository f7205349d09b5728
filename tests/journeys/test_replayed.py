"""A running installation explains its auctions and decides all of them again, found by its data folder alone."""

from __future__ import annotations

import re
from pathlib import Path

from tests.journeys.running_exchange import gavel, running_exchange

TRAFFIC = ("--rate", "20", "--seconds", "8", "--seed", "4")
FOUND = re.compile(r"(\d+) auctions with .* decided again.*?(\d+) imps sold, (\d+) mismatches", re.DOTALL)
AT_LEAST = 50


async def test_simulated_traffic_is_decided_again(data_folder: Path) -> None:
    """Every award of the simulated market is reached again, and one auction of it is told from request to sum."""
    async with running_exchange(data_folder / "replayed") as exchange:
        here = ("--data", str(exchange.data))
        await gavel("simulate", *here, *TRAFFIC)
        await exchange.settled()
        found = FOUND.search(await gavel("auctions", "replay", "--all", *here))
        assert found is not None
        auctions, sold, mismatches = map(int, found.groups())
        assert (auctions >= AT_LEAST, sold > 0, mismatches) == (True, True, 0)
        [item] = (await exchange.get("/v1/auctions?status=awarded&limit=1"))["items"]
        award = item["awards"][0]
        story = await gavel("auctions", "explain", item["id"], *here)
        assert f"{award['bidder']} won and pays {award['clearing_price']} {award['currency']}" in story
        again = await gavel("auctions", "replay", item["id"], *here)
        assert "The log says the same." in again
