"""An auction's parts, each in this process and beside its counterpart of the usual stack."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from time import perf_counter, process_time
from typing import NamedTuple

import aiohttp
import msgspec
from aiokafka import AIOKafkaProducer
from redis.asyncio import Redis
from uuid_utils import uuid7

from bench.bid_requests import bid_requests, post
from bench.cost import Comparison, Contender, Cost, take_turns
from bench.generated_events import histories
from bench.http_load import LoadPlan, cost_under
from bench.installation import PARTITIONS, Installation, peer_api
from bench.peers import plain_auction
from bench.size import Size
from commands.bidder_client import KeepAliveBidderClient
from commands.kafka_log import KafkaLog
from commands.ranking import RedisRanking
from commands.redis_pipeline import RedisPipeline
from domain.auction import Candidate
from domain.catalogue import Bidder
from domain.codec import encode
from domain.invitation import invite
from domain.market import Market, RegisteredBidder
from domain.names import Names
from domain.openrtb.outbound import RequestsForBidders
from domain.openrtb.parse import parse_request
from domain.sale import on_sale
from gavel.topics import ensure_topics

AT_ONCE = 32
BIDDERS = 3
TMAX_MS = 200
BIDDER_SECONDS = 5.0
HEADERS = (("content-type", "application/json"), ("x-openrtb-version", "2.6"))
NAMES = Names("bench-parts")
MARKET = Market(
    bidders=tuple(
        RegisteredBidder(f"bidder-{number}", 1, "active", Bidder(name="DSP", endpoint="https://dsp.example/bid"))
        for number in range(BIDDERS)
    )
)
PEER_TOPIC = "plain-parts"

Operation = Callable[[int], Awaitable[None]]
"""One of its numbered kind."""


class Part(NamedTuple):
    """The same work twice."""

    what: str
    subject: str
    subject_does: Operation
    peer: str
    peer_does: Operation


async def measure(installation: Installation, endpoints: Sequence[str], size: Size) -> list[Comparison]:
    """Every part, one after the other; the contenders of each take turns."""
    async with AsyncExitStack() as stack:
        parts = [
            _request_in_and_out(),
            await stack.enter_async_context(_fan_out(endpoints)),
            await stack.enter_async_context(_ranking(installation)),
            await stack.enter_async_context(_append(installation)),
        ]
        comparisons = [await _compare(part, size) for part in parts]
    return [await _http_in(installation, size), *comparisons]


async def _compare(part: Part, size: Size) -> Comparison:
    rounds = await take_turns(
        {"gavel": _in_this_process(part.subject_does, size), "peer": _in_this_process(part.peer_does, size)},
        rounds=size.rounds,
    )
    return _comparison(part.what, part.subject, part.peer, rounds)


def _comparison(what: str, subject: str, peer: str, rounds: dict[str, list[Cost]]) -> Comparison:
    return Comparison(
        what=what,
        unit="auction",
        subject=subject,
        peer=peer,
        subject_rounds=rounds["gavel"],
        peer_rounds=rounds["peer"],
    )


def _in_this_process(operation: Operation, size: Size) -> Contender:
    """Rounds of the operation with so many at once, on the CPU time of this process."""

    async def some(numbers: range) -> None:
        for number in numbers:
            await operation(number)

    async def measured() -> Cost:
        wall, cpu = perf_counter(), process_time()
        await asyncio.gather(*(some(range(first, size.parts, AT_ONCE)) for first in range(AT_ONCE)))
        return Cost(size.parts, process_time() - cpu, perf_counter() - wall)

    return measured


async def _http_in(installation: Installation, size: Size) -> Comparison:
    bodies = bid_requests(1_000)
    async with peer_api(installation, "bench.http_in", topic="http-in") as (process, port):

        def under(path: str) -> Contender:
            requests = [post(path, body) for body in bodies]
            plan = LoadPlan(port=port, requests=requests, count=size.auctions, connections=AT_ONCE)
            return lambda: cost_under(plan, process)

        rounds = await take_turns({"gavel": under("/raw"), "peer": under("/typed")}, rounds=size.rounds)
    return _comparison("part: HTTP in", "@asgi below the framework", "Litestar handler with msgspec", rounds)


def _request_in_and_out() -> Part:
    bodies = bid_requests(1_000)

    async def gavel(number: int) -> None:
        parsed = parse_request(bodies[number % len(bodies)])
        sale = on_sale(parsed.request, parsed.members, MARKET, default_share_bps=8_000)
        requests = RequestsForBidders(parsed, (), sale)
        for invitation in invite(MARKET.bidders, sale, requests, is_robot=False).invitations:
            invitation.template.body(TMAX_MS)

    async def plain(number: int) -> None:
        request = msgspec.json.decode(bodies[number % len(bodies)])
        for _ in range(BIDDERS):
            msgspec.json.encode(request | {"tmax": TMAX_MS})

    return Part(
        "part: request checked, and written for three bidders",
        "typed decode, raw members spliced",
        gavel,
        "msgspec into a dict, encoded for each, unchecked",
        plain,
    )


@asynccontextmanager
async def _fan_out(endpoints: Sequence[str]) -> AsyncIterator[Part]:
    (body,) = bid_requests(1)
    client = KeepAliveBidderClient(allow_private=True)
    now = asyncio.get_running_loop().time

    async def gavel(_number: int) -> None:
        deadline = now() + BIDDER_SECONDS
        await asyncio.gather(*(client.post(url, HEADERS, body, deadline) for url in endpoints))

    async def plain(_number: int) -> None:
        await asyncio.gather(*(plain_auction.ask(session, url, body, BIDDER_SECONDS) for url in endpoints))

    async with aiohttp.ClientSession() as session:
        yield Part("part: three bidders asked over HTTP", "keep-alive client on a Protocol", gavel, "aiohttp", plain)
    await client.close()


@asynccontextmanager
async def _ranking(installation: Installation) -> AsyncIterator[Part]:
    bids = [
        plain_auction.Placed(f"bidder-{n}", plain_auction.Bid(f"bid-{n}", "1", price), 1.0)
        for n, price in enumerate((1.85, 2.4, 1.1))
    ]
    candidates = [
        Candidate(bid.bidder, bid.bid.id, "", int(bid.bid.price * 1e6), 0, None, None, arrival)
        for arrival, bid in enumerate(bids)
    ]
    url = installation.urls.redis_url
    async with Redis.from_url(url) as redis, Redis.from_url(url) as plain_redis:
        pipeline = RedisPipeline(redis, timeout_s=1.0)
        ranking = RedisRanking(pipeline, NAMES)

        async def gavel(_number: int) -> None:
            ranked = await ranking.rank(str(uuid7()), {"1": candidates})
            assert ranked.ranked_by == "redis"

        async def plain(_number: int) -> None:
            await plain_auction.rank(plain_redis, str(uuid7()), bids)

        yield Part("part: one ranking in Redis", "coalesced pipelines, one script", gavel, "redis-py", plain)
        await pipeline.close()


@asynccontextmanager
async def _append(installation: Installation) -> AsyncIterator[Part]:
    await ensure_topics(installation.urls.kafka_url, NAMES, PARTITIONS)
    await installation.create_topic(PEER_TOPIC)
    auctions = list(histories(1_000))
    log = KafkaLog(installation.urls.kafka_url, [NAMES.auctions])
    await log.start()
    producer = AIOKafkaProducer(bootstrap_servers=installation.urls.kafka_url, acks="all")
    await producer.start()

    async def gavel(number: int) -> None:
        history = auctions[number % len(auctions)]
        await log.append(NAMES.auctions, history.auction_id, history.auction)

    async def plain(number: int) -> None:
        history = auctions[number % len(auctions)]
        await plain_auction.log(producer, PEER_TOPIC, history.auction_id, [encode(each) for each in history.auction])

    yield Part("part: five events acknowledged", "own batches", gavel, "one aiokafka send each", plain)
    await producer.stop()
    await log.close()
