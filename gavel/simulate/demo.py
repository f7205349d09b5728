"""Endless gentle traffic for the demo: `python -m gavel.simulate.demo [--data DIR] [--rate N] [--seed N]`.

It waits while the exchange is away and goes on when it is back.
"""

from __future__ import annotations

import argparse
import asyncio
import math
import sys
import time
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any

import uvloop

from domain.errors import GavelError
from gavel.errors import CannotRun
from gavel.settings import Settings, load
from gavel.simulate.bid_requests import bid_requests
from gavel.simulate.bidder_processes import BidderProcesses
from gavel.simulate.catalogue_client import CatalogueClient
from gavel.simulate.chance import chance
from gavel.simulate.example_catalogue import Stored
from gavel.simulate.example_demand import store_demand
from gavel.simulate.exchange_client import ExchangeClient, ExchangeUnreachable
from gavel.simulate.figures import Observations
from gavel.simulate.market import set_up_market
from gavel.simulate.pages import Pages, page_views
from gavel.simulate.publishers import Publishers
from gavel.simulate.run import check_ready
from gavel.simulate.viewers import Viewers

RATE = 40.0
"""Auctions a second, on average over a simulated day."""
PAGES_SHARE = 0.25
"""Of the auctions; these are held for pages that ask with a tag."""
DAY_SECONDS = 600.0
"""A simulated day is short, so that somebody who watches sees the evening come."""
SWING = 0.6
"""How far the busiest and the quietest hour are from the average."""
PAUSE_SECONDS = 1.0


def wave(rate: float, seed: int) -> Iterator[float]:
    """Seconds between arrivals, without end, more of them by day than by night."""
    rng = chance(seed, "demo")
    elapsed = 0.0
    while True:
        now = rate * (1 + SWING * math.sin(2 * math.pi * elapsed / DAY_SECONDS))
        gap = rng.expovariate(now)
        elapsed += gap
        yield gap


async def demo(settings: Settings, rate: float, seed: int) -> None:
    """Runs until it is cancelled. Raises CannotRun when its bidders cannot run or one of them ended."""
    client = ExchangeClient(settings.base_url)
    try:
        async with BidderProcesses(settings.data, seed) as bidders:
            await _until_ready(client)
            stored = await _until_registered(bidders, client, settings)
            await _until_one_fails(_traffic(client, stored, rate, seed), bidders.watch())
    finally:
        client.close()


async def _traffic(client: ExchangeClient, stored: Stored, rate: float, seed: int) -> None:
    observations = Observations(keep_evidence=False)
    async with Viewers(client, observations, seed) as viewers:
        publishers = Publishers(client, viewers, observations)
        pages = Pages(client, viewers, observations)
        async with asyncio.TaskGroup() as sending:
            gaps = wave(rate * (1 - PAGES_SHARE), seed)
            sending.create_task(publishers.send(bid_requests(seed, stored), gaps))
            sending.create_task(pages.open(page_views(seed, stored), wave(rate * PAGES_SHARE, seed + 1)))


async def _until_one_fails(*endless: Coroutine[Any, Any, None]) -> None:
    """Runs them side by side; raises what the first of them raises, once the others have been cancelled."""
    tasks = [asyncio.create_task(each) for each in endless]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in done:
        task.result()


async def _until_ready(client: ExchangeClient) -> None:
    while True:
        try:
            await check_ready(client)
        except CannotRun:
            await asyncio.sleep(PAUSE_SECONDS)
        else:
            return


async def _until_registered(bidders: BidderProcesses, client: ExchangeClient, settings: Settings) -> Stored:
    while True:
        try:
            stored = await set_up_market(client, settings, bidders)
            await store_demand(CatalogueClient(client, settings))
        except ExchangeUnreachable:
            await asyncio.sleep(PAUSE_SECONDS)
        else:
            return stored


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--rate", type=float, default=RATE)
    # Another seed on every start: request ids of an earlier day are not repeated.
    parser.add_argument("--seed", type=int, default=int(time.time()))
    arguments = parser.parse_args()
    try:
        uvloop.run(demo(load(data=arguments.data), arguments.rate, arguments.seed))
    except GavelError as error:
        sys.exit(f"gavel demo: {error}")
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
