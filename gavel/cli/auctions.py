"""`gavel auctions`: why an auction ended as it did, and whether it would end so again."""

from __future__ import annotations

import asyncio
import sys
import textwrap
from collections.abc import Iterable
from pathlib import Path

import msgspec
import rich_click as click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from domain.errors import CorruptEvent, Fault, InvalidInput, NotFound
from domain.money import cpm_text
from domain.names import Names
from domain.replay import Difference, ImpReplay
from domain.replay import replay as decide_again
from gavel.cli import options
from gavel.read_side import database_engine, read_side, require
from gavel.settings import load
from gavel.telemetry import configure_logging
from projections.logged_auctions import LogReplay, ReplayProgress, deciding_events, replay_log
from projections.queries.auction_story import auction_story
from projections.queries.story_parts import AuctionStory
from projections.servers import Addresses

TEXT_WIDTH = 110


@click.group(epilog="Example: `gavel auctions replay --all`")
def auctions() -> None:
    """Explains auctions, and decides them again from the log."""


@auctions.command(epilog="Example: `gavel auctions explain 0199…`")
@click.argument("auction_id")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object, as `GET /v1/auctions/ID` gives it.")
@options.data
def explain(*, auction_id: str, as_json: bool, data: Path | None) -> None:
    """Tells an auction as a person would: who was asked, who not and why, the ranking, the sum, what happened after."""
    story = asyncio.run(_story(read_side(load(data=data)), auction_id))
    if as_json:
        _print_json(story)
        return
    for paragraph in story.told:
        click.secho(paragraph.title, bold=True)
        for sentence in paragraph.sentences:
            click.echo(textwrap.fill(sentence, TEXT_WIDTH, initial_indent="  ", subsequent_indent="    "))
        click.echo()


async def _story(addresses: Addresses, auction_id: str) -> AuctionStory:
    database = database_engine(addresses.postgres_url)
    try:
        story = await auction_story(database, auction_id)
    finally:
        await database.dispose()
    if story is None:
        raise NotFound(f"there is no auction {auction_id!r} in the read model (yet)")
    return story


@auctions.command(epilog="Example: `gavel auctions replay 0199…`, or, for the whole log, `gavel auctions replay --all`")
@click.argument("auction_id", required=False)
@click.option("--all", "whole_log", is_flag=True, help="Every auction in the log.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@options.data
def replay(*, auction_id: str | None, whole_log: bool, as_json: bool, data: Path | None) -> None:
    """Decides an auction again from its events, and compares the award with the logged one.

    Ends with exit code 1 where they differ.
    """
    if whole_log == (auction_id is not None):
        raise InvalidInput([Fault("auctions replay", "wants the id of one auction, or --all")])
    settings = load(data=data)
    [kafka_url] = require(settings, "kafka_url")
    names = Names(settings.namespace)
    configure_logging("warning", process="replay")
    if auction_id is not None:
        same = _replay_one(kafka_url, names, auction_id, as_json=as_json)
    else:
        same = _replay_all(kafka_url, names, as_json=as_json)
    sys.exit(0 if same else 1)


def _replay_one(kafka_url: str, names: Names, auction_id: str, *, as_json: bool) -> bool:
    try:
        again = decide_again(asyncio.run(deciding_events(kafka_url, names, auction_id)))
    except CorruptEvent as error:
        sys.exit(f"gavel: the log of the auction {auction_id} cannot be understood: {error}")
    if as_json:
        _print_json({"same": not again.differences, **msgspec.structs.asdict(again)})
        return not again.differences
    for imp in again.imps:
        click.echo(_told(imp, again.currency))
    for line in _differences(again.differences):
        click.echo(line)
    click.echo("The log says something else." if again.differences else "The log says the same.")
    return not again.differences


def _replay_all(kafka_url: str, names: Names, *, as_json: bool) -> bool:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[rate]}"))
    with Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True)) as progress:
        bar = progress.add_task("Deciding again", total=None, rate="")

        def show(at: ReplayProgress) -> None:
            rate = f"{at.auctions_per_second:,.0f} auctions/s"
            progress.update(bar, completed=at.records, total=at.total, rate=rate)

        result = asyncio.run(replay_log(kafka_url, names, on_progress=show))
    if as_json:
        found = msgspec.structs.asdict(result.found) | {"digest": result.found.digest}
        del found["digest_sum"]
        _print_json({"same": result.is_confirmed, **found, **_without_found(result)})
    else:
        _print_result(result)
    return result.is_confirmed


def _without_found(result: LogReplay) -> dict[str, object]:
    return {name: value for name, value in msgspec.structs.asdict(result).items() if name != "found"}


def _print_result(result: LogReplay) -> None:
    found = result.found
    for failure in result.failures:
        click.echo(f"{failure.auction_id}:")
        for line in _differences(failure.differences):
            click.echo(f"  {line}")
    for line in result.corrupt:
        click.echo(f"not understood: {line}")
    if result.undecided:
        click.echo(f"Auctions without an end in the log (yet): {result.undecided:,}.")
    if result.corrupt_events:
        click.echo(f"Events that cannot be understood: {result.corrupt_events:,}.")
    rate = found.auctions / result.seconds if result.seconds else 0.0
    click.echo(
        f"{found.auctions:,} auctions with {found.imps:,} imps and {found.bids:,} bids decided again"
        f" in {result.seconds:.1f} s ({rate:,.0f} auctions/s)."
    )
    click.echo(f"{found.sold:,} imps sold, {found.mismatches:,} mismatches, digest {found.digest}")


def _told(imp: ImpReplay, currency: str) -> str:
    if imp.bidder_id is None or imp.price_micros is None or imp.clearing_price_micros is None:
        return f"Imp {imp.imp_id}: unsold."
    paid = f"bid {cpm_text(imp.price_micros)} and pays {cpm_text(imp.clearing_price_micros)} {currency}"
    return f"Imp {imp.imp_id}: won by {imp.bidder_id}, which {paid}."


def _differences(differences: Iterable[Difference]) -> Iterable[str]:
    for each in differences:
        yield f"imp {each.imp_id}: {each.figure} is logged as {each.logged!r}, decided again as {each.replayed!r}"


def _print_json(value: object) -> None:
    click.echo(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())
