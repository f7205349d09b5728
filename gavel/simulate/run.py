"""One run of simulated traffic: so many auctions a second for so long, then a table of what came of it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import AsyncExitStack
from http import HTTPStatus
from pathlib import Path

import msgspec
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table

from domain.money import amount_text
from gavel.errors import CannotRun
from gavel.settings import Settings
from gavel.simulate.arrivals import poisson_gaps
from gavel.simulate.bid_requests import bid_requests
from gavel.simulate.bidder_processes import BidderProcesses
from gavel.simulate.chance import chance
from gavel.simulate.example_catalogue import NOTHING_STORED
from gavel.simulate.exchange_client import ExchangeClient, ExchangeUnreachable
from gavel.simulate.figures import Observations
from gavel.simulate.market import set_up_market
from gavel.simulate.publishers import Publishers
from gavel.simulate.viewers import Viewers

PROGRESS_SECONDS = 0.5


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What to simulate."""

    rate: float
    """Auctions a second, on average: arrivals are a Poisson process."""
    seconds: float
    seed: int = 1
    bidders: bool = True
    """Whether to start and register the simulated bidders."""
    url: str | None = None
    """The exchange; by default the running installation that the settings name."""
    json_file: Path | None = None
    """Where to write the figures and the evidence behind them."""

    @property
    def auctions(self) -> int:
        return round(self.rate * self.seconds)


async def simulate(plan: Plan, settings: Settings, console: Console) -> Observations:
    """Runs the plan to its end. Raises CannotRun when there is no exchange to talk to."""
    url = plan.url or settings.base_url
    observations = Observations(keep_evidence=plan.json_file is not None)
    client = ExchangeClient(url)
    async with AsyncExitStack() as stack:
        stack.callback(client.close)
        await check_ready(client)
        stored = NOTHING_STORED
        if plan.bidders:
            bidders = await stack.enter_async_context(BidderProcesses(settings.data, plan.seed))
            stored = await set_up_market(client, settings, bidders)
        progress = stack.enter_context(_progress(console))
        watching = asyncio.create_task(_watch(progress, plan, observations))
        stack.callback(watching.cancel)
        async with Viewers(client, observations, plan.seed) as viewers:
            gaps = poisson_gaps(chance(plan.seed, "arrivals"), plan.rate, plan.auctions)
            await Publishers(client, viewers, observations).send(bid_requests(plan.seed, stored), gaps)
    if plan.json_file is not None:
        observations.write(plan.json_file, {"url": url, "seed": plan.seed, "rate": plan.rate, "seconds": plan.seconds})
    console.print(summary(observations))
    return observations


async def check_ready(client: ExchangeClient) -> None:
    """Raises CannotRun unless the exchange says that it is ready."""
    try:
        answer = await client.get("/readyz")
    except ExchangeUnreachable as error:
        raise CannotRun(f"{error}: start an exchange with `gavel up`, or name one with --url") from error
    if answer.status != HTTPStatus.OK:
        raise CannotRun(f"the exchange at {client.url} is not ready: {answer.body.decode(errors='replace').strip()}")


def summary(observations: Observations) -> Table:
    """What happened, as a table of two columns."""
    table = Table(title="Simulated traffic", show_header=False, title_justify="left")
    table.add_column(style="bold")
    table.add_column(justify="right")
    for name, value in _lines(observations):
        table.add_row(name, value)
    return table


def _lines(observations: Observations) -> Iterator[tuple[str, str]]:
    figures = observations.figures
    yield "bid requests sent", f"{figures.sent:,}"
    yield "answered 200", f"{figures.answered_200:,}"
    yield "answered 204", f"{figures.answered_204:,}"
    yield "answered 4xx / 5xx", f"{figures.answered_4xx:,} / {figures.answered_5xx:,}"
    yield "not answered / unreadable", f"{figures.unanswered:,} / {figures.unreadable:,}"
    for name, value in observations.latency_ms().items():
        yield f"latency {name}", f"{value:,.1f} ms"
    yield "tests among them", f"{figures.test_auctions:,}"
    yield "awards", f"{figures.awards:,}"
    yield "impressions / gross", f"{figures.impressions:,} / {figures.impressions_gross:,}"
    yield "clicks / gross", f"{figures.clicks:,} / {figures.clicks_gross:,}"
    yield "repeated / by robots", f"{figures.repeated:,} / {figures.robot_hits:,}"
    yield "hits sent again / given up", f"{figures.retries:,} / {figures.unanswered_hits + figures.refused_hits:,}"
    yield "spend", f"{amount_text(figures.spend_nanos)} USD"


def _progress(console: Console) -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed:,.0f}/{task.total:,.0f}"))
    return Progress(*columns, TimeRemainingColumn(), console=console, transient=True)


async def _watch(progress: Progress, plan: Plan, observations: Observations) -> None:
    bar: TaskID = progress.add_task("auctions", total=plan.auctions)
    while True:
        figures = observations.figures
        text = f"auctions  {figures.awards:,} sold, {figures.impressions:,} seen, {figures.clicks:,} clicked"
        progress.update(bar, completed=figures.sent, description=text)
        await asyncio.sleep(PROGRESS_SECONDS)
