"""Traffic over HTTP beside a measurement: auctions and pixels at a fixed rate, for as long as the block lasts."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from http import HTTPStatus

from bench.bid_requests import bid_requests, post
from bench.gavel_api import AUCTION_PATH
from bench.http_load import LoadPlan, generate
from bench.impressions import Pixels

PLAN_SECONDS = 15
"""One process of the load generator lives so long."""
CONNECTIONS = 16
ACCEPTED = {HTTPStatus.OK, HTTPStatus.NO_CONTENT}


class Traffic:
    """What was sent so far, and what came back."""

    def __init__(self) -> None:
        self.statuses: Counter[int] = Counter()
        self.unanswered = 0

    def __repr__(self) -> str:
        return f"Traffic({dict(self.statuses)}, {self.unanswered} unanswered)"

    @property
    def answered(self) -> int:
        return sum(self.statuses.values())

    @property
    def refused(self) -> int:
        """Answered with neither an ad, nor none, nor a pixel; or not at all."""
        return self.unanswered + sum(count for status, count in self.statuses.items() if status not in ACCEPTED)


@asynccontextmanager
async def traffic(port: int, pixels: Pixels, rate: int) -> AsyncIterator[Traffic]:
    """So many requests a second, every other one a pixel, in an open loop; all are answered when the block ends."""
    seen, stop = Traffic(), asyncio.Event()
    sending = asyncio.create_task(_send(port, pixels, rate, seen, stop))
    try:
        yield seen
    finally:
        stop.set()
        await sending


async def _send(port: int, pixels: Pixels, rate: int, seen: Traffic, stop: asyncio.Event) -> None:
    while not stop.is_set():
        count = rate * PLAN_SECONDS
        plan = LoadPlan(
            port=port, requests=_requests(pixels, count), count=count, connections=CONNECTIONS, rate=float(rate)
        )
        result = await generate(plan)
        seen.statuses.update(result.statuses)
        seen.unanswered += result.failed


def _requests(pixels: Pixels, count: int) -> Sequence[bytes]:
    auctions = [post(AUCTION_PATH, body) for body in bid_requests(count // 2)]
    return [request for pair in zip(auctions, pixels.fresh(count // 2), strict=True) for request in pair]
