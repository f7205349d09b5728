"""`gavel tokens`: the keys that impression and click addresses are signed with."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import rich_click as click
from rich.console import Console
from rich.table import Table

from domain.limits import TOKEN_KEY_KEPT_SECONDS
from domain.tokens import TokenKey
from gavel.cli import options
from gavel.settings import load
from gavel.token_keys import KNOWN_BEFORE_SECONDS, TokenKeyFile

DAY_SECONDS = 24 * 3_600


@click.group(epilog="Example: `gavel tokens rotate`")
def tokens() -> None:
    """Rotates the key that signs the addresses in ads, without breaking the ads that are on pages."""


@tokens.command(epilog="Example: `gavel tokens rotate`")
@options.data
@click.option(
    "--destroy-old",
    is_flag=True,
    help="Believe nothing any more that older keys have signed: for a key that somebody else knows. "
    "Ads that are on pages then count no longer.",
)
def rotate(*, data: Path | None, destroy_old: bool) -> None:
    """Adds a fresh key; running processes take it up by themselves.

    Older keys are kept until nothing that they have signed can come back.
    """
    file = TokenKeyFile.of(load(data=data))
    file.rotate(datetime.now(UTC), destroy_old=destroy_old)
    if destroy_old:
        click.echo(f"A new token key stands in {file.path}, the only one; it signs from now on.")
        return
    click.echo(f"A new token key stands in {file.path}; it signs from {KNOWN_BEFORE_SECONDS:g} s from now on.")
    click.echo(
        f"Older keys that are still believed: {len(file.read()) - 1}, "
        f"each for {TOKEN_KEY_KEPT_SECONDS // DAY_SECONDS} days after its end."
    )


@tokens.command("list", epilog="Example: `gavel tokens list`")
@options.data
def list_keys(*, data: Path | None) -> None:
    """Shows the public names of the keys, as they stand at the start of every token, and since when they sign."""
    table = Table("key", "signs since")
    for each in TokenKeyFile.of(load(data=data)).read():
        table.add_row(TokenKey.of(each.secret).id.hex(), each.since.isoformat())
    Console().print(table)
