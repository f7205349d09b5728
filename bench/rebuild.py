"""A rebuild of five million events while everybody reads: what it costs, what it takes, and what readers see of it.

A log is filled, read models are built from it, and then built anew under live traffic, compared row for row, swapped,
swapped back and swapped again, while readers poll over HTTP and SQL. None of them may meet an error, a gap or a step
back. Memory is that of one process over both builds; one process and two are compared afterwards, in turns.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from time import monotonic

import aiohttp
import asyncpg
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from bench import machine, rebuild_page
from bench.cost import Comparison, Cost, Target
from bench.followed_build import Build, ReadSide, Sample, read_side
from bench.gavel_api import gavel_api
from bench.impressions import Pixels
from bench.installation import PARTITIONS, Installation, cheap_bidders, installed
from bench.live_traffic import Traffic, traffic
from bench.long_log import fill
from bench.polled_readers import (
    BIDDERS,
    DELIVERY_BY_QUARTER,
    Ask,
    Watched,
    bidder_report,
    delivery_report,
    polling,
    sql,
)
from bench.process import Process
from bench.rebuild_page import Outcome, Told
from bench.size import Size
from gavel.telemetry import configure_logging
from projections import operations

NAMESPACE = "bench-rebuild"
MEASURED = "delivery"
"""Built by worker processes alone, which are measured."""
COMMANDED = "bidder_health"
"""Built by `gavel projections rebuild` with a worker beside it."""
COMMAND_SECONDS = 1_800.0
PROCESSES_TARGET = Target("≤", 1.1)
Bar = Callable[[int], None]


class Disturbed(RuntimeError):
    """Somebody noticed the rebuild, or it is not equal to what was read before."""


async def run(size: Size, console: Console, *, keep: bool) -> None:
    """Raises Disturbed, BuildFailed and ProcessFailed."""
    console.print(f"On {machine.describe()}")
    # Workers that come and go fence each other off: part of the work, and no news.
    configure_logging("warning", process="bench")
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    async with installed() as installation:
        with Progress(*columns, console=Console(stderr=True)) as progress:
            outcome = await measured(installation, NAMESPACE, size, partial(_bar, progress))
    rebuild_page.show(size, outcome, console)
    if keep:
        rebuild_page.write(size, outcome)
    _check(outcome)


async def measured(installation: Installation, namespace: str, size: Size, bar: Callable[[str, int], Bar]) -> Outcome:
    """Everything once, on an installation that has no topics of this namespace."""
    builds: dict[str, Told] = {}
    async with read_side(installation, namespace) as side:
        events = await fill(
            side.addresses.kafka_url,
            side.names,
            PARTITIONS,
            size.rebuild_events,
            bar("Filling the log", size.rebuild_events),
        )
        async with side.workers(1, MEASURED) as workers:
            first = await _first_build(side, MEASURED, workers, bar, builds)
            async with _exchange(installation, side, size) as (api, sent):
                again, polled = await _rebuilt_by_workers(side, api, workers, bar, builds)
                readers = [*polled, *await _rebuilt_by_command(side, api, bar, builds)]
        processes = await _one_and_two(side, size, bar)
    memory = [*first.samples, *(Sample(events + each.applied, each.resident_bytes) for each in again.samples)]
    return Outcome(builds, memory, processes, readers, sent)


@asynccontextmanager
async def _exchange(
    installation: Installation, side: ReadSide, size: Size
) -> AsyncIterator[tuple[aiohttp.ClientSession, Traffic]]:
    """The API under live traffic; yields who may ask it anything, and what the traffic came to so far."""
    async with AsyncExitStack() as stack:
        bidders = await stack.enter_async_context(cheap_bidders())
        api = await stack.enter_async_context(gavel_api(installation, side.names.namespace))
        await api.register_bidders(bidders)
        key = {"Authorization": f"Bearer {api.settings.admin_key}"}
        http = await stack.enter_async_context(aiohttp.ClientSession(f"http://127.0.0.1:{api.port}", headers=key))
        pixels = Pixels(installation.token_key)
        yield http, await stack.enter_async_context(traffic(api.port, pixels, size.rebuild_live_rate))


# -- builds -----------------------------------------------------------------------------------------


async def _first_build(
    side: ReadSide,
    name: str,
    workers: Sequence[Process],
    bar: Callable[[str, int], Bar],
    builds: dict[str, Told],
) -> Build:
    until = await side.logged(name)
    build = await side.followed(name, await side.active(name), workers, until, bar(f"Building {name}", until))
    taken = await operations.disk_needed(side.addresses, name)
    builds[f"{name}, first build"] = Told(build.cost, None, taken)
    return build


async def _rebuilt_by_workers(
    side: ReadSide,
    http: aiohttp.ClientSession,
    workers: Sequence[Process],
    bar: Callable[[str, int], Bar],
    builds: dict[str, Told],
) -> tuple[Build, list[Watched]]:
    """Built by workers that find the generation that somebody has begun; the commands of an operator do the rest."""
    async with _asking_for_delivery(side, http) as asks, polling(asks) as readers:
        said = await operations.disk_needed(side.addresses, MEASURED)
        until = await side.logged(MEASURED)
        number = await side.begin(MEASURED)
        build = await side.followed(MEASURED, number, workers, until, bar(f"Rebuilding {MEASURED}", until))
        await side.ready(MEASURED, number)
        await _verified(side, MEASURED)
        await operations.swap(side.addresses, MEASURED)
        taken = await operations.disk_needed(side.addresses, MEASURED)
        builds[f"{MEASURED}, rebuilt under traffic by one process"] = Told(build.cost, said, taken)
        await _swapped_back_and_again(side, MEASURED)
    return build, readers


async def _rebuilt_by_command(
    side: ReadSide, http: aiohttp.ClientSession, bar: Callable[[str, int], Bar], builds: dict[str, Told]
) -> list[Watched]:
    """Built by the one command, which shares the work with the projection's worker."""
    async with side.workers(1, COMMANDED) as workers:
        await _first_build(side, COMMANDED, workers, bar, builds)
        async with _asking_for_bidders(side, http) as asks, polling(asks) as readers:
            said = await operations.disk_needed(side.addresses, COMMANDED)
            until = await side.logged(COMMANDED)
            show, started = bar(f"Rebuilding {COMMANDED}", until), monotonic()
            await side.rebuild_command(COMMANDED, COMMAND_SECONDS)
            show(until)
            cost = Cost(until, 0.0, monotonic() - started)
            taken = await operations.disk_needed(side.addresses, COMMANDED)
            builds[f"{COMMANDED}, rebuilt, compared and swapped by one command"] = Told(cost, said, taken)
            await _swapped_back_and_again(side, COMMANDED)
    return readers


async def _verified(side: ReadSide, name: str) -> None:
    """Raises Disturbed unless the newest generation equals the one that is read, row for row."""
    found = await operations.verify(side.addresses, name)
    if not found.is_equal:
        raise Disturbed(found.summary)


async def _swapped_back_and_again(side: ReadSide, name: str) -> None:
    """In the end readers have the new generation, and the old one is gone."""
    await operations.swap(side.addresses, name)
    await operations.swap(side.addresses, name)
    await operations.retire(side.addresses, name)


async def _one_and_two(side: ReadSide, size: Size, bar: Callable[[str, int], Bar]) -> Comparison:
    """CPU per event of a rebuild, by one process and by two in turn, with nothing else to do.

    It begins when all have their share: whoever joins later makes the others read a batch again.
    """

    async def turn(count: int) -> Cost:
        async with side.workers(count, MEASURED) as workers:
            number = await side.begin_together(MEASURED, workers)
            show = bar(f"{count} process{'es' if count > 1 else ''}", size.rebuild_window_events)
            build = await side.followed(MEASURED, number, workers, size.rebuild_window_events, show)
        await operations.cancel(side.addresses, MEASURED, number)
        return build.cost

    one, two = [], []
    for _ in range(size.rebuild_rounds):
        one.append(await turn(1))
        two.append(await turn(2))
    return Comparison(
        what=f"CPU per event of a rebuild, {MEASURED}",
        unit="event",
        subject="two worker processes",
        peer="one",
        subject_rounds=two,
        peer_rounds=one,
        target=PROCESSES_TARGET,
    )


# -- readers ----------------------------------------------------------------------------------------


@asynccontextmanager
async def _asking_for_delivery(side: ReadSide, http: aiohttp.ClientSession) -> AsyncIterator[Mapping[str, Ask]]:
    async with asyncpg.create_pool(side.addresses.postgres_url, min_size=0, max_size=1) as pool:
        yield {
            "GET /v1/reports/delivery by hour and bidder": delivery_report(http, "hour", "bidder"),
            "GET /v1/reports/delivery by site and country": delivery_report(http, "site", "country"),
            "SQL on delivery and delivery_lines": sql(pool, DELIVERY_BY_QUARTER, key_columns=3),
        }


@asynccontextmanager
async def _asking_for_bidders(side: ReadSide, http: aiohttp.ClientSession) -> AsyncIterator[Mapping[str, Ask]]:
    async with asyncpg.create_pool(side.addresses.postgres_url, min_size=0, max_size=1) as pool:
        yield {
            "GET /v1/reports/bidders by hour": bidder_report(http),
            "SQL on bidder_health": sql(pool, BIDDERS, key_columns=2),
        }


# -- what it comes to -------------------------------------------------------------------------------


def _check(outcome: Outcome) -> None:
    faults = [fault for reader in outcome.readers for fault in reader.told_faults]
    if outcome.sent.refused:
        faults.append(f"{outcome.sent.refused} of {outcome.sent.answered:,} requests of the traffic were refused")
    faults += [
        f"{reader.name} was told nothing new, which shows nothing" for reader in outcome.readers if reader.news < 2
    ]
    if faults:
        raise Disturbed("\n".join(faults))


def _bar(progress: Progress, description: str, total: int) -> Bar:
    """A progress bar of its own for each step."""
    bar = progress.add_task(description, total=total)
    return lambda done: progress.update(bar, completed=min(done, total))
