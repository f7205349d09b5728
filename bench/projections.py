"""What a projection costs when it replays the log from offset zero, beside the limits of what it stands on."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from importlib.metadata import version
from itertools import chain, islice
from typing import Literal

import asyncpg
import msgspec

from bench.cost import Comparison, Contender, Cost, Target, take_turns
from bench.generated_events import History, histories
from bench.installation import PARTITIONS, Installation
from bench.peers import sourced_delivery
from bench.process import python, running
from bench.replay import ReplayPlan
from bench.report import Section
from bench.size import Size
from bench.sourced_replay import SourcedPlan
from commands.kafka_log import KafkaLog
from domain.names import Names
from gavel.topics import ensure_topics
from projections.migrate import migrate

NAMES = Names("bench-replay")
DATABASE = "bench_replay"
APPENDS_AT_ONCE = 1_000
REPLAY_SECONDS = 300.0


async def measure(installation: Installation, size: Size) -> Section:
    """Fills the topics once; then the projections and the limits take turns, each in a process of its own."""
    auctions = histories(size.replayed_auctions)
    first = list(islice(auctions, size.sourced_auctions))
    events = await _fill(installation, chain(first, auctions))
    postgres_url = await _fresh_database(installation)
    sourced = await asyncio.to_thread(_sourced, postgres_url, first)
    plans = {
        name: ReplayPlan(
            projection=name,
            kafka_url=installation.urls.kafka_url,
            postgres_url=postgres_url,
            redis_url=installation.urls.redis_url,
            namespace=NAMES.namespace,
            auctions=size.replayed_auctions,
        )
        for name in ("delivery", "auction_log")
    }
    rounds = await take_turns(
        {
            "delivery": _in_a_process("bench.replay", plans["delivery"]),
            "delivery's limit": _in_a_process("bench.fetch_and_decode", plans["delivery"]),
            "delivery's lean limit": _in_a_process(
                "bench.fetch_and_decode", msgspec.structs.replace(plans["delivery"], is_lean=True)
            ),
            "auction_log": _in_a_process("bench.replay", plans["auction_log"]),
            "auction_log's limit": _in_a_process("bench.fetch_and_decode", plans["auction_log"]),
            "copy": _in_a_process("bench.copy_rows", plans["auction_log"]),
            "eventsourcing": _in_a_process("bench.sourced_replay", sourced),
        },
        rounds=size.rounds,
    )
    for name, costs in rounds.items():
        seen = sourced.events if name == "eventsourcing" else events
        assert all(cost.operations == seen for cost in costs), f"{name} did not see {seen} events"
    return Section(
        title="A rebuild from offset zero", method=_method(size, events, sourced), comparisons=_comparisons(rounds)
    )


def _method(size: Size, events: int, sourced: SourcedPlan) -> str:
    return (
        f"{size.rounds} rounds over {events:,} events of {size.replayed_auctions:,} generated auctions and their "
        f"impressions in {PARTITIONS} partitions, read by one process into Postgres.\n"
        "CPU is that of the reading process from its first fetch to its last commit; the database's is not in it, "
        "but in the wall time.\n"
        "Fetch-and-decode is an ordinary consumer of the same events, which keeps nothing: `getmany` of aiokafka, "
        "every event decoded whole, Python's collector of cycles as it comes. The targets are held against it.\n"
        "The lean one fetches, decodes excerpts and calms the collector as a projection does: what is beyond it is "
        "folding and writing.\n"
        "COPY writes the rows of the same events out of memory into tables without an index.\n"
        f"`eventsourcing` {version('eventsourcing')} counts the same rows out of the first {sourced.events:,} events, "
        "kept by an application of its own in the same Postgres: its `ProjectionRunner` with a tracking recorder, "
        "a transaction for each event, as its documentation has it."
    )


def _comparisons(rounds: Mapping[str, list[Cost]]) -> list[Comparison]:
    return [
        _comparison(
            "delivery",
            "an ordinary fetch and decode",
            rounds["delivery"],
            rounds["delivery's limit"],
            target=Target("≥", 0.6),
        ),
        _comparison("delivery", "lean fetch and decode", rounds["delivery"], rounds["delivery's lean limit"]),
        _comparison(
            "delivery",
            "`eventsourcing`, its runner",
            rounds["delivery"],
            rounds["eventsourcing"],
            target=Target("≥", 50),
        ),
        _comparison(
            "auction_log", "an ordinary fetch and decode", rounds["auction_log"], rounds["auction_log's limit"]
        ),
        _comparison(
            "auction_log",
            "COPY into bare tables",
            rounds["auction_log"],
            rounds["copy"],
            target=Target("≥", 0.4),
            judged_by="wall",
        ),
    ]


def _comparison(
    name: str,
    limit: str,
    replays: list[Cost],
    limits: list[Cost],
    *,
    target: Target | None = None,
    judged_by: Literal["CPU", "wall"] = "CPU",
) -> Comparison:
    return Comparison(
        what=f"events a second, {name}",
        unit="event",
        subject=f"{name}, rows and offsets",
        peer=limit,
        subject_rounds=replays,
        peer_rounds=limits,
        ratio_of="rates",
        target=target,
        judged_by=judged_by,
    )


def _in_a_process(module: str, plan: ReplayPlan | SourcedPlan) -> Contender:
    async def contender() -> Cost:
        async with running(module, python("-m", module, msgspec.json.encode(plan).decode())) as process:
            return msgspec.json.decode(await process.result(REPLAY_SECONDS), type=Cost)

    return contender


async def _fill(installation: Installation, auctions: Iterable[History]) -> int:
    """Writes the histories into the topics; returns their number of events."""
    await ensure_topics(installation.urls.kafka_url, NAMES, PARTITIONS)
    log = KafkaLog(installation.urls.kafka_url, [NAMES.auctions, NAMES.engagements])
    await log.start()
    try:
        source = iter(auctions)
        while some := list(islice(source, APPENDS_AT_ONCE)):
            await asyncio.gather(*(_append(log, history) for history in some))
    finally:
        await log.close()
    return await installation.logged(NAMES.auctions) + await installation.logged(NAMES.engagements)


def _sourced(postgres_url: str, auctions: Iterable[History]) -> SourcedPlan:
    """Saves their events in the library's application."""
    events, last = sourced_delivery.fill(postgres_url, auctions)
    return SourcedPlan(postgres_url=postgres_url, events=events, last=last)


async def _append(log: KafkaLog, history: History) -> None:
    await log.append(NAMES.auctions, history.auction_id, history.auction)
    if history.engagements:
        await log.append(NAMES.engagements, history.auction_id, history.engagements)


async def _fresh_database(installation: Installation) -> str:
    """A migrated database beside the installation's own; returns its URL."""
    connection = await asyncpg.connect(installation.urls.postgres_url)
    try:
        await connection.execute(f"CREATE DATABASE {DATABASE}")
    finally:
        await connection.close()
    server, _, _ = installation.urls.postgres_url.rpartition("/")
    await migrate(f"{server}/{DATABASE}")
    return f"{server}/{DATABASE}"
