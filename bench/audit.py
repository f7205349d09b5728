"""The audit: half a million auctions in which everything that can die dies, recounted from the topics alone.

People reload pages and click twice, robots come by, campaigns run out of budget, engagements are voided, API workers,
projectors, the notifier and the broker are killed, and Redis loses its memory. In the end the reports, the books and
the budgets have to say what `tests/recount.py` counts with a plain consumer and none of the product's code.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from random import Random
from time import monotonic
from typing import Any, NamedTuple

import aiohttp
import msgspec
from redis.asyncio import Redis
from rich.console import Console

from bench import machine, report
from bench.installation import fresh_folder
from bench.process import python, running
from bench.size import Size
from gavel.simulate.inventory import PROPERTIES
from tests.journeys.running_exchange import RunningExchange, eventually, gavel, running_exchange
from tests.journeys.test_recount import assert_read_models_agree, engagements
from tests.recount import recount

RESULTS = Path(__file__).with_name("AUDIT.md")
SEED = 20
WORKERS = 2
TIGHT_CAMPAIGNS = 12
DRAIN_SECONDS = 900
SPARE_SECONDS = 600
"""On top of what the traffic takes by its rate, for hits that are sent again while servers are away."""
VOIDS = 25
NANOS_PER_UNIT = Decimal(10**9)
HEADINGS = ("impressions", "clicks", "spend", "revenue", "fee", "reports", "books", "budget")


class Differs(RuntimeError):
    """Something does not say what the topics say."""


class Fault(NamedTuple):
    """What happens once so much of the traffic's time has passed."""

    share: float
    name: str
    strike: Callable[[RunningExchange], Awaitable[None]]


async def run(size: Size, console: Console, *, rate: int, keep: bool) -> None:
    """Raises Differs, or AssertionError with the rows that differ."""
    seconds = size.audit_auctions / rate
    console.print(f"On {machine.describe()}:\nabout {seconds:.0f} s of {rate} auctions a second, seed {SEED}")
    with fresh_folder() as folder:
        async with running_exchange(folder / "data", "--workers", str(WORKERS)) as exchange:
            campaigns = await _tight_campaigns(exchange)
            striking = asyncio.create_task(_strike(exchange, seconds, console))
            seen = await _simulate(exchange, rate, seconds)
            await striking
            voided = await _void_some(exchange, seen)
            await _drain(exchange)
            counted = await recount(exchange.installation["kafka_url"].removeprefix("kafka://"))
            _check_clients(seen, counted, voided)
            await assert_read_models_agree(exchange, counted)
            rows = await _side_by_side(exchange, counted, campaigns)
            books = await gavel("ledger", "verify", "--data", str(exchange.data))
    report.figures_table(console, "Counted from the topics", HEADINGS, rows)
    summary = _summary(seen, counted, voided, books)
    console.print(summary)
    if keep:
        RESULTS.write_text("\n".join(_page(rows, summary, FAULTS)) + "\n")


# -- what is done to it -----------------------------------------------------------------------------


def _kill(words: str, *, last: bool = False) -> Callable[[RunningExchange], Awaitable[None]]:
    async def kill(exchange: RunningExchange) -> None:
        exchange.kill(words, last=last)

    return kill


async def _flush_redis(exchange: RunningExchange) -> None:
    async with Redis.from_url(exchange.installation["redis_url"]) as redis:
        await redis.flushall()


FAULTS = (
    Fault(0.10, "SIGKILL of the projectors", _kill("gavel project")),
    Fault(0.20, "SIGKILL of an API worker", _kill("gavel api", last=True)),
    Fault(0.30, "SIGKILL of the notifier", _kill("gavel notify")),
    Fault(0.40, "SIGKILL of the API's main process", _kill("gavel api")),
    Fault(0.50, "FLUSHALL of Redis", _flush_redis),
    Fault(0.60, "SIGKILL of the projectors", _kill("gavel project")),
    Fault(0.70, "SIGKILL of the broker", _kill("kafka.Kafka")),
    Fault(0.80, "SIGKILL of an API worker", _kill("gavel api", last=True)),
    Fault(0.90, "SIGKILL of Redis", _kill("valkey-server")),
)


async def _strike(exchange: RunningExchange, seconds: float, console: Console) -> None:
    started = monotonic()
    for fault in FAULTS:
        await asyncio.sleep(max(0.0, started + fault.share * seconds - monotonic()))
        await fault.strike(exchange)
        console.print(f"{monotonic() - started:6.0f} s  {fault.name}")


async def _simulate(exchange: RunningExchange, rate: int, seconds: float) -> dict[str, Any]:
    file = exchange.data / "clients.json"
    options = {"rate": rate, "seconds": seconds, "seed": SEED, "data": exchange.data, "json": file}
    words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    async with running("simulate", python("-m", "gavel", "simulate", *words)) as process:
        await process.success(seconds + SPARE_SECONDS)
    seen: dict[str, Any] = msgspec.json.decode(file.read_bytes())
    return seen


async def _tight_campaigns(exchange: RunningExchange) -> dict[str, Decimal]:
    """Campaigns that win whatever they may and soon run out; their budgets by id."""
    budgets: dict[str, Decimal] = {}
    sizes = sorted({size for each in PROPERTIES for size in each.sizes})
    async with _client(exchange) as http:
        advertiser = await _post(http, "/v1/advertisers", {"name": "Audited", "domain": "audited.example"})
        for number in range(TIGHT_CAMPAIGNS):
            budget = Decimal(number + 1) / 2
            price = {"bid_cpc": "0.05"} if number % 3 == 0 else {"bid_cpm": f"{4 + number}.00"}
            terms = {
                "advertiser_id": advertiser["id"],
                "name": f"Tight {number}",
                "budget": f"{budget:.2f}",
                "pacing": "asap",
                **price,
            }
            campaign = await _post(http, "/v1/campaigns", terms)
            budgets[campaign["id"]] = budget
            for width, height in sizes:
                ad = {
                    "campaign_id": campaign["id"],
                    "name": f"{number} {width}x{height}",
                    "width": width,
                    "height": height,
                    "image_url": "https://cdn.audited.example/ad.png",
                    "landing_url": "https://www.audited.example/",
                }
                await _post(http, "/v1/ads", ad)
    return budgets


async def _void_some(exchange: RunningExchange, seen: Mapping[str, Any]) -> int:
    """Voids impressions that are known to count, each of them twice: the second time must change nothing."""
    chosen = Random(SEED).sample(sorted(map(tuple, seen["evidence"]["impressions"])), VOIDS)
    async with _client(exchange) as http:
        for auction_id, imp_id in chosen * 2:
            order = {"imp_id": imp_id, "kind": "impression", "reason": "The audit takes it back."}
            await _post(http, f"/v1/auctions/{auction_id}/void", order)
    return len(chosen)


def _client(exchange: RunningExchange) -> aiohttp.ClientSession:
    key = {"Authorization": f"Bearer {exchange.installation['admin_key']}"}
    return aiohttp.ClientSession(exchange.url, headers=key)


async def _post(http: aiohttp.ClientSession, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
    async with http.post(path, json=body) as answer:
        if answer.status >= 300:
            raise Differs(f"{path} was answered {answer.status}: {await answer.text()}")
        answered: dict[str, Any] = await answer.json()
        return answered


async def _drain(exchange: RunningExchange) -> None:
    """Until nothing waits on disk and every projection has applied all that is in the log."""

    async def nothing_waits() -> bool:
        spooled = "gavel_spool_pending_bytes 0.0" in (await exchange.get_text("/metrics")).splitlines()
        return spooled and all(each["lag"] == 0 for each in await exchange.get("/v1/projections"))

    await eventually(nothing_waits, DRAIN_SECONDS)


# -- what it comes to -------------------------------------------------------------------------------


def _check_clients(seen: dict[str, Any], counted: dict[str, Any], voided: int) -> None:
    """Every engagement that a client got an answer to counts once, but for the voided ones, and no other does."""
    known, counts = engagements(seen), counted["counted engagements"]
    if counts - known or len(known - counts) != voided:
        raise Differs(f"{len(counts - known)} engagements count that nobody made, {len(known - counts)} do not count")


async def _side_by_side(
    exchange: RunningExchange, counted: Mapping[str, Any], budgets: Mapping[str, Decimal]
) -> dict[str, list[str]]:
    """By campaign and by publisher: the recount, and whether reports, books and budget say the same."""
    by_campaign: dict[str, Counter[str]] = {}
    by_publisher: dict[str, Counter[str]] = {}
    for (publisher, _, campaign, _), row in counted["by publisher, bidder, campaign and hour"].items():
        by_publisher.setdefault(publisher, Counter()).update(row)
        if campaign:
            by_campaign.setdefault(campaign, Counter()).update(row)
    rows = {}
    for campaign, row in sorted(by_campaign.items()):
        spent = await _spent(exchange, campaign, row, budgets.get(campaign))
        rows[f"campaign {campaign}"] = [*_figures(row), "✓", await _booked(exchange, "campaign", campaign, row), spent]
    for publisher, row in sorted(by_publisher.items()):
        rows[f"publisher {publisher}"] = [
            *_figures(row),
            "✓",
            await _booked(exchange, "publisher", publisher, row),
            "",
        ]
    return rows


async def _spent(exchange: RunningExchange, campaign: str, row: Mapping[str, int], budget: Decimal | None) -> str:
    """The budget's own account, which for the tight campaigns is in the auctions' currency."""
    if budget is None:
        return ""
    state = await exchange.get(f"/v1/campaigns/{campaign}/budget")
    spent = _units(row["spend"])
    if Decimal(state["spent"]) != spent or spent > budget:
        raise Differs(f"the campaign {campaign} has spent {spent} of {budget}, its budget says {state['spent']}")
    return f"{spent / budget:.1%} of {budget}"


async def _booked(exchange: RunningExchange, kind: str, whose: str, row: Mapping[str, int]) -> str:
    """What the books say of a publisher's earnings, or of what a campaign owes."""
    days = "from=2020-01-01&to=2100-01-01"
    if kind == "publisher":
        totals = (await exchange.get(f"/v1/reports/ledger?{days}&account=publisher:{whose}"))["totals"]
        booked = sum((-Decimal(each["closing"]) for each in totals), Decimal())
        due = _units(row["revenue"])
    else:
        rows = (await exchange.get(f"/v1/reports/ledger?{days}&by=campaign"))["rows"]
        buyers = [each for each in rows if each["campaign"] == whose and each["account"].startswith("advertiser:")]
        booked = sum((Decimal(each["balance"]) for each in buyers), Decimal())
        due = _units(row["spend"])
    if booked != due:
        raise Differs(f"the books say {booked} for {kind} {whose}, the topics {due}")
    return "✓"


def _figures(row: Mapping[str, int]) -> list[str]:
    counts = [f"{row.get(name, 0):,}" for name in ("impressions", "clicks")]
    return counts + [f"{_units(row.get(name, 0)):.9f}" for name in ("spend", "revenue", "fee")]


def _units(nanos: int) -> Decimal:
    return nanos / NANOS_PER_UNIT


def _summary(seen: Mapping[str, Any], counted: Mapping[str, Any], voided: int, books: str) -> str:
    counts = counted["counts"]
    held = counts["bid_requested"] + counts["robots' bid_requested"]
    valid, clicks = counts["valid impression_recorded"], counts["valid click_recorded"]
    lines = (
        (
            f"{held:,} auctions were logged; {seen['answered_5xx']:,} requests were answered 5xx, "
            f"{seen['unanswered']:,} not at all, and {seen['retries']:,} hits had to be sent again."
        ),
        (
            f"{counts['impression_recorded']:,} impressions were recorded and {valid:,} count; "
            f"{counts['click_recorded']:,} clicks, {clicks:,} count; {voided} were voided twice."
        ),
        (
            f"Spend {_units(counted['money']['spend'])}, of which publishers {_units(counted['money']['revenue'])} "
            f"and the exchange {_units(counted['money']['fee'])}."
        ),
        f"`gavel ledger verify`: {books.strip().splitlines()[-1]}",
    )
    return "\n".join(lines)


def _page(rows: Mapping[str, Sequence[str]], summary: str, faults: Sequence[Fault]) -> Iterator[str]:
    yield "# The audit"
    yield ""
    yield f"Measured on {datetime.now(UTC):%Y-%m-%d}: {machine.describe()}."
    yield "`make audit` runs it again and writes this page."
    yield ""
    yield "Simulated publishers, bidders, campaigns and viewers met the whole product on embedded servers."
    yield "Some people reload and click twice, robots come by, and twelve campaigns run out of budget."
    yield "In between: " + ", ".join(f"{each.name} ({each.share:.0%})" for each in faults) + "."
    yield "Then the topics were counted with a plain consumer and none of the product's code (`tests/recount.py`)."
    yield "Reports and books are what a user asks for over HTTP; each ✓ is equality to the nano-unit."
    yield ""
    yield summary
    yield ""
    yield from report.markdown_table(("", *HEADINGS), [(name, *row) for name, row in rows.items()])
