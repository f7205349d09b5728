"""Readers that poll read models all the time, and what each of them must never be told.

A figure of a key never falls, a key never vanishes, an answer's rows add up to its totals, and no answer is an error.
They read as anybody does: over HTTP, and with SQL on the views.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from decimal import Decimal
from http import HTTPStatus
from time import perf_counter
from typing import Any, TypeAlias

import aiohttp
import asyncpg
import msgspec

from projections.postgres_store import Pool

PAUSE_SECONDS = 0.1
PATIENCE_SECONDS = 60.0
"""For one answer, on a machine whose cores are all taken."""
FAULTS_TOLD_MAX = 10
ALWAYS = "from=2020-01-01T00:00:00Z&to=2100-01-01T00:00:00Z"
COUNTS = ("requests", "imps", "bids", "wins", "impressions_gross", "impressions", "clicks_gross", "clicks")
MONEY = ("spend", "revenue", "fee")
OUTCOMES = ("considered", "asked", "placed", "refused", "no_bid", "timeout", "error", "skipped", "won", "late")

Figures: TypeAlias = Mapping[tuple[Any, ...], Sequence[Decimal | int]]
"""By key, those that can only grow."""
Ask: TypeAlias = Callable[[], Awaitable[Figures]]

DELIVERY_BY_QUARTER = """
SELECT quarter, bidder_id, currency, sum(requests), sum(imps), sum(bids), sum(wins), sum(impressions),
    sum(spend_nanos)
FROM delivery JOIN delivery_lines USING (line) GROUP BY 1, 2, 3
"""
BIDDERS = "SELECT bidder_id, outcome, sum(events) FROM bidder_health GROUP BY 1, 2"


class NotAnswered(RuntimeError):
    """The API answered something else than the figures."""


class Watched:
    """What one reader was told, and what was wrong with it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.answers = 0
        self.news = 0
        """Answers that said more than the one before: without any, nothing was shown."""
        self.slowest_seconds = 0.0
        self.faults = 0
        self.told_faults: list[str] = []
        """The first of them."""
        self._last: Figures = {}

    def __repr__(self) -> str:
        return f"Watched({self.name!r}, {self.answers} answers, {self.faults} faults)"

    def answered(self, figures: Figures, seconds: float) -> None:
        """Compares an answer with the one before."""
        self.answers += 1
        self.slowest_seconds = max(self.slowest_seconds, seconds)
        for key in self._last.keys() - figures.keys():
            self.failed(f"a gap: {key} is gone")
        for key, before in self._last.items():
            now = figures.get(key, before)
            if any(new < old for new, old in zip(now, before, strict=True)):
                self.failed(f"a step back: {key} fell from {_told(before)} to {_told(now)}")
        self.news += figures != self._last
        self._last = figures

    def failed(self, fault: str) -> None:
        self.faults += 1
        if len(self.told_faults) < FAULTS_TOLD_MAX:
            self.told_faults.append(f"{self.name}: {fault}")


@asynccontextmanager
async def polling(asks: Mapping[str, Ask]) -> AsyncIterator[list[Watched]]:
    """While inside, a reader for each asks again and again; yields what they see."""
    readers = [Watched(name) for name in asks]
    stop = asyncio.Event()
    tasks = [asyncio.create_task(_poll(reader, asks[reader.name], stop)) for reader in readers]
    try:
        yield readers
    finally:
        stop.set()
        await asyncio.gather(*tasks)


async def _poll(reader: Watched, ask: Ask, stop: asyncio.Event) -> None:
    while not stop.is_set():
        started = perf_counter()
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                figures = await ask()
        except (NotAnswered, aiohttp.ClientError, asyncpg.PostgresError, OSError, TimeoutError) as error:
            reader.failed(f"an error: {error!r}")
        else:
            reader.answered(figures, perf_counter() - started)
        await asyncio.sleep(PAUSE_SECONDS)


# -- what they ask ----------------------------------------------------------------------------------


def delivery_report(http: aiohttp.ClientSession, *by: str) -> Ask:
    """The delivery report by these dimensions."""

    async def ask() -> Figures:
        report = await _get(http, f"/v1/reports/delivery?{ALWAYS}&by={','.join(by)}")
        for name in COUNTS:
            if sum(row[name] for row in report["rows"]) != report["totals"][name]:
                raise NotAnswered(f"the rows do not add up to the total of {name}: two states in one answer")
        return {
            tuple(row[name] for name in (*by, "currency")): [
                *(row[name] for name in COUNTS),
                *(Decimal(row[name]) for name in MONEY),
            ]
            for row in report["rows"]
        }

    return ask


def bidder_report(http: aiohttp.ClientSession) -> Ask:
    """The bidders' report by hour."""

    async def ask() -> Figures:
        report = await _get(http, f"/v1/reports/bidders?{ALWAYS}&by=hour")
        return {(row["bidder"], row["hour"]): [row[name] for name in OUTCOMES] for row in report["rows"]}

    return ask


def sql(pool: Pool, query: str, *, key_columns: int) -> Ask:
    """Rows of a query, the first columns of which are the key."""

    async def ask() -> Figures:
        return {tuple(row[:key_columns]): list(row[key_columns:]) for row in await pool.fetch(query)}

    return ask


async def _get(http: aiohttp.ClientSession, path: str) -> Any:
    async with http.get(path) as answer:
        body = await answer.read()
        if answer.status != HTTPStatus.OK:
            raise NotAnswered(f"{answer.status} {body[:200]!r}")
        return msgspec.json.decode(body)


def _told(figures: Sequence[Decimal | int]) -> str:
    return "(" + ", ".join(map(str, figures)) + ")"
