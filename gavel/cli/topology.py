"""`gavel topology`: the map of what flows where."""

from __future__ import annotations

from pathlib import Path

import rich_click as click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from domain.events import NoticeDelivered, NoticeFailed
from domain.names import Names
from gavel.cli import options
from gavel.settings import load
from projections.engine_tables import feed_audit
from projections.registry import Stop
from projections.registry import topology as stops


@click.command(epilog="Example: `GAVEL_NAMESPACE=staging gavel topology`")
@options.data
def topology(*, data: Path | None) -> None:
    """Prints what reads which events of which topics, and where it writes. Needs no server."""
    console = Console()
    names = Names(load(data=data).namespace)
    for stop in stops(names):
        console.print(Text(stop.projection, style="bold"))
        console.print(_flow(stop))
    console.print(Text("audit of feeds, beside audiences and audiences_bulk", style="bold"))
    console.print(_feed_audit(names))
    console.print(Text("tidying of feeds, beside audiences and audiences_bulk", style="bold"))
    console.print(_feed_tidying(names))
    console.print(Text("gavel notify", style="bold"))
    console.print(_notifier(names))


def _flow(stop: Stop) -> Table:
    table = Table.grid(padding=(0, 2, 0, 2))
    table.add_row("reads", ", ".join(stop.topics))
    table.add_row("takes", ", ".join(stop.events))
    table.add_row("group", stop.group or "none: each process reads every partition")
    table.add_row("writes", f"{stop.place}: {', '.join(stop.writes)}\n")
    return table


def _feed_audit(names: Names) -> Table:
    table = Table.grid(padding=(0, 2, 0, 2))
    table.add_row("reads", f"redis: {names.feed_audit('<client>')}")
    table.add_row("writes", f"postgres: {feed_audit.name}\n")
    return table


def _feed_tidying(names: Names) -> Table:
    table = Table.grid(padding=(0, 2, 0, 2))
    tidied = (*names.feed_keys("<client>")[1:4], names.feed_records("<client>", "<since>"))
    table.add_row("frees", f"redis: {', '.join(tidied)}\n")
    return table


def _notifier(names: Names) -> Table:
    table = Table.grid(padding=(0, 2, 0, 2))
    table.add_row("reads", "postgres: notices")
    table.add_row("calls", "bidders")
    table.add_row("writes", f"{names.engagements}: {NoticeDelivered.__name__}, {NoticeFailed.__name__}\n")
    return table
