"""The load test of a pixel: what share of impressions is lost, how fast the others are, and when all are counted.

Three forms stand side by side in one run: each impression written to the database at once, Express with kafkajs and a
consumer behind it, and Gavel with its projection. Each has to answer a burst over many connections, all of them busy.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from itertools import product
from pathlib import Path
from time import monotonic
from typing import NamedTuple

import asyncpg
from rich.console import Console

from bench import machine, report
from bench.express_peer import NoExpressPeer, express_api, install
from bench.gavel_api import gavel_api
from bench.http_load import LoadPlan, LoadResult, generate
from bench.impressions import Pixels
from bench.installation import Installation, installed, peer_server
from bench.process import POLL_SECONDS, Process, python, running
from bench.size import Size
from gavel.settings import Settings, environment_of

RESULTS = Path(__file__).with_name("LOAD.md")
ROUND_SECONDS = 600.0
"""A round that is not answered by then has lost the rest."""
DRAIN_SECONDS = 300.0
OK = 200
HEADINGS = (
    "impressions",
    "connections",
    "form",
    "lost",
    "answered/s",
    "p50 ms",
    "p99 ms",
    "all counted after",
    "CPU µs each",
)
TABLE = "CREATE TABLE {} (id text PRIMARY KEY, at timestamptz NOT NULL, token text NOT NULL)"
JUDGED = "SELECT count(*) FROM delivery_engagements WHERE counted"


class Form(NamedTuple):
    """One way to take impressions, running."""

    process: Process
    port: int
    counted: Callable[[], Awaitable[int]]
    """Impressions that a report could count by now."""


class Round(NamedTuple):
    """What a burst came to."""

    result: LoadResult
    sent: int
    cpu_seconds: float
    drained_seconds: float | None
    """From the last answer until all that was answered is counted; None if that took too long."""

    @property
    def answered(self) -> int:
        return self.result.statuses.get(OK, 0)

    def cells(self) -> tuple[str, ...]:
        lost = 1 - self.answered / self.sent
        latencies = self.result.latencies
        return (
            f"{lost:.2%} ({self.sent - self.answered:,})",
            f"{self.answered / self.result.wall_seconds:,.0f}",
            f"{latencies.p50_ms:,.0f}",
            f"{latencies.p99_ms:,.0f}",
            "not in time" if self.drained_seconds is None else f"{self.drained_seconds:.1f} s",
            f"{self.cpu_seconds / self.sent * 1e6:,.0f}",
        )


async def run(size: Size, console: Console, *, keep: bool) -> None:
    """Every form under every burst, one after the other."""
    console.print(f"On {machine.describe()}")
    async with installed() as installation:
        pixels = Pixels(installation.token_key)
        cells = []
        async with AsyncExitStack() as stack:
            opened = await _forms(installation, console)
            forms = {name: await stack.enter_async_context(form) for name, form in opened.items()}
            for (count, connections), (name, form) in product(product(size.bursts, size.connections), forms.items()):
                with console.status(f"{name}: {count:,} over {connections:,} connections …"):
                    burst = await _burst(form, pixels.fresh(count), connections)
                cells.append((f"{count:,}", f"{connections:,}", name, *burst.cells()))
    report.show_rows(console, "The load test", HEADINGS, cells)
    if keep:
        RESULTS.write_text("\n".join(_page(cells)) + "\n")


async def _forms(installation: Installation, console: Console) -> Mapping[str, AbstractAsyncContextManager[Form]]:
    forms: dict[str, AbstractAsyncContextManager[Form]] = {"written to the database at once": _direct(installation)}
    try:
        forms["Express + kafkajs + a consumer"] = _express(installation, await install(Settings()))
    except NoExpressPeer as reason:
        console.print(f"Express + kafkajs was not measured: {reason}.")
    return forms | {"Gavel": _gavel(installation)}


async def _burst(form: Form, requests: Sequence[bytes], connections: int) -> Round:
    counted, cpu = await form.counted(), form.process.cpu_seconds()
    plan = LoadPlan(
        port=form.port,
        requests=requests,
        count=len(requests),
        connections=connections,
        timeout_seconds=ROUND_SECONDS,
    )
    result = await generate(plan)
    cpu_seconds = form.process.cpu_seconds() - cpu
    due = counted + result.statuses.get(OK, 0)
    return Round(result, len(requests), cpu_seconds, await _drained(form, due))


async def _drained(form: Form, due: int) -> float | None:
    started = monotonic()
    while await form.counted() < due:
        if monotonic() - started > DRAIN_SECONDS:
            return None
        await asyncio.sleep(POLL_SECONDS)
    return monotonic() - started


@asynccontextmanager
async def _direct(installation: Installation) -> AsyncIterator[Form]:
    postgres_url = installation.urls.postgres_url
    environment = {"POSTGRES": postgres_url}
    async with (
        _table(postgres_url, "direct_impressions") as counted,
        peer_server("bench.peers.direct_to_database", environment) as (process, port),
    ):
        yield Form(process, port, counted)


@asynccontextmanager
async def _express(installation: Installation, folder: Path) -> AsyncIterator[Form]:
    topic, table = "express-load", "express_impressions"
    environment = {
        "KAFKA": installation.urls.kafka_url,
        "POSTGRES": installation.urls.postgres_url,
        "TOPIC": topic,
        "TABLE": table,
    }
    async with (
        _table(installation.urls.postgres_url, table) as counted,
        express_api(folder, installation, topic=topic, flush_ms=0) as (process, port),
        running("consumer", python("-m", "bench.peers.plain_consumer"), environment=environment),
    ):
        yield Form(process, port, counted)


@asynccontextmanager
async def _gavel(installation: Installation) -> AsyncIterator[Form]:
    async with gavel_api(installation, "bench-load") as api:
        environment = environment_of(api.settings)
        async with (
            running("delivery", python("-m", "gavel", "project", "delivery"), environment=environment),
            _counting(installation.urls.postgres_url, JUDGED) as counted,
        ):
            yield Form(api.process, api.port, counted)


@asynccontextmanager
async def _table(postgres_url: str, name: str) -> AsyncIterator[Callable[[], Awaitable[int]]]:
    """A table for a peer's impressions; yields how many it holds."""
    async with _counting(postgres_url, f"SELECT count(*) FROM {name}", TABLE.format(name)) as counted:
        yield counted


@asynccontextmanager
async def _counting(
    postgres_url: str, query: str, first: str = "SELECT 1"
) -> AsyncIterator[Callable[[], Awaitable[int]]]:
    connection = await asyncpg.connect(postgres_url)
    try:
        await connection.execute(first)

        async def counted() -> int:
            return int(await connection.fetchval(query))

        yield counted
    finally:
        await connection.close()


def _page(cells: Sequence[Sequence[str]]) -> Iterator[str]:
    yield "# The load test"
    yield ""
    yield f"Measured on {datetime.now(UTC):%Y-%m-%d} in one run: {machine.describe()}."
    yield "`python -m bench load` measures it again and writes this page."
    yield ""
    yield "Each burst keeps all of its connections busy until everything is answered, or ten minutes have passed."
    yield "Lost is what was not answered with 200: refused, failed, or without an answer."
    yield "All counted is the time from the last answer until every answered impression stands where reports count it."
    yield "CPU is user and system time of the process that answers, without broker and database."
    yield "The database form opens a connection for each impression, as first versions do; Postgres takes 200 of them."
    yield "Express sends each impression and waits for all replicas; a consumer INSERTs them one by one."
    yield "Gavel checks signature, expiry, robots, rate and duplicates, and its projection judges and adds up."
    yield ""
    yield from report.markdown_table(HEADINGS, cells)
