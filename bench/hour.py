"""The condensed hour: simulated traffic through the whole product, then an independent count of the topics.

The count is the auditor's (`tests/recount.py`): a plain consumer and none of Gavel's code. It has to equal what the
two read models say, `auction_log` row by row in Postgres and `delivery` through the report that a user asks for.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from time import monotonic
from typing import Any, NamedTuple

import asyncpg
import msgspec
from rich.console import Console

from bench import machine, report
from bench.installation import fresh_folder
from bench.process import python, running
from bench.size import Size
from tests.journeys.running_exchange import RunningExchange, eventually, running_exchange
from tests.journeys.test_recount import REPORTED, STORED, assert_read_models_agree
from tests.recount import recount

RESULTS = Path(__file__).with_name("HOUR.md")
SPARE_SECONDS = 300
"""On top of what the traffic takes by its rate, for whatever waits behind it."""
DRAIN_SECONDS = 600
SENT_TO_HELD = 1.02
"""Publishers' tests are not counted, so a few more auctions are sent than have to be held."""
ALWAYS = "from=2020-01-01T00:00:00Z&to=2100-01-01T00:00:00Z"
NANOS_PER_UNIT = 10**9

MONEY = ("spend", "revenue", "fee")
STORED_MONEY = """
SELECT sum(clearing_price_micros)::bigint, sum(revenue_micros)::bigint, sum(fee_micros)::bigint
FROM (SELECT DISTINCT day, auction_id, imp_id FROM auction_engagements
      WHERE kind = 'impression' AND verdict = 'valid') AS seen
JOIN auction_awards USING (day, auction_id, imp_id) WHERE sold
"""
"""A CPM of one micro is one nano-unit per impression."""
SEEN_BY_CLIENTS = {
    "bid_requested": "auctions",
    "imps": "imps",
    "auction_awarded": "awards",
    "impression_recorded": "impressions_gross",
    "valid impression_recorded": "impressions",
    "click_recorded": "clicks_gross",
    "valid click_recorded": "clicks",
}
HEADINGS = ("the topics", "auction_log", "delivery", "the clients")


class Agreement(NamedTuple):
    """One figure from up to four places; None where a place does not know it."""

    topics: int
    auction_log: int | None
    delivery: int | None
    clients: int | None

    @property
    def holds(self) -> bool:
        return all(figure in {None, self.topics} for figure in self)

    def cells(self) -> list[str]:
        return ["" if figure is None else f"{figure:,}" for figure in self]


class CountsDiffer(RuntimeError):
    """A read model does not say what the topics say."""


async def run(size: Size, console: Console, *, rate: int, keep: bool) -> None:
    """Raises CountsDiffer, or AssertionError with the group of rows that differs."""
    seconds = size.hour_auctions * SENT_TO_HELD / rate
    console.print(f"On {machine.describe()}:\nabout {seconds:.0f} s of {rate} auctions a second")
    with fresh_folder() as folder:
        async with running_exchange(folder / "data") as exchange:
            seen = await _simulate(exchange, rate, seconds)
            drain_seconds = await _drain(exchange)
            counted = await recount(exchange.installation["kafka_url"].removeprefix("kafka://"))
            figures = await _side_by_side(exchange, counted, seen)
            await assert_read_models_agree(exchange, counted)
    rows = {name: figure.cells() for name, figure in figures.items()}
    report.figures_table(console, "The condensed hour", HEADINGS, rows)
    held = figures["bid_requested"].topics
    summary = (
        f"{held:,} auctions were held within {seconds:.0f} s of traffic in an open loop; "
        f"{seen['answered_5xx']} requests were answered 5xx and {seen['unanswered']} not at all.\n"
        f"The read models had caught up {drain_seconds:.1f} s after the last answer."
    )
    console.print(summary)
    if different := [name for name, figure in figures.items() if not figure.holds]:
        raise CountsDiffer(f"these differ: {', '.join(different)}")
    if held < size.hour_auctions:
        raise CountsDiffer(f"only {held:,} of {size.hour_auctions:,} auctions were held: ask for them at a lower rate")
    console.print("Every figure agrees, and so does the money by publisher, bidder and hour.")
    if keep:
        RESULTS.write_text("\n".join(_page(rows, summary)) + "\n")


async def _simulate(exchange: RunningExchange, rate: int, seconds: float) -> dict[str, Any]:
    """Sends the traffic and returns what publishers and viewers saw."""
    file = exchange.data / "clients.json"
    options = {"rate": rate, "seconds": seconds, "data": exchange.data, "json": file}
    words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    async with running("simulate", python("-m", "gavel", "simulate", *words)) as process:
        await process.success(seconds + SPARE_SECONDS)
    seen: dict[str, Any] = msgspec.json.decode(file.read_bytes())
    return seen


async def _drain(exchange: RunningExchange) -> float:
    """Seconds until every projection has applied all that is in the log."""

    async def no_lag() -> bool:
        return all(projection["lag"] == 0 for projection in await exchange.get("/v1/projections"))

    started = monotonic()
    await eventually(no_lag, DRAIN_SECONDS)
    return monotonic() - started


async def _side_by_side(
    exchange: RunningExchange, counted: dict[str, Any], seen: dict[str, Any]
) -> dict[str, Agreement]:
    counts = counted["counts"]
    stored = await _stored(exchange.installation["postgres_url"])
    totals = (await exchange.get(f"/v1/reports/delivery?{ALWAYS}"))["totals"]
    reported = {name: totals[column] for name, column in REPORTED.items()}
    reported |= {unit: int(Decimal(totals[unit]) * NANOS_PER_UNIT) for unit in MONEY}
    # What was not answered may still have been logged, so then the clients cannot know.
    knowing = not (seen["answered_5xx"] or seen["unanswered"] or seen["unanswered_hits"] or seen["retries"])
    # Clients are not told that they were taken for robots.
    clients = {name: seen[column] - counts.get(f"robots' {name}", 0) for name, column in SEEN_BY_CLIENTS.items()}
    clients["spend"] = seen["spend_nanos"]
    names = [*STORED, *(name for name in REPORTED if name not in STORED)]
    logged = {name: counts[name] for name in names} | counted["money"]
    return {
        name: Agreement(figure, stored.get(name), reported.get(name), clients.get(name) if knowing else None)
        for name, figure in logged.items()
    }


async def _stored(postgres_url: str) -> dict[str, int]:
    """What the rows of `auction_log` say."""
    connection = await asyncpg.connect(postgres_url)
    try:
        counts = {name: await connection.fetchval(query) for name, query in STORED.items()}
        (money,) = await connection.fetch(STORED_MONEY)
    finally:
        await connection.close()
    return counts | dict(zip(MONEY, money, strict=True))


def _page(rows: Mapping[str, Sequence[str]], summary: str) -> Iterator[str]:
    yield "# The condensed hour"
    yield ""
    yield f"Measured on {datetime.now(UTC):%Y-%m-%d}: {machine.describe()}."
    yield "`python -m bench hour` measures it again and writes this page."
    yield ""
    yield "Simulated publishers, bidders and viewers met the whole product, embedded servers included."
    yield "Then the topics were counted with a plain consumer and none of the product's code."
    yield "`auction_log` was counted row by row in Postgres, `delivery` is the report that a user asks for."
    yield "Money is in nano-units; tests do not count; an empty field is a figure that the place does not keep."
    yield ""
    yield from report.markdown_table(("", *HEADINGS), [(name, *row) for name, row in rows.items()])
    yield ""
    yield "All of it agrees, and so does the money by publisher, bidder and hour."
    yield ""
    yield summary
