"""`gavel doctor`: every setting, every dependency, and what to do where something is wrong."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import rich_click as click
from rich.console import Console
from rich.table import Table

from gavel.checkup import Check, check_all
from gavel.cli import options
from gavel.settings import Settings, load, shown, unknown_variables, variable


@click.command(epilog="Example: `gavel doctor`, or, for scripts, `gavel doctor --json | jq -r .kafka_url`")
@options.data
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object, with the addresses in full.")
def doctor(*, data: Path | None, as_json: bool) -> None:
    """Lists every setting and looks at everything that the exchange depends on.

    Ends with exit code 1 if something is wrong, and says what to do about it.
    """
    settings = load(data=data)
    checks = asyncio.run(check_all(settings))
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(_report(settings, checks)), indent=2).decode())
    else:
        _print(settings, checks)
    sys.exit(0 if all(check.ok for check in checks) else 1)


def _report(settings: Settings, checks: Sequence[Check]) -> dict[str, Any]:
    return {
        "ok": all(check.ok for check in checks),
        "kafka_url": settings.kafka_url,
        "postgres_url": settings.postgres_url,
        "redis_url": settings.redis_url,
        "api_url": settings.base_url,
        "settings": shown(settings),
        "checks": checks,
    }


def _print(settings: Settings, checks: Sequence[Check]) -> None:
    console = Console()
    table = Table("setting", "value", title="Settings", title_justify="left")
    for name, value in shown(settings).items():
        table.add_row(variable(name), "[dim]not set[/]" if value is None else str(value))
    console.print(table)
    for name in unknown_variables():
        console.print(f"[yellow]{name} is set, but is no setting.[/]")
    table = Table("", "what", "found", "to do", "ms", title="Dependencies", title_justify="left")
    for check in checks:
        mark = "[green]ok[/]" if check.ok else "[red]wrong[/]"
        latency = "" if check.latency_ms is None else f"{check.latency_ms:.0f}"
        table.add_row(mark, check.name, check.found, check.advice or "", latency)
    console.print(table)
