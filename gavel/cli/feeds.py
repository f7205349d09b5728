"""`gavel feeds`: the records of feed clients, and the keys that they are sealed with."""

from __future__ import annotations

import asyncio
from pathlib import Path

import rich_click as click

from commands.feeds.erase_client import ErasedClient
from gavel.cli import options
from gavel.feed_desk import feed_desk
from gavel.feed_keys import WrappedKey
from gavel.key_file import FOLLOW_SECONDS
from gavel.settings import Settings, load
from gavel.telemetry import configure_logging


@click.group(epilog="Example: `gavel feeds rotate winter-audiences`")
def feeds() -> None:
    """Keys that the records of feed clients are sealed with: every client has its own, and nobody else's opens them."""
    configure_logging("error", process="feeds")


@feeds.command(epilog="Example: `gavel feeds rotate winter-audiences`")
@click.argument("client")
@options.data
def rotate(*, client: str, data: Path | None) -> None:
    """Gives the client a fresh data key; running processes take it up by themselves.

    What older keys have sealed is still found. No key should seal more than four thousand million records.
    """
    new, keys = asyncio.run(_rotate(load(data=data), client))
    click.echo(
        f"The data key {new.id} seals the records of {client} from now on; running processes use it within "
        f"{FOLLOW_SECONDS:g} s. Older keys that still open records: {keys - 1}."
    )


@feeds.command(epilog="Example: `gavel feeds erase winter-audiences`")
@click.argument("client")
@options.data
@click.confirmation_option(prompt="Nobody will ever read its records again, and it cannot come back. Erase it?")
def erase(*, client: str, data: Path | None) -> None:
    """Destroys all data keys of the client, archives it, and has its records removed, for good.

    What the log holds of it stays there and is unreadable. Copies of the file of keys, in backups for example, are
    yours to destroy.
    """
    erased = asyncio.run(_erase(load(data=data), client))
    click.echo(
        f"The feed client {client} ({erased.id}) is erased. Data keys destroyed: {erased.keys}; running processes "
        f"forget them within {FOLLOW_SECONDS:g} s."
    )


async def _rotate(settings: Settings, client: str) -> tuple[WrappedKey, int]:
    async with feed_desk(settings) as desk:
        return await desk.rotate(client)


async def _erase(settings: Settings, client: str) -> ErasedClient:
    async with feed_desk(settings) as desk:
        return await desk.erase(client)
