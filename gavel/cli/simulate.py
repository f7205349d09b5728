"""`gavel simulate`: traffic against a running exchange, and a summary of what came of it."""

from __future__ import annotations

from pathlib import Path

import rich_click as click
import uvloop
from rich.console import Console

from gavel.cli import options
from gavel.settings import load
from gavel.simulate.run import Plan
from gavel.simulate.run import simulate as run


@click.command(epilog="Example: `gavel simulate --rate 200 --seconds 60` while `gavel up` runs in another terminal.")
@click.option("--rate", type=click.FloatRange(min=0.1), default=100.0, show_default=True, help="Auctions a second.")
@click.option("--seconds", type=click.FloatRange(min=0.1), default=30.0, show_default=True, help="For how long.")
@click.option("--seed", type=int, default=1, show_default=True, help="The same seed sends the same requests.")
@click.option("--bidders/--no-bidders", default=True, show_default=True, help="Start and register simulated bidders.")
@click.option("--url", help="The exchange; by default the installation in the data folder.")
@options.data
@click.option(
    "--json", "json_file", type=click.Path(path_type=Path, dir_okay=False), help="Write figures and evidence here."
)
def simulate(
    *, rate: float, seconds: float, seed: int, bidders: bool, url: str | None, data: Path | None, json_file: Path | None
) -> None:
    """Simulated publishers, bidders and viewers meet the exchange for a while."""
    plan = Plan(rate=rate, seconds=seconds, seed=seed, bidders=bidders, url=url, json_file=json_file)
    uvloop.run(run(plan, load(data=data), Console()))
