"""The log on a real broker: present, suspended, killed, absent."""

from __future__ import annotations

import asyncio
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from msgspec.structs import replace

from commands.kafka_log import EVENT_MAX_BYTES, KafkaLog
from commands.ports import AppendUndecided, Position
from domain.errors import InvalidInput, LogUnavailable, Overloaded
from domain.limits import LOG_HOLD_MS
from domain.names import Names
from tests.commands.conftest import OwnBroker
from tests.commands.eventually import eventually
from tests.commands.sample_events import auction_events, fresh_id, incompressible
from tests.commands.topic_content import read_topic


@pytest.fixture
async def log(kafka_url: str, names: Names) -> AsyncIterator[KafkaLog]:
    log = KafkaLog(kafka_url, [names.auctions, names.engagements])
    await log.start()
    yield log
    await log.close()


@pytest.fixture
async def shaky_log(own_broker: OwnBroker, own_names: Names) -> AsyncIterator[KafkaLog]:
    """On the broker that may be suspended and killed."""
    log = KafkaLog(own_broker.url, [own_names.auctions])
    await log.start()
    await eventually(lambda: log.healthy)
    yield log
    await log.close()


# -- the broker is there ---------------------------------------------------------------------------


async def test_events_stand_in_the_topic_in_order(log: KafkaLog, kafka_url: str, names: Names) -> None:
    """Events of one append follow each other under their key, and the position is the last one's."""
    auction = fresh_id()
    events = auction_events(auction, 5)
    position = await log.append(names.auctions, auction, events)
    logged = await read_topic(kafka_url, names.auctions)
    assert [record.event["id"] for record in logged] == [event.id for event in events]
    assert {record.key for record in logged} == {auction}
    assert position == Position(names.auctions, logged[-1].partition, logged[-1].offset)


async def test_an_event_for_every_partition(log: KafkaLog, kafka_url: str, names: Names) -> None:
    """Each has the one that was made for it, where its position says, whatever their common key."""
    [made] = auction_events(fresh_id(), 1)
    positions = await log.append_everywhere(
        names.auctions, "all", lambda number, count: replace(made, causation_id=f"{number} of {count}")
    )
    logged = await read_topic(kafka_url, names.auctions)
    assert {(record.partition, record.event["causation_id"]) for record in logged} == {
        (0, "0 of 3"),
        (1, "1 of 3"),
        (2, "2 of 3"),
    }
    assert set(positions) == {Position(names.auctions, record.partition, record.offset) for record in logged}
    await log.close()
    with pytest.raises(LogUnavailable):
        await log.append_everywhere(names.auctions, "all", lambda _number, _count: made)


async def test_many_appends_at_once(log: KafkaLog, kafka_url: str, names: Names) -> None:
    """A thousand concurrent appends are each written once, whole, in order, where their positions say."""
    appends = {auction: auction_events(auction, 4) for auction in (fresh_id() for _ in range(1_000))}
    positions = await asyncio.gather(*(log.append(names.auctions, key, events) for key, events in appends.items()))
    logged = await read_topic(kafka_url, names.auctions)
    by_key = defaultdict(list)
    for record in logged:
        by_key[record.key].append(record)
    assert len(logged) == 4_000
    for (key, events), position in zip(appends.items(), positions, strict=True):
        records = by_key[key]
        assert [record.event["id"] for record in records] == [event.id for event in events]
        assert [record.offset for record in records] == list(range(position.offset - 3, position.offset + 1))
        assert {record.partition for record in records} == {position.partition}


async def test_appends_come_at_any_moment(log: KafkaLog, kafka_url: str, names: Names) -> None:
    """One in every turn of the event loop, also in those in which a batch is leaving; and after each burst a pause."""
    calls: list[asyncio.Task[Position]] = []
    for _ in range(20):
        burst_ends = time.monotonic() + 0.01
        while time.monotonic() < burst_ends:
            key = fresh_id()
            calls.append(asyncio.create_task(log.append(names.auctions, key, auction_events(key, 1))))
            await asyncio.sleep(0)
        await asyncio.gather(*calls)
        await asyncio.sleep(LOG_HOLD_MS / 1000)
    assert len(await read_topic(kafka_url, names.auctions)) == len(calls)
    assert log.healthy


async def test_one_callers_cancellation_is_nobody_elses(log: KafkaLog, names: Names) -> None:
    """A cancelled append leaves the others of its batch acknowledged."""
    auctions = [fresh_id() for _ in range(20)]
    calls = [asyncio.create_task(log.append(names.auctions, each, auction_events(each, 1))) for each in auctions]
    await asyncio.sleep(0)
    for call in calls[::2]:
        call.cancel()
    results = await asyncio.gather(*calls, return_exceptions=True)
    assert all(isinstance(result, asyncio.CancelledError) for result in results[::2])
    assert all(isinstance(result, Position) for result in results[1::2])


async def test_an_event_that_is_too_large_is_named(log: KafkaLog, kafka_url: str, names: Names) -> None:
    """It is refused by type and id, and nothing of its append is written."""
    auction = fresh_id()
    events = [*auction_events(auction, 1), *auction_events(auction, 1, padding="x" * EVENT_MAX_BYTES)]
    with pytest.raises(InvalidInput, match=f"AuctionUnsold {events[1].id}: 9[0-9]+ bytes"):
        await log.append(names.auctions, auction, events)
    assert await read_topic(kafka_url, names.auctions) == []


async def test_more_than_one_batch_holds_keeps_its_order(log: KafkaLog, kafka_url: str, names: Names) -> None:
    """Events that are together larger than a batch are written in order all the same."""
    auction = fresh_id()
    events = auction_events(auction, 12, padding=incompressible(300_000))
    position = await log.append(names.auctions, auction, events)
    logged = await read_topic(kafka_url, names.auctions)
    assert [record.event["id"] for record in logged] == [event.id for event in events]
    assert position.offset == logged[-1].offset


async def test_a_refused_batch_does_not_stop_the_log(log: KafkaLog, kafka_url: str, names: Names) -> None:
    """After the broker has refused a batch for good, a fresh producer takes over by itself."""
    topic = f"{names.namespace}.narrow"
    await create_topic(kafka_url, topic, {"max.message.bytes": "2000"})
    narrow = KafkaLog(kafka_url, [topic])
    await narrow.start()
    for _ in range(2):
        key = fresh_id()
        with pytest.raises(LogUnavailable, match="MessageSizeTooLarge"):
            await narrow.append(topic, key, auction_events(key, 1, padding=incompressible(10_000)))
        await eventually(lambda: narrow.healthy)
        await narrow.append(topic, key, auction_events(key, 1))
    assert len(await read_topic(kafka_url, topic)) == 2
    assert await narrow.close() == 0


# -- the broker is away ------------------------------------------------------------------------------


async def test_a_suspended_broker_is_noticed_and_forgiven(
    own_broker: OwnBroker, own_names: Names, shaky_log: KafkaLog
) -> None:
    """Waits are bounded, later writes are refused at once, and what was undecided is written exactly once."""
    topic = own_names.auctions
    await shaky_log.append(topic, "before", auction_events("before", 1))
    own_broker.suspend()
    try:
        started = time.monotonic()
        early = [
            asyncio.create_task(shaky_log.append(topic, each, auction_events(each, 2)))
            for each in (fresh_id() for _ in range(50))
        ]
        await eventually(lambda: not shaky_log.healthy, seconds=2)
        assert "not acknowledged within 500 ms" in (shaky_log.fault or "")
        asked = time.monotonic()
        with pytest.raises(LogUnavailable):
            await shaky_log.append(topic, "before", auction_events("before", 1))
        assert time.monotonic() - asked < 1
        outcomes = await asyncio.gather(*early, return_exceptions=True)
        assert 1.9 < time.monotonic() - started < 10
        assert {type(outcome) for outcome in outcomes} == {AppendUndecided}
    finally:
        own_broker.resume()
    await eventually(lambda: shaky_log.healthy)
    decisions = [await outcome.decision() for outcome in outcomes if isinstance(outcome, AppendUndecided)]
    assert decisions == [True] * 50
    await shaky_log.append(topic, "after", auction_events("after", 1))
    assert Counter(record.event["id"] for record in await read_topic(own_broker.url, topic)).most_common(1)[0][1] == 1
    assert len(await read_topic(own_broker.url, topic)) == 102


async def test_what_is_in_flight_is_bounded(own_broker: OwnBroker, own_names: Names, shaky_log: KafkaLog) -> None:
    """Past the bound an append is refused at once, and all that were accepted are written later."""
    padding = incompressible(200_000)
    keys = [fresh_id() for _ in range(400)]
    own_broker.suspend()
    try:
        calls = [
            asyncio.create_task(shaky_log.append(own_names.auctions, key, auction_events(key, 1, padding=padding)))
            for key in keys
        ]
        outcomes = await asyncio.gather(*calls, return_exceptions=True)
    finally:
        own_broker.resume()
    kinds = Counter(type(outcome) for outcome in outcomes)
    assert kinds.keys() == {AppendUndecided, Overloaded}
    assert 300 < kinds[AppendUndecided] < 340  # 64 MiB of 200 kB each
    assert all([await outcome.decision() for outcome in outcomes if isinstance(outcome, AppendUndecided)])
    await eventually(lambda: shaky_log.healthy)
    await shaky_log.append(own_names.auctions, "after", auction_events("after", 1))
    assert len(await read_topic(own_broker.url, own_names.auctions)) == kinds[AppendUndecided] + 1


async def test_a_killed_broker_loses_and_repeats_nothing(
    own_broker: OwnBroker, own_names: Names, shaky_log: KafkaLog
) -> None:
    """SIGKILL in mid-traffic: what was acknowledged is in the topic exactly once, and writing goes on by itself."""
    topic = own_names.auctions
    acknowledged: dict[str, Position] = {}
    undecided: dict[str, AppendUndecided] = {}
    refused: set[str] = set()
    stop = asyncio.Event()

    async def write() -> None:
        while not stop.is_set():
            key = fresh_id()
            [event] = auction_events(key, 1)
            try:
                acknowledged[event.id] = await shaky_log.append(topic, key, [event])
            except AppendUndecided as error:
                undecided[event.id] = error
            except LogUnavailable:
                refused.add(event.id)
                await asyncio.sleep(0.02)

    writers = [asyncio.create_task(write()) for _ in range(30)]
    await eventually(lambda: len(acknowledged) > 500)
    own_broker.kill()
    await eventually(lambda: refused)
    before = len(acknowledged)
    await eventually(lambda: len(acknowledged) > before + 500, seconds=60)
    stop.set()
    await asyncio.gather(*writers)
    decided = {event: await error.decision() for event, error in undecided.items()}
    logged = Counter(record.event["id"] for record in await read_topic(own_broker.url, topic))
    assert max(logged.values()) == 1
    assert set(logged) == set(acknowledged) | {event for event, written in decided.items() if written}


async def test_positions_are_right_after_a_restart(
    own_broker: OwnBroker, own_names: Names, shaky_log: KafkaLog
) -> None:
    """A clean restart of the broker changes nothing about where events stand."""
    topic = own_names.auctions
    await shaky_log.append(topic, "a", auction_events("a", 2))
    await own_broker.take_down()
    await own_broker.bring_back()
    await eventually(lambda: shaky_log.healthy, seconds=30)
    position = await shaky_log.append(topic, "a", auction_events("a", 2))
    last = (await read_topic(own_broker.url, topic))[-1]
    assert position == Position(topic, last.partition, last.offset)


async def test_starting_and_closing_without_a_broker(own_broker: OwnBroker, own_names: Names) -> None:
    """Neither hangs; writes are refused with the reason; when the broker comes the log is there by itself."""
    await own_broker.take_down()
    try:
        log, unlucky = (KafkaLog(own_broker.url, [own_names.auctions]) for _ in range(2))
        started = time.monotonic()
        await asyncio.gather(log.start(), unlucky.start())
        assert time.monotonic() - started < 15
        assert not log.healthy
        with pytest.raises(LogUnavailable, match="cannot be reached"):
            await log.append(own_names.auctions, "a", auction_events("a", 1))
        assert await unlucky.close() == 0
    finally:
        await own_broker.bring_back()
    await eventually(lambda: log.healthy, seconds=30)
    await log.append(own_names.auctions, "a", auction_events("a", 1))
    assert await log.close() == 0


async def test_closing_says_what_was_not_acknowledged(own_broker: OwnBroker, own_names: Names) -> None:
    """With the broker suspended, closing takes a bounded time and counts the events that are left."""
    log = KafkaLog(own_broker.url, [own_names.auctions])
    await log.start()
    await log.append(own_names.auctions, "a", auction_events("a", 1))
    own_broker.suspend()
    try:
        call = asyncio.create_task(log.append(own_names.auctions, "a", auction_events("a", 3)))
        await asyncio.sleep(0)
        started = time.monotonic()
        assert await log.close() == 3
        assert time.monotonic() - started < 20
        with pytest.raises(LogUnavailable):
            await call
        with pytest.raises(LogUnavailable, match="closed"):
            await log.append(own_names.auctions, "a", auction_events("a", 1))
    finally:
        own_broker.resume()


async def create_topic(kafka_url: str, topic: str, configs: dict[str, str]) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka_url)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(topic, 1, 1, topic_configs=configs)])
    finally:
        await admin.close()
