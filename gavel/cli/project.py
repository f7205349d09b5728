"""`gavel project`: builds read models and caches from the log."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import rich_click as click
import uvloop

from gavel.cli import options
from gavel.interrupts import until_interrupted
from gavel.settings import load
from gavel.standstill import ending_at_a_standstill


@click.command(epilog="Example: `gavel project`, or one process for each: `gavel project delivery`")
@click.argument("names", metavar="[NAME]…", nargs=-1)
@options.data
def project(*, names: tuple[str, ...], data: Path | None) -> None:
    """Runs projections, all of them or those named.

    Start it as often as you like, on as many machines: Kafka hands each process its share of the partitions.
    """
    from gavel.wiring import run_projectors  # noqa: PLC0415 - `gavel project --help` does not need the engine

    work = ending_at_a_standstill(run_projectors(load(data=data), names))
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(until_interrupted(work, stopping=lambda: None, hurry=lambda: os._exit(1)))
