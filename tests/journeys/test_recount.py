"""An auditor's view: what the log holds, what the read models say and what the clients saw is one and the same."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from decimal import Decimal
from pathlib import Path
from typing import Any

import asyncpg
import msgspec
import pytest
from aiokafka import AIOKafkaConsumer

from tests.journeys.running_exchange import RunningExchange, eventually, gavel, running_exchange
from tests.recount import recount

NANOS = Decimal(10**9)
TRAFFIC_SECONDS = 60
IMPS_MAX = 3
"""In one simulated request."""


async def test_every_count_agrees_after_a_burst_of_traffic(data_folder: Path) -> None:
    """900 auctions: log, report, Postgres and clients give the same numbers, to the last nano-unit.

    Found by the data folder alone, each of them is decided again as it was, and explained.
    """
    async with running_exchange(data_folder / "burst") as exchange:
        seen = await simulate(exchange, rate=60, seconds=15)
        await exchange.settled()
        counted = await recounted(exchange)

        assert seen["sent"] == 900
        assert seen["answered_4xx"] == seen["unreadable"] == seen["awards_without_pixel"] == seen["retries"] == 0
        assert seen["impressions_gross"] > seen["impressions"], "robots and repeated hits are part of the traffic"
        assert seen["clicks"] > 5
        hits = {name: seen[name] for name in ("impressions_gross", "clicks_gross")}
        assert hits == {name: counted["counts"][event] for event, name in HITS_SEEN.items()}
        assert_clients_agree(seen, counted)
        await assert_read_models_agree(exchange, counted)

        for auction_id, imp_id in seen["evidence"]["impressions"][::100]:
            order = {"imp_id": imp_id, "kind": "impression", "reason": "Nobody could see it."}
            await exchange.post(f"/v1/auctions/{auction_id}/void", order)
        await exchange.settled()
        voided = await recounted(exchange)
        assert voided["money"]["spend"] < counted["money"]["spend"], "something was given back"
        await assert_read_models_agree(exchange, voided)
        await assert_awards_follow(exchange)


@pytest.mark.long
async def test_counts_stay_exact_when_processes_are_killed(data_folder: Path) -> None:
    """Projectors, API and broker are killed in mid-traffic: nothing that was answered is lost or counts twice."""
    async with running_exchange(data_folder / "kills") as exchange:
        traffic = asyncio.create_task(simulate(exchange, rate=40, seconds=60))
        await traffic_passes(exchange, events=1_000)
        exchange.kill("gavel project")
        await traffic_passes(exchange, events=1_000)
        exchange.kill("gavel api", last=True)
        await traffic_passes(exchange, events=1_000)
        exchange.kill("gavel api")
        await traffic_passes(exchange, events=1_000)
        exchange.kill("kafka.Kafka")
        seen = await traffic
        await exchange.settled()
        counted = await recounted(exchange)

        assert seen["unanswered"] + seen["answered_5xx"] > 0, "the kills were felt"
        assert seen["retries"] > 0
        assert_clients_agree(seen, counted)
        await assert_read_models_agree(exchange, counted)
        logged = await column(exchange, "SELECT auction_id::text FROM auctions")
        assert set(seen["evidence"]["auctions"]) <= set(logged)


DECIDED_AGAIN = re.compile(r"([\d,]+) auctions with .* decided again.*?([\d,]+) imps sold, (\d+) mismatches", re.DOTALL)
DECIDED_MIN = 500

HITS_SEEN = {"impression_recorded": "impressions_gross", "click_recorded": "clicks_gross"}
"""What the log calls it, to what the clients' figures call it."""

REPORTED = {
    "bid_requested": "requests",
    "imps": "imps",
    "bid_placed": "bids",
    "auction_awarded": "wins",
    "impression_recorded": "impressions_gross",
    "valid impression_recorded": "impressions",
    "click_recorded": "clicks_gross",
    "valid click_recorded": "clicks",
}
"""What the log calls it, to what the delivery report calls it."""

STORED = {
    "bid_requested": "SELECT count(*) FROM auctions WHERE NOT test AND NOT robot",
    "bid_placed": "SELECT count(*) FROM auction_outcomes JOIN auctions USING (day, auction_id)"
    " WHERE outcome = 'placed' AND NOT test",
    "bid_refused": "SELECT count(*) FROM auction_outcomes JOIN auctions USING (day, auction_id)"
    " WHERE outcome <> 'placed' AND NOT test",
    "auction_awarded": "SELECT count(*) FROM auction_awards JOIN auctions USING (day, auction_id)"
    " WHERE sold AND NOT test",
    "auction_unsold": "SELECT count(*) FROM auction_awards JOIN auctions USING (day, auction_id)"
    " WHERE NOT sold AND NOT test",
    "impression_recorded": "SELECT count(*) FROM auction_engagements"
    " WHERE kind = 'impression' AND verdict NOT IN ('test', 'voided')",
    "click_recorded": "SELECT count(*) FROM auction_engagements"
    " WHERE kind = 'click' AND verdict NOT IN ('test', 'voided')",
}
"""What the log calls it, to the rows of it in Postgres."""


async def simulate(exchange: RunningExchange, *, rate: int, seconds: int) -> dict[str, Any]:
    """Runs `gavel simulate` and gives the clients' figures."""
    figures = exchange.data / "figures.json"
    options = {"rate": rate, "seconds": seconds, "seed": 11, "data": exchange.data, "json": figures}
    await gavel("simulate", *(word for name, value in options.items() for word in (f"--{name}", str(value))))
    seen: dict[str, Any] = msgspec.json.decode(figures.read_bytes())
    return seen


async def recounted(exchange: RunningExchange) -> dict[str, Any]:
    return await recount(kafka_address(exchange))


def kafka_address(exchange: RunningExchange) -> str:
    return str(exchange.installation["kafka_url"]).removeprefix("kafka://")


def engagements(seen: dict[str, Any]) -> set[tuple[str, str, str]]:
    """Auction, imp and event type of every engagement that the clients know to be answered."""
    kinds = {"impressions": "impression_recorded", "clicks": "click_recorded"}
    return {(auction, imp, kind) for name, kind in kinds.items() for auction, imp in seen["evidence"][name]}


def assert_clients_agree(seen: dict[str, Any], counted: dict[str, Any]) -> None:
    """Every engagement that was answered counts once, at its price, and no other; no answered auction is missing.

    An auction without an answer, or refused because the log was away, may still stand in the log.
    """
    assert seen["unanswered_hits"] == seen["refused_hits"] == seen["unreadable"] == 0
    assert seen["awards"] > 100, "on a machine that is busy bidders may be late"
    assert counted["counted engagements"] == engagements(seen)
    assert counted["money"]["spend"] == seen["spend_nanos"]
    undecided = seen["unanswered"] + seen["answered_5xx"]
    counts = Counter(counted["counts"])
    assert counts["robots' bid_requested"] > 0, "robots are part of the traffic"
    assert 0 <= counts["bid_requested"] + counts["robots' bid_requested"] - seen["auctions"] <= undecided
    assert 0 <= counts["imps"] + counts["robots' imps"] - seen["imps"] <= undecided * IMPS_MAX
    assert 0 <= counts["auction_awarded"] - seen["awards"] <= undecided * IMPS_MAX


async def assert_read_models_agree(exchange: RunningExchange, counted: dict[str, Any]) -> None:
    """The report's totals, its rows by publisher, bidder, campaign and hour, and Postgres equal the recount."""
    counts = counted["counts"]
    day = "from=2020-01-01T00:00:00Z&to=2100-01-01T00:00:00Z"
    report = await exchange.get(f"/v1/reports/delivery?{day}&by=publisher,bidder,campaign,hour")
    assert {REPORTED[name]: counts[name] for name in REPORTED} == {
        name: report["totals"][name] for name in REPORTED.values()
    }
    assert {unit: nanos / NANOS for unit, nanos in counted["money"].items()} == {
        unit: Decimal(report["totals"][unit]) for unit in counted["money"]
    }
    units = ("spend", "revenue", "fee")
    kinds = ("impressions", "clicks")
    reported_rows = {
        (row["publisher"], row["bidder"], row["campaign"], row["hour"][:13]): (
            *(row[kind] for kind in kinds),
            *(Decimal(row[unit]) for unit in units),
        )
        for row in report["rows"]
        if row["impressions"] or row["clicks"]
    }
    assert reported_rows == {
        key: (*(row[kind] for kind in kinds), *(row[unit] / NANOS for unit in units))
        for key, row in counted["by publisher, bidder, campaign and hour"].items()
        if row["impressions"] or row["clicks"]
    }
    stored = {name: (await column(exchange, query))[0] for name, query in STORED.items()}
    assert stored == {name: counts[name] for name in STORED}
    await assert_books_agree(exchange, counted)


async def assert_books_agree(exchange: RunningExchange, counted: dict[str, Any]) -> None:
    """What every account owes or has earned, and for which campaign, equals the recount; and the books' own audit."""
    balances: Counter[tuple[str, str]] = Counter()
    for (publisher, bidder, campaign, _), row in counted["by publisher, bidder, campaign and hour"].items():
        balances["advertiser" if campaign else f"bidder:{bidder}", campaign] += row["spend"]
        balances[f"publisher:{publisher}", campaign] -= row["revenue"]
        balances["exchange", campaign] -= row["fee"]
    booked: Counter[tuple[str, str]] = Counter()
    report = await exchange.get("/v1/reports/ledger?from=2020-01-01&to=2100-01-01&by=campaign")
    for row in report["rows"]:
        account = "advertiser" if row["campaign"] and row["account"].startswith("advertiser:") else row["account"]
        booked[account, row["campaign"]] += int(Decimal(row["balance"]) * NANOS)
    assert {key: nanos for key, nanos in booked.items() if nanos} == {
        key: nanos for key, nanos in balances.items() if nanos
    }
    assert "agree to the nano-unit" in await gavel("ledger", "verify", "--data", str(exchange.data))


async def assert_awards_follow(exchange: RunningExchange) -> None:
    """Every award is reached again from its bids, and one auction is told from request to sum."""
    here = ("--data", str(exchange.data))
    found = DECIDED_AGAIN.search(await gavel("auctions", "replay", "--all", *here))
    assert found is not None
    auctions, sold, mismatches = (int(each.replace(",", "")) for each in found.groups())
    assert (auctions >= DECIDED_MIN, sold > 0, mismatches) == (True, True, 0)
    [item] = (await exchange.get("/v1/auctions?status=awarded&limit=1"))["items"]
    award = item["awards"][0]
    story = await gavel("auctions", "explain", item["id"], *here)
    assert f"{award['bidder']} won and pays {award['clearing_price']} {award['currency']}" in story
    again = await gavel("auctions", "replay", item["id"], *here)
    assert "The log says the same." in again


async def column(exchange: RunningExchange, query: str) -> list[Any]:
    """The first column of a query's rows."""
    connection = await asyncpg.connect(exchange.installation["postgres_url"])
    try:
        return [row[0] for row in await connection.fetch(query)]
    finally:
        await connection.close()


async def traffic_passes(exchange: RunningExchange, *, events: int) -> None:
    """Returns when so many more events stand in the log than when it was asked."""
    topic = "gavel.auctions"
    consumer = AIOKafkaConsumer(topic, bootstrap_servers=kafka_address(exchange))
    await consumer.start()
    try:

        async def logged() -> int:
            return sum((await consumer.end_offsets(consumer.assignment())).values())

        target = await logged() + events

        async def passed() -> bool:
            return await logged() >= target

        await eventually(passed, TRAFFIC_SECONDS)
    finally:
        await consumer.stop()
