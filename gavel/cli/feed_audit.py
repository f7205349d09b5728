"""`gavel feeds audit`: what became of every record that a feed client has sent, compared with the log."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec
import rich_click as click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from domain.errors import NotFound
from domain.terms.feed_client import feed_client_id
from gavel.cli import options
from gavel.read_side import database_engine, read_side
from gavel.settings import load
from projections.feed_proof import TopicProof, prove
from projections.queries.feed_audit import BESIDE, FIGURES, Sums, Topic, feed_sums_of, total
from projections.servers import Addresses

WAIT_S = 30.0
FIGURES_OF_LOG = {
    "sent": "sent by loads",
    "logged": "logged",
    "missing": "missing",
    "wrong": "wrong",
    "beyond": "beyond",
}
"""Of a TopicProof, and what they are called."""


@click.command(epilog="Example: `gavel feeds audit winter-audiences`")
@click.argument("client")
@click.option("--wait", "wait_s", default=WAIT_S, show_default=True, help="Seconds for what is logged to be applied.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@options.data
def audit(*, client: str, wait_s: float, as_json: bool, data: Path | None) -> None:
    """Reads the client's records in the log again, and looks for each of them in the audit.

    Of every batch the number of its records and their digest are computed anew; no key is needed for that. Ends with
    exit code 1 where a record is in no batch, or a batch is not what the log has.
    """
    addresses = read_side(load(data=data))
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        bar = progress.add_task("Reading the log", total=None)

        def told(read: int, end: int) -> None:
            progress.update(bar, completed=read, total=end)

        async def asked() -> tuple[Mapping[Topic, Sums], list[TopicProof]]:
            proofs = await prove(addresses, feed_client_id(client), wait_s=wait_s, told=told)
            return await _sums(addresses, feed_client_id(client)), proofs

        topics, proofs = asyncio.run(asked())
    if not total(topics).batches and not sum(each.logged for each in proofs):
        raise NotFound(f"Nothing was ever sent by a feed client {client!r}.")
    agrees = all(each.agrees for each in proofs)
    if as_json:
        sums = {"totals": total(topics), "topics": topics}
        click.echo(msgspec.json.encode({"client": client, "agrees": agrees, **sums, "log": proofs}))
    else:
        _print(client, topics, proofs, agrees=agrees)
    sys.exit(0 if agrees else 1)


async def _sums(addresses: Addresses, client: str) -> Mapping[Topic, Sums]:
    database = database_engine(addresses.postgres_url)
    try:
        return await feed_sums_of(database, client)
    finally:
        await database.dispose()


def _print(client: str, topics: Mapping[Topic, Sums], proofs: Sequence[TopicProof], *, agrees: bool) -> None:
    table = Table("", "bulk", "changes", "both", title=f"Records of {client}")
    bulk, changes = topics["bulk"], topics["changes"]
    for name in ("records", *FIGURES, *BESIDE, "batches"):
        table.add_row(name, *(f"{getattr(each, name):,}" for each in (bulk, changes, total(topics))))
    table.add_section()
    for name, title in FIGURES_OF_LOG.items():
        figures = [getattr(each, name) for each in proofs]
        table.add_row(f"{title} (log)", *(f"{each:,}" for each in (*figures, sum(figures))))
    Console().print(table)
    for proof in proofs:
        for example in proof.examples:
            click.echo(f"{proof.topic}: {example}")
    click.echo("Every record of the log is in the audit once." if agrees else "The audit is not what the log has.")
