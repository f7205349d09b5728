"""`gavel projections`: how far the read models are, and building them anew."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import aclosing
from pathlib import Path

import rich_click as click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from gavel.cli import options
from gavel.settings import load
from gavel.telemetry import configure_logging
from gavel.wiring import database_engine, read_side
from projections import rebuild as engine
from projections.queries.progress import ProjectionStatus, projection_status
from projections.rebuild import RebuildProgress
from projections.redis_client import redis_client
from projections.servers import Addresses
from projections.watermarks import Watermarks


@click.group(epilog="Example: `gavel projections list`")
def projections() -> None:
    """Shows and rebuilds the read models."""


@projections.command("list", epilog="Example: `gavel projections list --data .gavel`")
@options.data
def list_(*, data: Path | None) -> None:
    """Shows every projection: whether it runs, and how far it is behind the log."""
    statuses = asyncio.run(_statuses(read_side(load(data=data))))
    table = Table()
    for column in ("projection", "generation", "status", "lag", "partitions", "reason"):
        table.add_column(column, justify="right" if column in {"generation", "lag", "partitions"} else "left")
    for each in statuses:
        lag = "?" if each.lag is None else f"{each.lag:,}"
        counts = (str(each.generation), each.status, lag, str(len(each.partitions)))
        table.add_row(each.name, *counts, each.reason or "")
    Console().print(table)


@projections.command(epilog="Example: `gavel projections rebuild delivery`")
@click.argument("name")
@options.data
def rebuild(*, name: str, data: Path | None) -> None:
    """Builds a projection anew from the first event on, while traffic goes on."""
    addresses = read_side(load(data=data))
    # Workers that replay at the same time fence each other off: part of the work, and no news.
    configure_logging("warning", process="rebuild")
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[rate]}"))
    with Progress(*columns, TimeRemainingColumn(), console=console) as progress:
        bar = progress.add_task(f"Rebuilding {name}", total=None, rate="")

        def show(at: RebuildProgress) -> None:
            progress.update(bar, completed=at.done, total=at.total, rate=f"{at.per_second:,.0f} events/s")

        done = asyncio.run(engine.rebuild(addresses, name, on_progress=show))
    console.print(f"{name} is rebuilt from {done.total:,} events in {done.seconds:.1f} s.")


async def _statuses(addresses: Addresses) -> Sequence[ProjectionStatus]:
    database = database_engine(addresses.postgres_url)
    try:
        async with (
            Watermarks(addresses.kafka_url, client_id="gavel-projections") as watermarks,
            aclosing(redis_client(addresses.redis_url)) as redis,
        ):
            return await projection_status(database, watermarks, names=addresses.names, redis=redis)
    finally:
        await database.dispose()
