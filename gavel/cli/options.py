"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path

import rich_click as click

data = click.option(
    "--data",
    type=click.Path(path_type=Path, file_okay=False),
    help="Data folder of the installation.  [default: .gavel]",
)
host = click.option("--host", help="Address to listen on.  [default: 127.0.0.1]")
port = click.option("--port", type=click.IntRange(0, 65_535), help="Port to listen on; 0: a free one.  [default: 8080]")
workers = click.option("--workers", type=click.IntRange(min=1), help="API processes.  [default: 1]")
brokers = click.option(
    "--brokers", type=click.Choice([1, 3]), help="Embedded Kafka brokers; of 3, one may fail.  [default: 1]"
)
