"""Every scenario of `tests/scenarios/` on real bidders, a real Redis and a real Kafka."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from redis.asyncio import Redis

from commands.hold_auction import AuctionResult
from commands.kafka_log import KafkaLog
from domain.codec import decode
from domain.errors import InvalidInput
from domain.names import Names
from domain.notices import notices_of
from domain.replay import replay
from domain.tokens import verify
from gavel.process_clock import fresh_id
from gavel.topics import ensure_topics
from tests.commands.auction_scenario import (
    Scenario,
    decoded,
    differences,
    listening,
    read_scenario,
    scenario_files,
)
from tests.commands.auction_told import impression, notices_told, told
from tests.commands.exchange import BASE_URL, SHARE_BPS, TOKEN_KEY, Exchange
from tests.commands.hostile_bidder import HostileBidder
from tests.schemas.openrtb import schema_faults

PARTITIONS = 3
SAME_IN_AWARD_AND_TOKEN = ("auction_id", "imp_id", "bidder_id", "bid_id", "deal_id", "currency")
PRICES = ("price_micros", "clearing_price_micros", "revenue_micros", "fee_micros")
"""The same as well, but for campaigns that pay for clicks: then the token's are those of a click."""
LATE_ANSWERS_SECONDS = 10
DEVICE_IDS = {"ip", "ipv6", "ifa", "didsha1", "didmd5", "dpidsha1", "dpidmd5", "macsha1", "macmd5"}
RECOGNISABLE_CHARS = 6
REQUEST_HEADERS = {b"content-type: application/json", b"accept-encoding: gzip", b"x-openrtb-version: 2.6"}


@pytest.fixture(scope="module")
async def topics(kafka_url: str) -> Names:
    """Topics for all scenarios: an auction's events are found by its key."""
    names = Names(f"t{fresh_id()[-12:]}")
    await ensure_topics(kafka_url, names, PARTITIONS)
    return names


@pytest.fixture(scope="module")
async def log(kafka_url: str, topics: Names) -> AsyncIterator[KafkaLog]:
    log = KafkaLog(kafka_url, topics.topics)
    await log.start()
    yield log
    await log.close()


class Topic:
    """What stands in the topic of auctions, read with one plain consumer for all scenarios."""

    def __init__(self, consumer: AIOKafkaConsumer, partitions: list[TopicPartition]) -> None:
        self._consumer = consumer
        self._partitions = partitions
        self._events: dict[str, list[dict[str, Any]]] = {}

    async def events_of(self, auction_id: str) -> list[dict[str, Any]]:
        """The auction's events in their order, up to the end that the topic has now."""
        ends = await self._consumer.end_offsets(self._partitions)
        while [each for each, end in ends.items() if await self._consumer.position(each) < end]:
            for records in (await self._consumer.getmany(timeout_ms=500)).values():
                for record in records:
                    event = msgspec.json.decode(record.value, type=dict[str, Any])
                    self._events.setdefault(record.key.decode(), []).append(event)
        return self._events.get(auction_id, [])


@pytest.fixture(scope="module")
async def topic(kafka_url: str, topics: Names) -> AsyncIterator[Topic]:
    async with AIOKafkaConsumer(bootstrap_servers=kafka_url, auto_offset_reset="earliest") as consumer:
        partitions = [TopicPartition(topics.auctions, number) for number in range(PARTITIONS)]
        consumer.assign(partitions)
        yield Topic(consumer, partitions)


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    async with Redis.from_url(redis_url) as redis:
        yield redis


@pytest.fixture
async def exchange(log: KafkaLog, topics: Names, redis: Redis) -> AsyncIterator[Exchange]:
    exchange = Exchange(log, topics, redis)
    yield exchange
    await exchange.close()


@pytest.mark.parametrize("path", scenario_files(), ids=lambda path: path.stem)
async def test_scenario(path: Path, exchange: Exchange, topic: Topic) -> None:
    """The auction goes as its file says, and its events tell it completely and in order."""
    scenario = read_scenario(path)
    async with listening(scenario) as bidders:
        await exchange.register(scenario, bidders)
        if "faults" in scenario.expected:
            with pytest.raises(InvalidInput) as refused:
                await exchange.hold(scenario.body)
            assert sorted({fault.path for fault in refused.value.faults}) == scenario.expected["faults"]
            assert not any(each.requests for each in bidders.values()), "nobody is asked for a request that is refused"
            return
        started = asyncio.get_running_loop().time()
        result = await exchange.hold(scenario.body)
        took_ms = (asyncio.get_running_loop().time() - started) * 1000
        async with asyncio.timeout(LATE_ANSWERS_SECONDS):
            events = await topic.events_of(result.auction_id)
            while _late_answers(events) < len(scenario.expected.get("late", {})):
                events = await topic.events_of(result.auction_id)
    story = told(events, exchange.bidder_names)
    story["requests"] = {name: decoded(*each.requests[0]) for name, each in bidders.items() if each.requests}
    story["response"] = msgspec.json.decode(result.body) if result.body else None
    story["status"] = result.status
    notices = notices_of(
        decode(msgspec.json.encode(each)) for each in events + [impression(events, imp_id) for imp_id in scenario.seen]
    )
    story["notices"] = notices_told(notices, exchange.bidder_names)
    story |= _addresses(story["response"], events)
    story["reserved"] = await exchange.reserved()
    wrong = differences({name: value for name, value in scenario.expected.items() if name != "within_ms"}, story)
    wrong += _wrongly_sent(bidders, story["response"])
    wrong += [fault for each in notices for fault in schema_faults("notice", {"kind": each.key.kind, "url": each.url})]
    assert not wrong, "\n".join(wrong)
    assert took_ms < scenario.expected.get("within_ms", 2_000)
    _assert_complete(events, scenario, result, exchange.bidder_names)


def _late_answers(events: list[dict[str, Any]]) -> int:
    return sum(each["type"] == "bidder_answered_late" for each in events)


def _wrongly_sent(bidders: dict[str, HostileBidder], response: dict[str, Any] | None) -> list[str]:
    """Where something that the exchange sent is not as OpenRTB 2.6 has it."""
    wrong = [] if response is None else schema_faults("bid_response", response)
    for name, bidder in bidders.items():
        for head, body in bidder.requests:
            absent = REQUEST_HEADERS - {line.lower() for line in head.split(b"\r\n")}
            wrong += [f"to {name}: no {line.decode()}" for line in absent]
            wrong += [f"to {name}: {fault}" for fault in schema_faults("bid_request", decoded(head, body))]
    return wrong


def _addresses(response: dict[str, Any] | None, events: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """By imp, where a click leads, how long addresses live, what is claimed; tokens must say what the award says."""
    awards = {each["imp_id"]: each for each in events if each["type"] == "auction_awarded"}
    landings: dict[str, str | None] = {}
    lifetimes: dict[str, dict[str, int]] = {}
    tokens: dict[str, dict[str, Any]] = {}
    for bid in [bid for seat in (response or {}).get("seatbid", []) for bid in seat["bid"]]:
        award, addresses = awards[bid["impid"]], bid["ext"]["gavel"]
        landings[bid["impid"]], lifetimes[bid["impid"]] = None, {}
        for kind in ("impression", "click"):
            if (url := addresses.get(f"{kind}_url")) is None:
                continue
            assert url.startswith(f"{BASE_URL}/{kind}?t=")
            claims = verify(url.partition("?t=")[2], [TOKEN_KEY])
            assert claims.kind == kind
            same = SAME_IN_AWARD_AND_TOKEN + (PRICES if claims.charged_on == "impression" else ())
            said = {name: getattr(claims, name) for name in same}
            assert said == {name: award.get(name) for name in same}
            whose = {name: getattr(claims, name) for name in ("advertiser_id", "campaign_id", "ad_id")}
            assert whose == {name: award.get("direct", {}).get(name) for name in whose}
            assert claims.size == award.get("size", "")
            tokens.setdefault(bid["impid"], {name: getattr(claims, name) for name in claims.__struct_fields__})
            assert msgspec.to_builtins(claims.inventory) == award["inventory"]
            assert claims.awarded_at == datetime.fromisoformat(award["at"])
            assert (claims.test, claims.seat) == (award.get("test", False), award.get("seat", ""))
            landings[bid["impid"]] = claims.landing_url
            lifetimes[bid["impid"]][kind] = claims.expires_at - int(claims.awarded_at.timestamp())
    assert landings.keys() == awards.keys(), "every award is answered"
    return {"landings": landings, "lifetimes": lifetimes, "tokens": tokens}


def _assert_complete(
    events: list[dict[str, Any]], scenario: Scenario, result: AuctionResult, bidder_names: dict[str, str]
) -> None:
    """What holds for every auction, whatever its bidders did."""
    assert isinstance(scenario.request, dict)
    imps = [imp["id"] for imp in scenario.request["imp"]]
    assert events[0]["type"] == "bid_requested"
    outcomes = [(each["imp_id"], each["bidder_id"]) for each in events if each["type"] in {"bid_placed", "bid_refused"}]
    assert sorted(outcomes) == sorted((imp, bidder) for imp in imps for bidder in bidder_names), "one outcome each"
    ends = [each["imp_id"] for each in events if each["type"] in {"auction_awarded", "auction_unsold"}]
    assert ends == imps, "every imp comes to one end"
    assert [each["id"] for each in events] == sorted(each["id"] for each in events), "ids sort as the events happened"
    assert {each["correlation_id"] for each in events} == {each["auction_id"] for each in events} == {result.auction_id}
    assert {each["causation_id"] for each in events[1:]} <= {events[0]["id"]}
    assert {each.get("test", False) for each in events} == {scenario.request.get("test") == 1}
    shares = {each["imp_id"]: each.get("share_bps", SHARE_BPS) for each in events[0]["imps"]}
    for event in events:
        if event["type"] == "auction_awarded":
            assert event["revenue_micros"] == event["clearing_price_micros"] * shares[event["imp_id"]] // 10_000
            assert event["revenue_micros"] + event["fee_micros"] == event["clearing_price_micros"]
    kept = msgspec.json.encode(events).decode()
    assert [each for each in _personal(scenario.request) if each in kept] == [], "nobody is recognised in the log"
    again = replay([decode(msgspec.json.encode(each)) for each in events])
    assert again.differences == (), "decided again from its events it ends the same"
    assert [each.imp_id for each in again.imps] == imps


def _personal(request: dict[str, Any]) -> list[str]:
    """What tells one person from another in the request; texts that are too short to be found for certain left out."""
    device, user = request.get("device", {}), request.get("user", {})
    ids = [value for name, value in device.items() if name in DEVICE_IDS]
    ids += [user.get("id", ""), user.get("buyeruid", "")]
    ids += [uid["id"] for source in user.get("eids", []) for uid in source["uids"]]
    places = [holder["geo"].get(name) for holder in (device, user) if "geo" in holder for name in ("lat", "lon")]
    return [text for text in ids + [str(place) for place in places] if len(text) >= RECOGNISABLE_CHARS]
