"""`gavel feeds`: the records of feed clients, and the keys that they are sealed with."""

from __future__ import annotations

import asyncio
import re
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import msgspec
import rich_click as click
from rich.console import Console

from commands.feeds.erase_client import ErasedClient
from gavel.cli import options
from gavel.cli.feed_audit import audit
from gavel.cli.feed_follow import follow
from gavel.cli.load_shown import LoadShown, load_progress
from gavel.errors import CannotRun, explained
from gavel.feed_desk import feed_desk
from gavel.feed_keys import FeedKeyFile, WrappedKey
from gavel.feed_upload import FeedUpload, Load, Outcome
from gavel.key_file import FOLLOW_SECONDS
from gavel.settings import Settings
from gavel.settings import load as load_settings
from gavel.telemetry import configure_logging

ACCESS_KEY = re.compile(rb"[!-~]+")


@click.group(epilog="Example: `gavel feeds rotate winter-audiences`")
def feeds() -> None:
    """Records of feed clients, and the keys that they are sealed with: every client has its own."""
    configure_logging("error", process="feeds")


feeds.add_command(audit)
feeds.add_command(follow)


@feeds.command(epilog="Example: `gavel feeds load people.ndjson.gz --client winter-audiences --mode replace`")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--client", required=True, help="Name of the feed client that the records are of.")
@click.option(
    "--mode",
    type=click.Choice(["merge", "replace"]),
    default="merge",
    show_default=True,
    help="`replace`: what is not in the file is gone once it is published.",
)
@click.option("--url", help="The exchange.  [default: the one of the data folder]")
@click.option(
    "--key-file",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="File with an access key of the feed client.  [default: the operator's, for the data folder's exchange only]",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@options.data
def load(
    *,
    file: Path,
    client: str,
    mode: Literal["merge", "replace"],
    url: str | None,
    key_file: Path | None,
    as_json: bool,
    data: Path | None,
) -> None:
    """Loads a file of records, NDJSON or Avro, plain or packed by gzip or zstd, and waits until it is decided.

    Interrupted, it goes on behind what has arrived when the same command is run again. Ends with exit code 1 where the
    load was not published; what one that merges has brought by then can be read, and stays.
    """
    settings = load_settings(data=data)
    address = (url or settings.base_url).rstrip("/")
    key = _operators_key(settings, address) if key_file is None else _key_in(key_file)
    notes = settings.cache.expanduser() / "feed-loads"
    plan = Load(file=file, client=client, mode=mode, url=address, key=key, notes=notes)
    outcome = _loaded(plan)
    if as_json:
        click.echo(msgspec.json.encode({**outcome.run, "errors": outcome.errors}))
    else:
        _print_outcome(outcome)
    sys.exit(0 if outcome.run["status"] == "published" else 1)


@feeds.command(epilog="Examples: `gavel feeds rotate winter-audiences`; `gavel feeds rotate --wrapping-key`")
@click.argument("client", required=False)
@click.option("--wrapping-key", is_flag=True, help="The installation's key, under which all data keys are wrapped.")
@options.data
def rotate(*, client: str | None, wrapping_key: bool, data: Path | None) -> None:
    """Gives the client a fresh data key; running processes take it up by themselves.

    What older keys have sealed is still found. No key should seal more than four thousand million records.

    With `--wrapping-key` all data keys are wrapped anew instead, and no record is touched: under a fresh key, or under
    the one that `GAVEL_FEED_KEY` holds by now, where `GAVEL_FEED_KEY_PREVIOUS` holds the one before.
    """
    if wrapping_key == (client is not None):
        raise click.UsageError("Name either a client or --wrapping-key.")
    if client is None:
        keys = FeedKeyFile.of(load_settings(data=data)).rotate_wrapping_key(datetime.now(UTC))
        click.echo(f"Data keys wrapped under the new wrapping key: {keys}. Nothing stands under an older one any more.")
        return
    new, keys = asyncio.run(_rotate(load_settings(data=data), client))
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
    erased = asyncio.run(_erase(load_settings(data=data), client))
    click.echo(
        f"The feed client {client} ({erased.id}) is erased. Data keys destroyed: {erased.keys}; running processes "
        f"forget them within {FOLLOW_SECONDS:g} s."
    )


def _operators_key(settings: Settings, url: str) -> str:
    """Of the data folder, and for its own exchange only: anybody who is sent it may do everything there."""
    if url != settings.base_url:
        raise click.UsageError(
            f"Name a file of an access key with --key-file: the operator's is sent to {settings.base_url} only."
        )
    if not settings.admin_key:
        raise CannotRun("There is no access key: name a file of one with `--key-file`.")
    return settings.admin_key


def _key_in(file: Path) -> str:
    with explained(file, "read"):
        key = file.read_bytes().strip()
    if not ACCESS_KEY.fullmatch(key):
        raise CannotRun(f"{file} holds no access key: it has to be the only thing in the file.")
    return key.decode()


def _loaded(plan: Load) -> Outcome:
    with load_progress(Console(stderr=True)) as progress:
        shown = LoadShown(progress, plan.file.stat().st_size)
        outcome = asyncio.run(FeedUpload(plan, shown.show)())
        shown.end()
    return outcome


def _print_outcome(outcome: Outcome) -> None:
    for each in outcome.errors:
        click.echo(f"line {each['line']}: {each['reason']}", err=True)
    run = outcome.run
    reason = f": {run['reason']}" if "reason" in run else ""
    click.echo(
        f"Run {run['id']} is {run['status']}{reason}\nRecords applied: {run['applied']:,} of {run['received']:,}; "
        f"lines refused: {run['rejected']:,}."
    )


async def _rotate(settings: Settings, client: str) -> tuple[WrappedKey, int]:
    async with feed_desk(settings) as desk:
        return await desk.rotate(client)


async def _erase(settings: Settings, client: str) -> ErasedClient:
    async with feed_desk(settings) as desk:
        return await desk.erase(client)
