"""`python -m bench`: the command line of the bench."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable, Sequence
from time import monotonic

import rich_click as click
from rich.console import Console

from bench import auctions, hour, impressions, machine, projections, report
from bench.installation import Installation, installed
from bench.size import FULL, SMOKE, Size

MEASUREMENTS: dict[str, Callable[[Installation, Size], Awaitable[report.Section]]] = {
    "auctions": auctions.measure,
    "impressions": impressions.measure,
    "projections": projections.measure,
}
LONGEST_SECONDS = 45 * 60


@click.group(invoke_without_command=True)
@click.option("--only", multiple=True, type=click.Choice(list(MEASUREMENTS)), help="Measure this part; writes nothing.")
@click.option("--smoke", is_flag=True, help="Little of everything, to see that it runs; writes nothing.")
@click.pass_context
def main(context: click.Context, only: Sequence[str], smoke: bool) -> None:
    """Measure Gavel beside its peers in one run; without options the results go to bench/RESULTS.md."""
    if context.invoked_subcommand is None:
        asyncio.run(_bounded(_ratios(only or list(MEASUREMENTS), SMOKE if smoke else FULL, keep=not (only or smoke))))


@main.command("hour")
@click.option("--smoke", is_flag=True, help="A hundredth of it, to see that it runs; writes nothing.")
def condensed_hour(*, smoke: bool) -> None:
    """Send the condensed hour through the whole product and recount it from the topics."""
    asyncio.run(_bounded(hour.run(SMOKE if smoke else FULL, Console(), keep=not smoke)))


async def _ratios(names: Sequence[str], size: Size, *, keep: bool) -> None:
    console = Console()
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


async def _bounded(run: Awaitable[None]) -> None:
    """The run within its bound; a polite end of this process ends all that it has started."""
    running = asyncio.ensure_future(run)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, running.cancel)
    await asyncio.wait_for(running, LONGEST_SECONDS)


if __name__ == "__main__":
    main()
