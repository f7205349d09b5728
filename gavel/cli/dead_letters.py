"""`gavel dead-letters`: events that a projection could not apply, and what is done about them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import msgspec
import rich_click as click
from rich.console import Console
from sqlalchemy.ext.asyncio import AsyncEngine

from domain.errors import NotFound
from gavel.cli import options
from gavel.cli.projection_tables import folding_table
from gavel.cli.who import who
from gavel.read_side import database_engine, read_side
from gavel.settings import load
from gavel.telemetry import configure_logging
from projections.dead_letters import DeadLetters, Tried
from projections.queries.dead_letters import DeadLetterShown, dead_letter, list_dead_letters

PAGE = 500

Answer = TypeVar("Answer")
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
projection_option = click.option("--projection", help="All letters of this projection.")


@click.group("dead-letters", epilog="Example: `gavel dead-letters list`")
def dead_letters() -> None:
    """Shows events that a projection could not apply; tries them again, or skips one with a reason."""
    configure_logging("error", process="dead-letters")


@dead_letters.command("list", epilog="Example: `gavel dead-letters list --projection delivery --json`")
@projection_option
@click.option("--ended", is_flag=True, help="Those as well that were applied later, or skipped.")
@json_option
@options.data
def list_(*, projection: str | None, ended: bool, as_json: bool, data: Path | None) -> None:
    """Shows them in the order in which they were parked, those that wait behind another one of their key too."""
    listed = _asked(data, lambda db: _all(db, projection, ended))
    if as_json:
        click.echo(msgspec.json.encode(listed))
        return
    columns = ("projection", "where", "key", "parked", "tried", "why", "outcome")
    table = folding_table("id", *columns, texts=set(columns) - {"tried"})
    for each in listed:
        where = f"{each.topic}/{each.partition} at {each.offset}"
        parked = f"{each.parked_at:%Y-%m-%d %H:%M:%S}"
        outcome = f"{each.outcome} by {each.decided_by}" if each.outcome else ""
        generation = f"{each.projection} g{each.generation}"
        table.add_row(str(each.id), generation, where, each.key, parked, str(each.attempts), each.error, outcome)
    Console().print(table)


@dead_letters.command(epilog="Example: `gavel dead-letters inspect 17 --payload`")
@click.argument("letter_id", type=int, metavar="ID")
@click.option("--payload", is_flag=True, help="Show what the record holds, too.")
@options.data
def inspect(*, letter_id: int, payload: bool, data: Path | None) -> None:
    """Prints all that is known of one as JSON; what the record holds only if it is asked for."""
    letter = _asked(data, lambda db: dead_letter(db, letter_id, with_payload=payload))
    if letter is None:
        raise NotFound(f"there is no dead letter {letter_id}")
    click.echo(msgspec.json.format(msgspec.json.encode(letter), indent=2))


@dead_letters.command(epilog="Example: `gavel dead-letters retry --projection delivery`")
@click.argument("letter_id", type=int, metavar="ID", required=False)
@projection_option
@json_option
@options.data
def retry(*, letter_id: int | None, projection: str | None, as_json: bool, data: Path | None) -> None:
    """Applies one with all of its key, in every generation and in the order of the log; or all of a projection.

    One of `ledger` is booked where the log has it: a day that was closed meanwhile changes by it, as a rebuild would
    have it. A closing behind which something may be booked already is refused: rebuild `ledger` then.

    Ends with exit code 1 where one cannot be applied still.
    """
    if (letter_id is None) == (projection is None):
        raise click.UsageError("name either an ID or a --projection")
    desk = DeadLetters(read_side(load(data=data)))
    if letter_id is not None:
        tried = asyncio.run(desk.retry(letter_id, by=who()))
    else:
        assert projection is not None
        tried = asyncio.run(desk.retry_all(projection, by=who()))
    _tell(tried, as_json=as_json)


@dead_letters.command(epilog="Example: `gavel dead-letters skip 17 --reason 'Written by a faulty release.'`")
@click.argument("letter_id", type=int, metavar="ID")
@click.option("--reason", required=True, help="A sentence, kept with the letter.")
@json_option
@options.data
def skip(*, letter_id: int, reason: str, as_json: bool, data: Path | None) -> None:
    """Decides that an event has no effect, in this projection now and in all that is built of it later.

    Those that waited behind it are tried then; exit code 1 where one of them cannot be applied.
    """
    desk = DeadLetters(read_side(load(data=data)))
    tried = asyncio.run(desk.skip(letter_id, reason=reason, by=who()))
    if not as_json:
        click.echo(f"The event of letter {letter_id} is skipped; of those behind it:")
    _tell(tried, as_json=as_json)


def _tell(tried: Tried, *, as_json: bool) -> None:
    if as_json:
        click.echo(msgspec.json.encode(tried))
    else:
        click.echo(f"{tried.applied:,} applied, {tried.waiting:,} still open.")
        if tried.error is not None:
            click.echo(f"Not applied: {tried.error}")
    if tried.error is not None:
        raise SystemExit(1)


def _asked(data: Path | None, ask: Callable[[AsyncEngine], Awaitable[Answer]]) -> Answer:
    postgres_url = read_side(load(data=data)).postgres_url

    async def answered() -> Answer:
        database = database_engine(postgres_url)
        try:
            return await ask(database)
        finally:
            await database.dispose()

    return asyncio.run(answered())


async def _all(db: AsyncEngine, projection: str | None, ended: bool) -> list[DeadLetterShown]:
    found: list[DeadLetterShown] = []
    cursor = None
    while True:
        page = await list_dead_letters(db, projection=projection, ended=ended, cursor=cursor, limit=PAGE)
        found += page.items
        cursor = page.next_cursor
        if cursor is None:
            return found
