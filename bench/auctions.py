"""What an auction costs: three HTTP bidders, five durable events, HTTP in included; whole, and part by part."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AsyncExitStack

from bench import auction_parts
from bench.bid_requests import bid_requests, post
from bench.cost import Comparison, Cost, Target, median_of, take_turns
from bench.gavel_api import AUCTION_PATH, GavelApi, gavel_api
from bench.http_load import LoadPlan, cost_under
from bench.installation import Installation, cheap_bidders, peer_api
from bench.process import Process
from bench.report import Section
from bench.size import Size

CONNECTIONS = 32
DISTINCT_REQUESTS = 1_000
EVENTS_PER_AUCTION = 5
HALF = 0.5
PEER = "Litestar handler, aiohttp, redis-py, one aiokafka send per event"
TARGET = Target("≤", 0.35)
LATENCY_TARGET_MS = 10


async def measure(installation: Installation, size: Size) -> Section:
    """Both APIs run from the beginning; the load goes to one and the other in turn."""
    async with AsyncExitStack() as stack:
        bidders = await stack.enter_async_context(cheap_bidders())
        gavel = await stack.enter_async_context(gavel_api(installation, "bench"))
        await gavel.register_bidders(bidders)
        plain, plain_port = await stack.enter_async_context(
            peer_api(installation, "bench.peers.plain_auction", topic="plain-auctions", bidders=bidders)
        )
        whole = await _whole(gavel, plain, plain_port, size)
        notes = [
            await _at_half_load("Gavel", gavel.process, gavel.port, whole.subject_rounds, size),
            await _at_half_load("The peer", plain, plain_port, whole.peer_rounds, size),
        ]
        parts = await auction_parts.measure(installation, bidders, size)
    return Section(
        title="An auction",
        method=(
            f"{size.rounds} rounds of {size.auctions:,} auctions each over {CONNECTIONS} connections that ask again at "
            "once, one API worker, three bidders that bid at once, requests of about 1 KB.\n"
            "CPU is user and system time of the API's processes; bidders, broker and Redis are not in it.\n"
            "It was checked that every auction was answered 200 and left its five events in the topic.\n"
            "The parts run in one process without HTTP in; they do not add up to the whole."
        ),
        comparisons=[whole, *parts],
        notes=notes,
    )


async def _whole(gavel: GavelApi, plain: Process, plain_port: int, size: Size) -> Comparison:
    before = await gavel.auctions_logged()
    rounds = await take_turns(
        {
            "gavel": lambda: cost_under(_plan(gavel.port, size), gavel.process),
            "plain": lambda: cost_under(_plan(plain_port, size), plain),
        },
        rounds=size.rounds,
    )
    logged = await gavel.auctions_logged() - before
    held = size.auctions * (size.rounds + 1)
    if logged != held * EVENTS_PER_AUCTION:
        raise gavel.process.failure(f"held {held} auctions and logged {logged} events")
    return Comparison(
        what="an auction, whole",
        unit="auction",
        subject="POST /openrtb2/auction",
        peer=PEER,
        subject_rounds=rounds["gavel"],
        peer_rounds=rounds["plain"],
        target=TARGET,
    )


async def _at_half_load(who: str, process: Process, port: int, full: Sequence[Cost], size: Size) -> str:
    """Bidders answer at once, so all of the latency is what the exchange adds, and the machine's queueing."""
    rate = HALF * 1e6 / median_of(full, lambda cost: cost.wall_us)
    cost = await cost_under(_plan(port, size, rate=rate), process)
    assert cost.latencies is not None
    latencies = cost.latencies
    return (
        f"{who} at half of the load it held ({rate:,.0f} auctions/s, open loop, counted from the moment a request was "
        f"due): p50 {latencies.p50_ms:.1f} ms, p90 {latencies.p90_ms:.1f} ms, p99 {latencies.p99_ms:.1f} ms "
        f"(to reach: p99 ≤ {LATENCY_TARGET_MS} ms)."
    )


def _plan(port: int, size: Size, *, rate: float | None = None) -> LoadPlan:
    requests = [post(AUCTION_PATH, body) for body in bid_requests(DISTINCT_REQUESTS)]
    return LoadPlan(port=port, requests=requests, count=size.auctions, connections=CONNECTIONS, rate=rate)
