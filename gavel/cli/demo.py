"""`gavel demo`: an exchange with simulated traffic, to be watched."""

from __future__ import annotations

from pathlib import Path

import rich_click as click

from gavel.cli import options
from gavel.cli.up import run_exchange


@click.command(epilog="Example: `gavel demo --port 9000`, then open the address that it prints.")
@options.data
@options.host
@options.port
@options.workers
@options.brokers
def demo(*, data: Path | None, host: str | None, port: int | None, workers: int | None, brokers: int | None) -> None:
    """Runs an exchange with simulated publishers, bidders and viewers.

    Ctrl-C stops everything; the data stay for the next start.
    """
    overrides = {"data": data, "host": host, "port": port, "workers": workers, "brokers": brokers}
    # The simulated bidders live on this machine.
    run_exchange({**overrides, "allow_private_endpoints": True}, demo=True)
