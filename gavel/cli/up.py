"""`gavel up`: a whole exchange on this machine, or some of its servers."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Collection
from pathlib import Path
from typing import Any, cast

import rich_click as click

from gavel.cli import options
from gavel.embedded.servers import ALL, ServerName
from gavel.exchange import Exchange
from gavel.interrupts import until_interrupted


@click.command(
    epilog="Example: `gavel up --port 9000 --workers 2`, or, for tests and development, `gavel up --only kafka,redis`"
)
@options.data
@options.host
@options.port
@options.workers
@options.brokers
@click.option("--only", metavar="SERVERS", help="Start only these of kafka,postgres,redis, and no exchange.")
def up(
    *, data: Path | None, host: str | None, port: int | None, workers: int | None, brokers: int | None, only: str | None
) -> None:
    """Runs an exchange: starts the servers that no setting names, then projectors and API, and keeps them running.

    Ctrl-C stops everything; the data stay for the next start.
    """
    overrides = {"data": data, "host": host, "port": port, "workers": workers, "brokers": brokers}
    run_exchange(overrides, only=_parse_servers(only))


def run_exchange(overrides: dict[str, Any], *, only: Collection[ServerName] | None = None, demo: bool = False) -> None:
    """Runs it until Ctrl-C. Lines for people go to standard output, those of the processes to standard error."""
    exchange = Exchange(overrides, say=_say, log=_log, only=only, demo=demo)
    asyncio.run(until_interrupted(exchange.run(), stopping=_stopping, hurry=exchange.kill))


def _parse_servers(text: str | None) -> Collection[ServerName] | None:
    if text is None:
        return None
    names = {name.strip() for name in text.split(",")}
    if unknown := sorted(names - ALL):
        raise click.BadParameter(f"{', '.join(unknown)}: not one of {', '.join(sorted(ALL))}", param_hint="--only")
    return cast("Collection[ServerName]", frozenset(names))


def _say(line: str) -> None:
    print(line, flush=True)  # noqa: T201 - what the command is for


def _log(line: str) -> None:
    print(line, file=sys.stderr, flush=True)  # noqa: T201 - the processes' own lines


def _stopping() -> None:
    _say("Stopping; Ctrl-C again to hurry.")
