"""`gavel projections`: how far the read models are, and building them anew."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Coroutine, Sequence
from contextlib import aclosing, suppress
from pathlib import Path
from typing import Any

import msgspec
import rich_click as click
from rich.console import Console
from rich.filesize import decimal
from rich.table import Table

from gavel.cli import options
from gavel.cli.projection_tables import notes, partitions_table, projections_table
from gavel.cli.rebuild_shown import RebuildShown
from gavel.cli.who import who
from gavel.errors import CannotRun
from gavel.read_side import database_engine, read_side
from gavel.settings import load
from gavel.telemetry import configure_logging
from projections import operations
from projections import rebuild as engine
from projections.generation import NUMBER_MAX
from projections.log_times import LogTimes
from projections.queries.progress import ProjectionStatus, projection_status
from projections.rebuild import RebuildProgress
from projections.redis_client import redis_client
from projections.registry import registered
from projections.servers import Addresses
from projections.verification import Verification
from projections.watermarks import Watermarks

NOT_COMPARABLE = 2
INTERRUPTED = 130
"""As a shell says it of what ended by Ctrl-C."""


@click.group(epilog="Example: `gavel projections list`")
def projections() -> None:
    """Shows, rebuilds, compares and swaps the read models."""


@projections.command("list", epilog="Example: `gavel projections list --data .gavel`")
@click.option("--partitions", is_flag=True, help="Every partition: its position, its lag and who reads it.")
@click.option("--json", "as_json", is_flag=True, help="All that is known, as `GET /v1/projections` answers.")
@options.data
def list_(*, partitions: bool, as_json: bool, data: Path | None) -> None:
    """Shows every projection: whether it runs, how far it is behind the log, how fast it is, and who works on it."""
    statuses = asyncio.run(_statuses(read_side(load(data=data))))
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(statuses), indent=2))
        return
    Console().print(partitions_table(statuses) if partitions else projections_table(statuses))
    for note in notes(statuses):
        click.echo(note)


generation = click.argument("generation", type=click.IntRange(1, NUMBER_MAX), required=False)


@projections.command(epilog="Example: `gavel projections rebuild delivery`")
@click.argument("name")
@click.option("--no-swap", is_flag=True, help="Build it and leave the active generation as it is.")
@click.option("--accept-differences", is_flag=True, help="Swap although rows differ: what was wrong is to be mended.")
@click.option("--accept-dead-letters", is_flag=True, help="Park events that cannot be applied, and swap all the same.")
@click.option("--processes", type=click.IntRange(1, 64), default=1, help="How many replay, partition by partition.")
@options.data
def rebuild(
    *,
    name: str,
    no_swap: bool,
    accept_differences: bool,
    accept_dead_letters: bool,
    processes: int,
    data: Path | None,
) -> None:
    """Builds a projection anew from the first event on, compares, and swaps, while everybody reads.

    One in Redis is emptied and filled in place: until that is done, whoever needs it works with the state known last,
    or does without; no campaign bids while `budgets` is built. Called again after it was interrupted, it goes on where
    it was.
    """
    addresses = read_side(load(data=data))
    # Workers that replay at the same time fence each other off: part of the work, and no news.
    configure_logging("warning", process="rebuild")
    console = Console(stderr=True, soft_wrap=True)
    if needed := asyncio.run(operations.disk_needed(addresses, name)):
        console.print(f"{name} will take about {decimal(needed)} of disk once more, until the old one is retired.")
    shown = RebuildShown(console, name, is_in_place=registered(name).place == "redis", swaps=not no_swap)
    work = engine.rebuild(
        addresses,
        name,
        on_progress=shown.show,
        swaps=not no_swap,
        accept_dead_letters=accept_dead_letters,
        accept_differences=accept_differences,
        by=who(),
    )
    try:
        with shown:
            helper = ["project", name, *(["--data", str(data)] if data else [])]
            done = asyncio.run(_helped(work, processes - 1, helper))
    except engine.NotEqual as different:
        _tell(different.verification)
        raise CannotRun(f"{different}; --accept-differences swaps all the same") from different
    except engine.RebuildStopped as stopped:
        raise CannotRun(f"{stopped}; --accept-dead-letters parks such events") from stopped
    except KeyboardInterrupt:
        console.print(shown.interrupted())
        sys.exit(INTERRUPTED)
    console.print(shown.done(done))


@projections.command(epilog="Example: `gavel projections verify delivery`")
@click.argument("name")
@generation
@click.option("--json", "as_json", is_flag=True, help="What was found, by table, in place of words.")
@options.data
def verify(*, name: str, generation: int | None, as_json: bool, data: Path | None) -> None:
    """Compares a generation with the active one, row for row, at the same offsets.

    By default the one that `swap` takes. Exits with 1 if they differ, and with 2 if they have different tables, so that
    nothing can be compared.
    """
    found = asyncio.run(operations.verify(read_side(load(data=data)), name, generation, by=who()))
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(found), indent=2))
    else:
        _tell(found)
    if found.is_equal is False:
        raise CannotRun(found.summary)
    if not as_json:
        click.echo(f"{found.summary}.")
    if found.is_equal is None:
        sys.exit(NOT_COMPARABLE)


@projections.command(epilog="Example: `gavel projections swap delivery`")
@click.argument("name")
@generation
@click.option("--accept-dead-letters", is_flag=True, help="Swap although it lacks events that could not be applied.")
@options.data
def swap(*, name: str, generation: int | None, accept_dead_letters: bool, data: Path | None) -> None:
    """Lets queries read another generation; called again, it swaps back.

    By default the one that was built and waits, or else the one that was read before.
    """
    addresses = read_side(load(data=data))
    swapped = operations.swap(addresses, name, generation, accept_dead_letters=accept_dead_letters, by=who())
    active = asyncio.run(swapped)
    click.echo(f"Queries read generation {active.number} of {name} now.")


@projections.command(epilog="Example: `gavel projections retire delivery`")
@click.argument("name")
@generation
@options.data
def retire(*, name: str, generation: int | None, data: Path | None) -> None:
    """Removes a generation that queries do not read; by default the newest such."""
    gone = asyncio.run(operations.retire(read_side(load(data=data)), name, generation, by=who()))
    click.echo(f"Generation {gone.number} of {name} is {gone.status}.")


@projections.command(epilog="Example: `gavel projections cancel delivery`")
@click.argument("name")
@generation
@options.data
def cancel(*, name: str, generation: int | None, data: Path | None) -> None:
    """Gives up a generation that is being built, or waits for its swap; by default the newest such."""
    gone = asyncio.run(operations.cancel(read_side(load(data=data)), name, generation, by=who()))
    click.echo(f"Generation {gone.number} of {name} is {gone.status}.")


@projections.command(epilog="Example: `gavel projections pause delivery`")
@click.argument("name")
@options.data
def pause(*, name: str, data: Path | None) -> None:
    """Stops a projection, over restarts as well, until it is resumed."""
    asyncio.run(operations.pause(read_side(load(data=data)), name, by=who()))
    click.echo(f"{name} is paused.")


@projections.command(epilog="Example: `gavel projections resume delivery`")
@click.argument("name")
@options.data
def resume(*, name: str, data: Path | None) -> None:
    """Lets a projection go on that was paused, or had stopped."""
    asyncio.run(operations.resume(read_side(load(data=data)), name, by=who()))
    click.echo(f"{name} goes on.")


def _tell(found: Verification) -> None:
    table = Table("table", "rows", "rows built", "missing", "surplus")
    for each in found.tables:
        table.add_row(each.table, *(f"{n:,}" for n in (each.rows, each.rows_built, each.missing, each.surplus)))
    Console().print(table)
    for each in found.tables:
        for sign, rows in (("-", each.missing_rows), ("+", each.surplus_rows)):
            for row in rows:
                click.echo(f"{sign} {each.table} {row}")


async def _helped(work: Coroutine[Any, Any, RebuildProgress], helpers: int, command: Sequence[str]) -> RebuildProgress:
    """Does it while so many processes more run the command."""
    running = [await asyncio.create_subprocess_exec(sys.executable, "-m", "gavel", *command) for _ in range(helpers)]
    try:
        return await work
    finally:
        for each in running:
            with suppress(ProcessLookupError):
                each.terminate()
        await asyncio.gather(*(each.wait() for each in running))


async def _statuses(addresses: Addresses) -> Sequence[ProjectionStatus]:
    database = database_engine(addresses.postgres_url)
    try:
        async with (
            Watermarks(addresses.kafka_url, client_id="gavel-projections") as watermarks,
            LogTimes(addresses.kafka_url, client_id="gavel-projections") as log_times,
            aclosing(redis_client(addresses.redis_url)) as redis,
        ):
            return await projection_status(
                database, watermarks, names=addresses.names, redis=redis, log_times=log_times
            )
    finally:
        await database.dispose()
