"""`gavel bidders`: what an exchange would make of a bidder."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import msgspec
import rich_click as click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from domain.errors import InvalidInput
from gavel.bidder_check import Report, check_bidder
from gavel.cli import options
from gavel.process_clock import fresh_id
from gavel.sample_request import sample_request
from gavel.settings import Settings, load
from gavel.telemetry import configure_logging
from gavel.wiring import registered_market

COLOURS = {"fault": "red", "warning": "yellow", "note": "dim"}
VERDICT_COLOURS = {"admitted": "green", "beaten": "dim", "refused": "red"}


@click.group(epilog="Example: `gavel bidders check https://dsp.example/bid`")
def bidders() -> None:
    """Tries bidders."""


@bidders.command(epilog="Example: `gavel bidders check https://dsp.example/bid --request request.json`")
@click.argument("url")
@click.option(
    "--request",
    "request_file",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="A bid request (OpenRTB 2.6, JSON) to send in place of the sample, a banner and a video.",
)
@click.option("--gzip", "accepts_gzip", is_flag=True, help="Send it compressed, as to a bidder with `accepts_gzip`.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@options.data
def check(*, url: str, request_file: Path | None, accepts_gzip: bool, as_json: bool, data: Path | None) -> None:
    """Calls a bidder a few times and judges its answers as an auction would, without holding one.

    Notices are not sent, and nothing is logged. Currencies are converted at the rates of the installation that runs in
    the data folder, or that the settings name.

    Ends with exit code 0 if the bidder can take part, 1 if something costs it its bids, 2 for wrong use.
    """
    body = sample_request(fresh_id()) if request_file is None else request_file.read_bytes()
    settings = load(data=data)
    configure_logging("error", process="check")
    try:
        report = asyncio.run(_check(url, body, settings, accepts_gzip=accepts_gzip))
    except InvalidInput as error:
        raise click.UsageError("; ".join(f"{fault.path}: {fault.message}" for fault in error.faults)) from error
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(report), indent=2).decode())
    else:
        _print(report)
    sys.exit(0 if report.ok else 1)


async def _check(url: str, body: bytes, settings: Settings, *, accepts_gzip: bool) -> Report:
    market = await registered_market(settings)
    return await check_bidder(
        url, body, allow_private=settings.allow_private_endpoints, accepts_gzip=accepts_gzip, rates=market.rates
    )


def _print(report: Report) -> None:
    console = Console()
    for finding in report.findings:
        console.print(Text(f"{finding.level}: ", style=COLOURS[finding.level]), Text(finding.sentence), sep="")
    if report.bids:
        table = Table("imp", "bid", "price", "", "code", "why")
        for bid in report.bids:
            judged = Text(bid.verdict, style=VERDICT_COLOURS[bid.verdict])
            # Texts, because what a bidder writes must not be taken for markup.
            words = (Text(each) for each in (bid.imp_id, bid.bid_id, bid.price or "?"))
            table.add_row(*words, judged, str(bid.code), Text(bid.reason))
        console.print(table)
    answered = [call.latency_ms for call in report.calls if call.status is not None]
    if answered:
        times = ", ".join(f"{latency_ms:.0f}" for latency_ms in answered)
        console.print(f"Answered {len(answered)} of {len(report.calls)} calls, in {times} of {report.time_ms} ms.")
    console.print(_verdict(report))


def _verdict(report: Report) -> Text:
    if report.ok:
        return Text("The bidder can take part.", style="green")
    if any(bid.verdict == "admitted" for bid in report.bids):
        return Text("The bidder can win, but not always, or not with every bid.", style="yellow")
    return Text("The bidder cannot win like this.", style="red")
