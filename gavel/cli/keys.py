"""`gavel keys`: who may use the interface besides the operator."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec
import rich_click as click
from rich.console import Console
from rich.table import Table

from domain.catalogue import Role
from gavel.cli import options
from gavel.key_desk import Issued, ListedKey, key_desk
from gavel.settings import Settings, load
from gavel.telemetry import configure_logging

ID_CHARS = len("00000000-0000-0000-0000-000000000000")
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.group(epilog="Example: `gavel keys create Reports --role publisher --subject 0199…`")
def keys() -> None:
    """Access keys for publishers and advertisers, who meet with them nothing but what is their own.

    GAVEL_ADMIN_KEY is the operator's own key; it is none of these.
    """
    configure_logging("error", process="keys")


@keys.command(epilog="Example: `gavel keys create Reports --role publisher --subject 0199…`")
@click.argument("name")
@click.option("--role", type=click.Choice(["admin", "publisher", "advertiser", "feed_client"]), required=True)
@click.option("--subject", help="Id of the publisher, advertiser or feed client that it is a key of.")
@json_option
@options.data
def create(*, name: str, role: Role, subject: str | None, as_json: bool, data: Path | None) -> None:
    """Makes a key and prints it, this once: nothing but its digest is kept."""
    issued = asyncio.run(_issue(load(data=data), name, role, subject))
    if as_json:
        click.echo(msgspec.json.encode(issued._asdict()))
        return
    click.echo(f"The key, shown this once: {issued.key}")
    click.echo(f"`gavel keys revoke {issued.id}` takes it back.")


@keys.command("list", epilog="Example: `gavel keys list`")
@json_option
@options.data
def list_keys(*, as_json: bool, data: Path | None) -> None:
    """Shows all keys, revoked ones too; the keys themselves nobody knows any more."""
    listed = asyncio.run(_listed(load(data=data)))
    if as_json:
        click.echo(msgspec.json.encode(listed))
        return
    table = Table("name", "role", "status")
    # `gavel keys revoke` needs an id as a whole.
    table.add_column("id", no_wrap=True, min_width=ID_CHARS)
    table.add_column("of", overflow="fold")
    for each in listed:
        table.add_row(each.name, each.role, each.status, each.id, each.subject_id or "")
    Console().print(table)


@keys.command(epilog="Example: `gavel keys revoke 0199…`")
@click.argument("key_id")
@options.data
def revoke(*, key_id: str, data: Path | None) -> None:
    """Takes a key back, for good; running processes refuse it from the moment that the catalogue's cache has it."""
    asyncio.run(_revoke(load(data=data), key_id))
    click.echo(f"The key {key_id} is revoked.")


async def _issue(settings: Settings, name: str, role: Role, subject: str | None) -> Issued:
    async with key_desk(settings) as desk:
        return await desk.issue(name=name, role=role, subject_id=subject)


async def _listed(settings: Settings) -> list[ListedKey]:
    async with key_desk(settings) as desk:
        return await desk.listed()


async def _revoke(settings: Settings, key_id: str) -> None:
    async with key_desk(settings) as desk:
        await desk.revoke(key_id)
