"""A plain auction of the usual stack: Litestar handler, aiohttp, redis-py, one aiokafka `send` per event.

Served by the same server as Gavel. Five events per auction, all acknowledged by Kafka before the answer.
Takes KAFKA, REDIS (URL), TOPIC and BIDDERS (comma-separated URLs) from the environment.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from time import perf_counter
from typing import Any, NamedTuple

import aiohttp
import msgspec
from aiokafka import AIOKafkaProducer
from litestar import Litestar, Request, Response, post
from litestar.datastructures import State
from redis.asyncio import Redis
from uuid_utils import uuid7


class Banner(msgspec.Struct):
    w: int
    h: int


class Imp(msgspec.Struct):
    id: str
    bidfloor: float = 0.0
    banner: Banner | None = None


class BidRequest(msgspec.Struct):
    id: str
    imp: list[Imp]
    tmax: int = 250
    cur: list[str] = []
    site: dict[str, Any] = {}
    device: dict[str, Any] = {}
    user: dict[str, Any] = {}


class Bid(msgspec.Struct):
    id: str
    impid: str
    price: float
    adm: str = ""
    crid: str = ""
    adomain: list[str] = []


class SeatBid(msgspec.Struct):
    bid: list[Bid]
    seat: str = ""


class BidResponse(msgspec.Struct):
    id: str
    seatbid: list[SeatBid] = []


class Placed(NamedTuple):
    bidder: str
    bid: Bid
    latency_ms: float


decode_response = msgspec.json.Decoder(BidResponse).decode
encode = msgspec.json.encode


@asynccontextmanager
async def clients(app: Litestar) -> AsyncIterator[None]:
    producer = AIOKafkaProducer(bootstrap_servers=os.environ["KAFKA"], acks="all")
    await producer.start()
    async with aiohttp.ClientSession() as session, Redis.from_url(os.environ["REDIS"]) as redis:
        app.state.update({"producer": producer, "session": session, "redis": redis})
        yield
    await producer.stop()


async def ask(session: aiohttp.ClientSession, url: str, body: bytes, seconds: float) -> Placed | None:
    started = perf_counter()
    headers = {"Content-Type": "application/json", "x-openrtb-version": "2.6"}
    try:
        async with session.post(url, data=body, headers=headers, timeout=aiohttp.ClientTimeout(seconds)) as answer:
            response = decode_response(await answer.read())
    except (aiohttp.ClientError, TimeoutError, msgspec.DecodeError):
        return None
    bid = response.seatbid[0].bid[0]
    return Placed(url, bid, (perf_counter() - started) * 1e3)


async def rank(redis: Redis, auction_id: str, placed: list[Placed]) -> list[str]:
    key = f"rank:{auction_id}"
    async with redis.pipeline(transaction=False) as pipeline:
        pipeline.zadd(key, {each.bidder: each.bid.price for each in placed})
        pipeline.zrevrange(key, 0, -1)
        pipeline.expire(key, 60)
        _, ranking, _ = await pipeline.execute()
    return [member.decode() for member in ranking]


def event(kind: str, auction_id: str, **fields: Any) -> bytes:
    return encode({"type": kind, "id": str(uuid7()), "at": datetime.now(UTC), "auction_id": auction_id, **fields})


async def log(producer: AIOKafkaProducer, topic: str, auction_id: str, events: list[bytes]) -> None:
    key = auction_id.encode()
    acknowledged = [await producer.send(topic, each, key=key) for each in events]
    await asyncio.gather(*acknowledged)


@post("/openrtb2/auction", status_code=200)
async def hold_auction(data: BidRequest, request: Request[Any, Any, Any], state: State) -> Response[bytes]:
    auction_id = str(uuid7())
    imp = data.imp[0]
    body = await request.body()
    urls = os.environ["BIDDERS"].split(",")
    answers = await asyncio.gather(*(ask(state.session, url, body, data.tmax / 1e3) for url in urls))
    placed = [each for each in answers if each is not None and each.bid.price >= imp.bidfloor]
    if not placed:
        return Response(b"", status_code=204)
    ranking = await rank(state.redis, auction_id, placed)
    by_bidder = {each.bidder: each for each in placed}
    winner = by_bidder[ranking[0]].bid
    second = by_bidder[ranking[1]].bid.price if len(ranking) > 1 else imp.bidfloor
    price = min(winner.price, round(second + 0.01, 6))
    pixel = f'<img src="https://exchange.example/impression?a={auction_id}" width="1" height="1">'
    events = [event("bid_requested", auction_id, request=data)]
    events += [event("bid_placed", auction_id, bidder=each.bidder, bid=each.bid) for each in placed]
    events.append(event("auction_awarded", auction_id, ranking=ranking, bid_id=winner.id, clearing_price=price))
    await log(state.producer, os.environ["TOPIC"], auction_id, events)
    bid = {"id": winner.id, "impid": imp.id, "price": price, "adm": winner.adm + pixel, "crid": winner.crid}
    answer = {"id": data.id, "cur": "USD", "seatbid": [{"bid": [bid]}]}
    return Response(encode(answer), media_type="application/json", headers={"Auction": auction_id})


app = Litestar([hold_auction], lifespan=[clients], openapi_config=None, logging_config=None)
