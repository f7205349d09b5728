"""`gavel feeds follow`: what a database's connector tells becomes changes of a feed client's records."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import TYPE_CHECKING

import rich_click as click
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn

from domain.feeds.debezium import Columns
from domain.limits import FEED_REJECTED_LISTED_MAX
from gavel.cli import options
from gavel.interrupts import until_interrupted
from gavel.settings import load

if TYPE_CHECKING:
    from commands.feeds.follow_connector import Told


class Shown:
    """What has been told so far."""

    def __init__(self, progress: Progress) -> None:
        self.messages = self.changes = self.refused = self.behind = 0
        self._progress = progress
        self._line = progress.add_task("Joining the group", total=None)

    def add(self, told: Told) -> None:
        for each in told.refused[: max(0, FEED_REJECTED_LISTED_MAX - self.refused)]:
            where = f"partition {each.message.partition}, offset {each.message.offset}"
            self._progress.console.print(f"{where}: {each.reason}", markup=False, highlight=False)
        self.messages += told.messages
        self.changes += told.changes
        self.refused += len(told.refused)
        self.behind = told.behind
        self._progress.update(self._line, description=str(self))

    def __str__(self) -> str:
        return (
            f"Messages read: {self.messages:,}; changes: {self.changes:,}; refused: {self.refused:,}; "
            f"behind: {self.behind:,}."
        )


@click.command(epilog="Example: `gavel feeds follow shop.public.people --client winter-audiences --key-column id`")
@click.argument("topic")
@click.option("--client", required=True, help="Name of the feed client whose records the rows are.")
@click.option("--bootstrap", help="Kafka of the connector, as `host:port` or `kafkas://…`.  [default: the exchange's]")
@click.option("--group", help="Consumer group that keeps the place.  [default: one for this client and topic]")
@click.option("--key-column", default="key", show_default=True, help="Column of the record's key.")
@click.option("--value-column", help="Column of the value, JSON.  [default: all columns but the key's]")
@click.option("--until-caught-up", is_flag=True, help="End where the topic ends now.")
@options.data
def follow(
    *,
    topic: str,
    client: str,
    bootstrap: str | None,
    group: str | None,
    key_column: str,
    value_column: str | None,
    until_caught_up: bool,
    data: Path | None,
) -> None:
    """Reads the topic that a Debezium connector writes, and applies its envelopes as changes of the client's records.

    Ctrl-C ends it; started again it goes on where it was, and what it tells twice changes nothing. Several may share a
    topic's partitions. Messages that tell no change of a row are counted and shown; a tombstone tells nothing new.
    """
    from gavel.feed_following import Connector, follow_connector  # noqa: PLC0415 - `--help` does not need the servers

    connector = Connector(
        topic=topic,
        client=client,
        bootstrap=bootstrap,
        group=group,
        columns=Columns(key_column, value_column),
        until_caught_up=until_caught_up,
    )
    with Progress(SpinnerColumn(), TextColumn("{task.description}"), console=Console(stderr=True)) as progress:
        shown = Shown(progress)
        work = follow_connector(load(data=data), connector, shown.add)
        with asyncio.Runner() as runner:
            runner.run(until_interrupted(work, stopping=lambda: None, hurry=lambda: os._exit(1)))
    click.echo(str(shown))
