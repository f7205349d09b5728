"""`gavel ledger`: statements, refunds, days that are closed, and the audit of the books."""

from __future__ import annotations

import asyncio
import csv
import sys
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import rich_click as click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from domain.event_parts import EngagementKind
from domain.events import EngagementVoided
from domain.money import amount_text
from domain.voiding import VoidOrder, void_order
from gavel.bookkeeper import bookkeeper
from gavel.cli import options
from gavel.process_clock import fresh_id
from gavel.read_side import database_engine, read_side
from gavel.settings import Settings, load
from gavel.telemetry import configure_logging
from projections.ledger_audit import Audit, AuditProgress, audit_books
from projections.queries.ledger import DIMENSIONS, LedgerReport, LedgerRow, ledger_report
from projections.servers import Addresses, Servers

DAY = click.DateTime(formats=["%Y-%m-%d"])
as_json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")


@click.group(epilog="Example: `gavel ledger verify`")
def ledger() -> None:
    """Keeps the books: who owes what, what is given back, which days are closed, and whether all of it is true."""


@ledger.command(epilog="Example: `gavel ledger close 2026-11-20`")
@click.argument("day", type=DAY)
@options.data
def close(*, day: datetime, data: Path | None) -> None:
    """Closes a UTC day that is over, and all days before it.

    What belongs to them and is logged later is booked on the first day that is open. To close a day again changes
    nothing.
    """
    marks = asyncio.run(_close(load(data=data), day.date()))
    click.echo(f"The books are closed through {day.date()}, in all {marks} partitions.")


@ledger.command(epilog="Example: `gavel ledger void 0199… --imp 1 --kind impression --reason 'A fake page.'`")
@click.argument("auction_id")
@click.option("--imp", "imp_id", required=True, help="Id of the imp, as the bid request has it.")
@click.option("--kind", type=click.Choice(["impression", "click"]), required=True, help="What is to count no longer.")
@click.option("--reason", required=True, help="A sentence, kept in the log.")
@as_json_option
@options.data
def void(*, auction_id: str, imp_id: str, kind: EngagementKind, reason: str, as_json: bool, data: Path | None) -> None:
    """Takes back the one engagement of an imp that counts, and gives back what it cost. Never twice."""
    order = void_order(msgspec.json.encode(VoidOrder(imp_id=imp_id, kind=kind, reason=reason)))
    event = asyncio.run(_void(load(data=data), auction_id, order))
    if as_json:
        _print_json(event)
    else:
        click.echo(f"The {kind} {event.engagement_id} counts no longer since {event.at.isoformat()}: {event.reason}")


@ledger.command(epilog="Example: `gavel ledger statement publisher:0199… --from 2026-11-01 --to 2026-12-01 --csv`")
@click.argument("account", required=False)
@click.option("--from", "start", type=DAY, help="The first day, UTC.  [default: the first of the month]")
@click.option("--to", "end", type=DAY, help="The day after the last one.  [default: tomorrow]")
@click.option("--by", default="day", show_default=True, help=f"Separated by commas: {', '.join(DIMENSIONS)}.")
@click.option("--csv", "as_csv", is_flag=True, help="Print the rows as CSV.")
@as_json_option
@options.data
def statement(
    *,
    account: str | None,
    start: datetime | None,
    end: datetime | None,
    by: str,
    as_csv: bool,
    as_json: bool,
    data: Path | None,
) -> None:
    """Shows what was booked for publisher:ID, bidder:ID, advertiser:ID or exchange; without ACCOUNT, for all."""
    to_day = end.date() if end else datetime.now(UTC).date() + timedelta(days=1)
    from_day = start.date() if start else (to_day - timedelta(days=1)).replace(day=1)
    dimensions = [name for name in (part.strip() for part in by.split(",")) if name]
    report = asyncio.run(_statement(read_side(load(data=data)), from_day, to_day, account, dimensions))
    if as_json:
        _print_json(report)
        return
    columns = [name for name in LedgerRow.__struct_fields__ if name not in DIMENSIONS or name in dimensions]
    rows = [{name: str(getattr(row, name)) for name in columns} for row in report.rows]
    if as_csv:
        writer = csv.DictWriter(sys.stdout, columns)
        writer.writeheader()
        writer.writerows(rows)
    else:
        _print_statement(report, columns, rows)


@ledger.command(epilog="Example: `gavel ledger verify --json`")
@as_json_option
@options.data
def verify(*, as_json: bool, data: Path | None) -> None:
    """Computes the books again from the log alone, and compares every sum of the read model to the nano-unit.

    Traffic may go on meanwhile: both are taken at the same offsets. Ends with exit code 1 where they differ.
    """
    addresses = read_side(load(data=data))
    configure_logging("warning", process="ledger")
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[rate]}"))
    with Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True)) as progress:
        bar = progress.add_task("Booking again", total=None, rate="")

        def show(at: AuditProgress) -> None:
            rate = f"{at.records / at.seconds if at.seconds else 0:,.0f} events/s"
            progress.update(bar, completed=at.records, total=at.total, rate=rate)

        async def audit() -> Audit:
            async with Servers(addresses, client_id="gavel-ledger") as servers:
                return await audit_books(addresses.kafka_url, servers.pool, addresses.names, on_progress=show)

        audited = asyncio.run(audit())
    if as_json:
        _print_json({"same": audited.is_confirmed, **msgspec.structs.asdict(audited)})
    else:
        _print_audit(audited)
    sys.exit(0 if audited.is_confirmed else 1)


async def _close(settings: Settings, day: date) -> int:
    async with bookkeeper(settings) as commands:
        return len(await commands.close_day(day, command_id=fresh_id()))


async def _void(settings: Settings, auction_id: str, order: VoidOrder) -> EngagementVoided:
    async with bookkeeper(settings) as commands:
        return (await commands.void_engagement(auction_id, order)).event


async def _statement(addresses: Addresses, start: date, end: date, account: str | None, by: list[str]) -> LedgerReport:
    database = database_engine(addresses.postgres_url)
    try:
        return await ledger_report(database, start=start, end=end, account=account, by=by)
    finally:
        await database.dispose()


def _print_statement(report: LedgerReport, columns: list[str], rows: list[dict[str, str]]) -> None:
    texts = {"day", "campaign", "account", "currency"}
    # One account is the table's title, so that its figures have room; what is too long is folded, never cut.
    shown = [name for name in columns if report.account is None or name != "account"]
    table = Table(title=report.account, pad_edge=False)
    for name in shown:
        table.add_column(name, justify="left" if name in texts else "right", overflow="fold")
    for row in rows:
        table.add_row(*(row[name] for name in shown))
    Console().print(table)
    for total in report.totals:
        click.echo(
            f"{total.currency}: opening {total.opening}, debit {total.debit}, credit {total.credit},"
            f" closing {total.closing}; {total.charges:,} charges, {total.refunds:,} refunds."
        )
    click.echo(f"Closed through: {report.closed_through or 'no day yet'}.")


def _print_audit(audited: Audit) -> None:
    for each in audited.differences:
        line = " ".join(str(part) for part in each.line)
        click.echo(f"{each.where}: {line}: booked {tuple(each.booked)}, recounted {tuple(each.recounted)}")
    for line in audited.corrupt:
        click.echo(f"not understood: {line}")
    if audited.lag:
        click.echo(f"Not booked yet, and not compared: {audited.lag:,} events.")
    spend = ", ".join(f"{amount_text(nanos)} {currency}" for currency, nanos in audited.spend_nanos.items())
    click.echo(
        f"{audited.records:,} events read in {audited.seconds:.1f} s, {audited.entries:,} entries: {spend or '0'}."
    )
    lines = f"{audited.lines:,} sums"
    click.echo(
        f"Of {lines}, {audited.different_lines:,} differ; {audited.corrupt_events:,} events were not understood."
        if not audited.is_confirmed
        else f"The books are what the log says: all {lines} agree to the nano-unit."
    )


def _print_json(value: Any) -> None:
    click.echo(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())
