"""`gavel migrate`: the database's schema."""

from __future__ import annotations

import asyncio
from pathlib import Path

import rich_click as click

from gavel.cli import options
from gavel.errors import CannotRun
from gavel.migration import migrate as upgrade
from gavel.settings import load, variable


@click.command(epilog="Example: `GAVEL_POSTGRES_URL=postgresql://gavel@db/gavel gavel migrate`")
@options.data
def migrate(*, data: Path | None) -> None:
    """Brings the database's tables to what this version needs. Changes nothing when they are."""
    url = load(data=data).postgres_url
    if url is None:
        raise CannotRun(f"no database: set {variable('postgres_url')}, or start an installation (gavel up)")
    asyncio.run(upgrade(url))
    click.echo("The database is at the newest revision.")
