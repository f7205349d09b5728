"""`python -m bench`: the command line of the bench."""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from time import monotonic

import msgspec
import rich_click as click
import uvloop
from rich.console import Console

from bench import (
    auctions,
    audit,
    feed_drill,
    feed_records,
    hour,
    impressions,
    load_test,
    machine,
    matching,
    projections,
    rebuild,
    report,
)
from bench.followed_build import BuildFailed
from bench.installation import Installation, installed
from bench.process import ProcessFailed
from bench.size import FULL, SMOKE, Size

MEASUREMENTS: dict[str, Callable[[Installation, Size], Awaitable[report.Section]]] = {
    "auctions": auctions.measure,
    "matching": matching.measure,
    "impressions": impressions.measure,
    "projections": projections.measure,
    "feeds": feed_records.measure,
}
FAILURES = (
    ProcessFailed,
    BuildFailed,
    hour.CountsDiffer,
    audit.Differs,
    rebuild.Disturbed,
    feed_drill.DrillFailed,
)
"""What ends a measurement, said in a few lines."""
LONGEST_SECONDS = 45 * 60
WIDTH = 200


@click.group(invoke_without_command=True)
@click.option("--only", multiple=True, type=click.Choice(list(MEASUREMENTS)), help="Measure this part; writes nothing.")
@click.option("--smoke", is_flag=True, help="Little of everything, to see that it runs; writes nothing.")
@click.pass_context
def main(context: click.Context, only: Sequence[str], smoke: bool) -> None:
    """Measure Gavel beside its peers in one run; without options the results go to bench/RESULTS.md."""
    if context.invoked_subcommand is None:
        size = SMOKE if smoke else FULL
        _run(_ratios(only or list(MEASUREMENTS), size, keep=not (only or smoke)))


@main.command("hour")
@click.option("--smoke", is_flag=True, help="A hundredth of it, to see that it runs; writes nothing.")
@click.option("--rate", type=click.IntRange(min=1), help="Auctions a second; what this machine holds.")
def condensed_hour(*, smoke: bool, rate: int | None) -> None:
    """Send the condensed hour through the whole product, recount it from the topics, write bench/HOUR.md."""
    size = SMOKE if smoke else FULL
    _run(hour.run(size, _console(), rate=rate or size.hour_rate, keep=not smoke))


@main.command("load")
@click.option("--smoke", is_flag=True, help="A few impressions, to see that it runs; writes nothing.")
def load_forms(*, smoke: bool) -> None:
    """Send bursts of impressions to Gavel, to Express + kafkajs and straight to a database; write bench/LOAD.md."""
    _run(load_test.run(SMOKE if smoke else FULL, _console(), keep=not smoke))


@main.command("audit")
@click.option("--smoke", is_flag=True, help="A hundredth of it, to see that it runs; writes nothing.")
@click.option("--rate", type=click.IntRange(min=1), help="Auctions a second; what this machine holds.")
def recounted_from_the_topics(*, smoke: bool, rate: int | None) -> None:
    """Let everything die that can while half a million auctions run, recount them, write bench/AUDIT.md."""
    size = SMOKE if smoke else FULL
    _run(audit.run(size, _console(), rate=rate or size.audit_rate, keep=not smoke))


@main.command("rebuild")
@click.option("--smoke", is_flag=True, help="A few events, to see that it runs; writes nothing.")
@click.option("--events", type=click.IntRange(min=1_000), help="In the log, instead of five million.")
def rebuilt_while_everyone_reads(*, smoke: bool, events: int | None) -> None:
    """Build read models of five million events anew under traffic and readers; write bench/REBUILD.md."""
    size = SMOKE if smoke else FULL
    if events is not None:
        size = msgspec.structs.replace(
            size, rebuild_events=events, rebuild_window_events=min(size.rebuild_window_events, events)
        )
    _run(rebuild.run(size, _console(), keep=not smoke))


@main.command("feeds")
@click.option("--smoke", is_flag=True, help="A hundredth of it, to see that it runs; writes nothing.")
def fed_while_servers_die(*, smoke: bool) -> None:
    """Load five million feed records and change them while servers die, compare every key, write bench/FEEDS.md."""
    _run(feed_drill.run(SMOKE if smoke else FULL, _console(), keep=not smoke))


def _run(measurement: Coroutine[None, None, None]) -> None:
    """Says in a few lines what stood in the way, without a traceback."""
    # A client that retries while a fresh topic finds its leaders is not news; a failure is raised where it happens.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    try:
        uvloop.run(_bounded(measurement))
    except FAILURES as failure:
        raise click.ClickException(str(failure)) from failure
    except asyncio.CancelledError:
        raise click.ClickException("ended by a signal; nothing was written") from None
    except TimeoutError:
        raise click.ClickException(f"not done within {LONGEST_SECONDS // 60} minutes; nothing was written") from None


def _console() -> Console:
    """As wide as the terminal; where there is none, as wide as the tables."""
    return Console() if sys.stdout.isatty() else Console(width=WIDTH)


async def _ratios(names: Sequence[str], size: Size, *, keep: bool) -> None:
    console = _console()
    console.print(f"On {machine.describe()}")
    started = monotonic()
    sections = []
    async with installed() as installation:
        for name in names:
            with console.status(f"Measuring {name} …"):
                sections.append(await MEASUREMENTS[name](installation, size))
            report.show(sections[-1], console)
    if keep:
        path = report.write(sections, seconds=monotonic() - started)
        console.print(f"\nWritten to {path.relative_to(path.parents[1])}")


async def _bounded(measurement: Coroutine[None, None, None]) -> None:
    """The run within its bound; a polite end of this process ends all that it has started."""
    running = asyncio.create_task(measurement)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, running.cancel)
    await asyncio.wait_for(running, LONGEST_SECONDS)


if __name__ == "__main__":
    main()
