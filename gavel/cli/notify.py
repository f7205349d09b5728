"""`gavel notify`: tells bidders what became of their bids."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import rich_click as click
import uvloop

from gavel.cli import options
from gavel.interrupts import until_interrupted
from gavel.settings import load


@click.command(epilog="Example: `GAVEL_ALLOW_PRIVATE_ENDPOINTS=true gavel notify`, where bidders run on this machine")
@options.data
@click.option("--metrics-port", type=click.IntRange(1, 65_535), help="Serve its figures for Prometheus here.")
def notify(*, data: Path | None, metrics_port: int | None) -> None:
    """Sends win, loss and billing notices to bidders.

    Start it as often as you like, on as many machines: each takes its share of what is due, and takes over from one
    that died.
    """
    from gavel.notifier import run_notifier  # noqa: PLC0415 - `gavel notify --help` does not need the servers' clients

    work = run_notifier(load(data=data), metrics_port=metrics_port)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(until_interrupted(work, stopping=lambda: None, hurry=lambda: os._exit(1)))
