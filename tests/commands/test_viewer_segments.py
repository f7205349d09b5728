"""What an auction learns of its viewer's segments, on a real Redis; and that nothing it waits for holds it up."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import Any

import msgspec
import pytest
from redis.asyncio import Redis

from commands.redis_pipeline import RedisAway, RedisCalls, RedisPipeline
from commands.viewer_segments import ViewerSegments
from domain.audience import Audience
from domain.catalogue import SegmentTarget
from domain.direct.index import NO_CAMPAIGNS
from domain.errors import Unavailable
from domain.feed_events import FeedRecordAdded
from domain.feeds.sealing import CHANGES, DATA_KEY_BYTES, NONCE_BYTES, DataKey, seal
from domain.limits import SEGMENT_CLIENTS_READ_MAX
from domain.market import Market
from domain.names import Names
from domain.openrtb.person import User
from domain.openrtb.request import BidRequest
from domain.terms.feed_client import feed_client_id
from gavel.process_clock import SystemClock, fresh_id
from projections.feed_look_up import LOOK_UP
from projections.feed_value import packed, unpacked
from tests.domain.direct.campaigns import campaign

CARS, BOATS, CATS = SegmentTarget("data", "cars"), SegmentTarget("data", "boats"), SegmentTarget("pets", "cats")
MARKET = Market(
    direct=NO_CAMPAIGNS.with_campaigns([campaign(targeting={"segments": (CARS, BOATS, CATS)})]),
    feed_clients=frozenset({"data", "pets"}),
)
REQUEST = BidRequest(id="r", imp=(), user=User(id="viewer-17"))
KEY = DataKey("key-1", b"f" * DATA_KEY_BYTES)
STAMP = bytes(8)
SECONDS = 0.05
FAR_LONGER_SECONDS = 0.5
"""Than an auction waits, on whatever machine."""


class Feeds:
    """Feed clients' records in Redis, and who looks them up."""

    def __init__(self, redis: Redis) -> None:
        self.redis = redis
        self.names = Names(f"t{fresh_id()[-12:]}")
        self.pipeline = RedisPipeline(redis, timeout_s=1.0)
        self.written: list[str] = []

    async def put(
        self, client: str, segments: list[str], *, at: str = "viewer-17", sealed_at: str = "", expires_at: Any = None
    ) -> None:
        """The record under `at`, sealed for `sealed_at` where that is another key."""
        client_id = feed_client_id(client)
        ciphertext = seal(
            msgspec.json.encode({"segments": segments}),
            data_key=KEY.secret,
            nonce=bytes(NONCE_BYTES),
            client=client_id,
            topic=CHANGES,
            key=sealed_at or at,
        )
        head: dict[str, Any] = {
            "id": "",
            "at": datetime.now(UTC),
            "correlation_id": "",
            "causation_id": "",
            "client": client_id,
        }
        event = FeedRecordAdded(**head, key=at, key_id=KEY.id, ciphertext=ciphertext, expires_at=expires_at)
        self.written.append(self.names.feed_keys(client_id)[2])
        await self.redis.hset(self.written[-1], at, STAMP + packed(event))

    async def of_viewer(
        self,
        request: BidRequest = REQUEST,
        *,
        market: Market = MARKET,
        opening: Callable[[str, str], DataKey | None] = lambda *_: KEY,
        pipeline: RedisCalls | None = None,
        seconds: float = 1.0,
    ) -> Audience:
        look = ViewerSegments(
            pipeline or self.pipeline,
            self.names,
            look_up=LOOK_UP,
            unpacked=unpacked,
            opening=opening,
            clock=SystemClock(),
            seconds=seconds,
        )
        return await look(market, request, ())


@pytest.fixture
async def feeds(redis_url: str) -> AsyncIterator[Feeds]:
    feeds = Feeds(Redis.from_url(redis_url))
    yield feeds
    for key in feeds.written:
        await feeds.redis.delete(key)
    await feeds.pipeline.close()


async def test_of_each_feed_client_what_campaigns_are_for(feeds: Feeds) -> None:
    """Whatever else it knows of the viewer."""
    await feeds.put("data", ["planes", "cars", "cats"])
    await feeds.put("pets", ["cats", "cars"])
    found = await feeds.of_viewer()
    assert (found.read, set(found.segments)) == ("found", {CARS, CATS})


async def test_so_many_feed_clients_are_asked_as_are_active(feeds: Feeds) -> None:
    """No more than that, in one order; and who is paused takes nobody's place."""
    names = [f"client-{number:02}" for number in range(2 * SEGMENT_CLIENTS_READ_MAX)]
    targets = {name: SegmentTarget(name, "cars") for name in names}
    sought = NO_CAMPAIGNS.with_campaigns([campaign(targeting={"segments": tuple(targets.values())})])
    asked, beyond = names[SEGMENT_CLIENTS_READ_MAX - 1], names[SEGMENT_CLIENTS_READ_MAX]
    for name in (asked, beyond):
        await feeds.put(name, ["cars"])
    everybody = Market(direct=sought, feed_clients=frozenset(names))
    assert await feeds.of_viewer(market=everybody) == Audience("found", (targets[asked],))
    later = Market(direct=sought, feed_clients=frozenset(names[SEGMENT_CLIENTS_READ_MAX:]))
    assert await feeds.of_viewer(market=later) == Audience("found", (targets[beyond],))


async def test_what_has_expired_is_not_there(feeds: Feeds) -> None:
    """The next id is looked at instead, as where there never was a record."""
    await feeds.put("data", ["cars"], expires_at=datetime.now(UTC) - timedelta(seconds=1))
    assert await feeds.of_viewer() == Audience("none")
    await feeds.put("data", ["boats"], at="buyer-1")
    both = BidRequest(id="r", imp=(), user=User(id="viewer-17", buyeruid="buyer-1"))
    assert await feeds.of_viewer(both) == Audience("found", (BOATS,))


async def test_what_does_not_open_puts_nobody_into_a_segment(feeds: Feeds) -> None:
    """A record copied to another viewer, one whose key is destroyed, one sealed with another key, one cut short."""
    await feeds.put("data", ["cars"], sealed_at="somebody else")
    assert await feeds.of_viewer() == Audience("none")
    await feeds.put("data", ["cars"])
    assert await feeds.of_viewer(opening=lambda *_: None) == Audience("none")
    another = DataKey(KEY.id, b"g" * DATA_KEY_BYTES)
    assert await feeds.of_viewer(opening=lambda *_: another) == Audience("none")
    assert await feeds.of_viewer() == Audience("found", (CARS,))
    whole = await feeds.redis.hget(feeds.written[-1], "viewer-17")
    for damaged in (whole[:8], whole[:12], whole[:17], whole[:20], whole[:30], b"\xff" * 40):
        await feeds.redis.hset(feeds.written[-1], "viewer-17", damaged)
        assert await feeds.of_viewer() == Audience("none")


async def test_one_feed_client_of_which_nothing_is_known_leaves_the_others(feeds: Feeds) -> None:
    """And where nothing was found it is said that nobody knows."""

    def opening(client_id: str, _: str) -> DataKey:
        if client_id == feed_client_id("data"):
            raise Unavailable("The wrapping key is not there.")
        return KEY

    await feeds.put("data", ["cars"])
    assert await feeds.of_viewer(opening=opening) == Audience("unavailable")
    await feeds.put("pets", ["cats"])
    assert await feeds.of_viewer(opening=opening) == Audience("found", (CATS,))


async def test_a_redis_that_hangs_does_not_hold_up_an_auction(feeds: Feeds) -> None:
    """It is left after the time that an auction has for it; what it answers then is nobody's."""
    await feeds.put("data", ["cars"])
    assert (await feeds.of_viewer()).read == "found"
    await feeds.redis.client_pause(round(FAR_LONGER_SECONDS * 1_000))
    began_at = monotonic()
    assert await feeds.of_viewer(seconds=SECONDS) == Audience("unavailable")
    assert monotonic() - began_at < FAR_LONGER_SECONDS - SECONDS
    assert (await feeds.of_viewer()).read == "found"


async def test_a_redis_that_is_away_costs_no_time(feeds: Feeds) -> None:
    """Nobody is in a segment until it is back."""
    async with Redis.from_url("redis://127.0.0.1:1", socket_connect_timeout=0.2) as away:
        pipeline = RedisPipeline(away, timeout_s=0.2)
        assert await feeds.of_viewer(pipeline=pipeline) == Audience("unavailable")
        await pipeline.close()


async def test_nobody_is_asked_who_may_not_be_known(feeds: Feeds) -> None:
    """Not even Redis learns who it was."""

    class Silent(RedisCalls):
        def call(self, *command: str | bytes | float) -> Awaitable[Any]:
            raise RedisAway(f"asked for {command}")

        async def evaluate(self, *asked: object) -> Any:
            raise AssertionError(f"asked for {asked}")

        async def close(self) -> None:
            """Nothing is open."""

    look = ViewerSegments(
        Silent(), feeds.names, look_up=LOOK_UP, unpacked=unpacked, opening=lambda *_: KEY, clock=SystemClock()
    )
    assert await look(MARKET, REQUEST, ("coppa",)) == Audience("restricted")
    assert await look(MARKET, BidRequest(id="r", imp=()), ()) == Audience("nobody")
    paused = msgspec.structs.replace(MARKET, feed_clients=frozenset())
    assert await look(paused, REQUEST, ()) == Audience("paused")
    assert await look(Market(feed_clients=MARKET.feed_clients), REQUEST, ()) == Audience(None)
