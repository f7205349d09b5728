"""`gavel privacy`: the key that people's ids are hidden with."""

from __future__ import annotations

from pathlib import Path

import rich_click as click
from rich.console import Console
from rich.table import Table

from domain.privacy import pseudonym
from gavel.cli import options
from gavel.key_file import FOLLOW_SECONDS
from gavel.pseudonym_keys import PseudonymKeyFile
from gavel.settings import load


@click.group(epilog="Example: `gavel privacy rotate`")
def privacy() -> None:
    """Rotates the key that hides people's ids in the log, and finds people again where that is still possible.

    docs/PRIVACY.md says what is kept of a person.
    """


@privacy.command(epilog="Example: `gavel privacy rotate --keep-old`")
@options.data
@click.option(
    "--keep-old/--destroy-old",
    default=False,
    help="Whether older keys stay in the file, so that `gavel privacy find` still finds people in older events.  "
    "[default: --destroy-old]",
)
def rotate(*, data: Path | None, keep_old: bool) -> None:
    """Puts a fresh key in force; running processes take it up by themselves.

    From then on everybody gets a new pseudonym. With the old keys destroyed, nobody can tell any more who an older
    pseudonym stands for: the events before are anonymous, and no rebuild is needed for that.
    """
    file = PseudonymKeyFile.of(load(data=data))
    file.rotate(keep_old=keep_old)
    click.echo(f"A new pseudonym key stands in {file.path}; running processes use it within {FOLLOW_SECONDS:g} s.")
    older = len(file.read()) - 1
    click.echo(f"Older keys in the file: {older}." if older else "No older key is left: what they hid is anonymous.")


@privacy.command(epilog="Example: `gavel privacy find 6D92078A-8246-4BA4-AE5B-76104861E7DC`")
@click.argument("person_id")
@options.data
def find(*, person_id: str, data: Path | None) -> None:
    """Shows under which pseudonyms a person's id (of user or device) stands in the log, for each key that is left."""
    table = Table("in force since", "pseudonym")
    for each in PseudonymKeyFile.of(load(data=data)).read():
        table.add_row(each.since.isoformat(), pseudonym(each.secret, person_id))
    Console().print(table)
