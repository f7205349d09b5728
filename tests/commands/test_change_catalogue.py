"""Commands of the catalogue on real Kafka and Redis: whoever races, dies or is cut off, each has its effect once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import msgspec
import pytest
from aiokafka import AIOKafkaProducer
from redis.asyncio import Redis

from commands import catalogue_head
from commands.catalogue_head import CatalogueHead
from commands.change_catalogue import ChangeCatalogue, Changed
from commands.kafka_log import KafkaLog
from commands.once import Once
from commands.redis_pipeline import RedisPipeline
from domain.errors import (
    Conflict,
    IllegalMove,
    LogUnavailable,
    StillRunning,
    Unavailable,
    UndecodableEvent,
    VersionMismatch,
)
from domain.names import Names
from domain.terms.kinds import all_forms
from gavel.process_clock import SystemClock, fresh_id
from tests.commands.conftest import OwnBroker
from tests.commands.topic_content import read_topic

BIDDER = msgspec.json.encode({"name": "Alfa", "endpoint": "https://alfa.example/bid"})


class Process:
    """The commands of one API process, as far as the log can tell."""

    def __init__(self, kafka_url: str, names: Names, redis: Redis) -> None:
        self.log = KafkaLog(kafka_url, names.topics)
        self.head = CatalogueHead(kafka_url, names.catalogue, client_id="test")
        self.pipeline = RedisPipeline(redis, timeout_s=1.0)
        self.once = Once(self.pipeline, names, fresh_id)
        self.spent_nanos: int | None = 0
        self.commands = ChangeCatalogue(
            log=self.log,
            head=self.head,
            names=names,
            forms=all_forms(allow_private=False),
            spent_of=self.spent_of,
            clock=SystemClock(),
            ids=fresh_id,
        )

    async def spent_of(self, campaign_id: str) -> int:
        if self.spent_nanos is None:
            raise Unavailable(campaign_id)
        return self.spent_nanos

    async def register(self, body: bytes = BIDDER, *, kind: Any = "bidder") -> Changed:
        return await self.commands.register(kind, body, command_id=fresh_id())

    async def rename(self, bidder_id: str, name: str, *versions: int) -> Changed:
        patch = msgspec.json.encode({"name": name})
        expected = frozenset(versions) if versions else None
        return await self.commands.change("bidder", bidder_id, patch, expected=expected, command_id=fresh_id())

    async def register_once(self, key: str) -> bytes:
        async def run(command_id: str) -> bytes:
            changed = await self.commands.register("bidder", BIDDER, command_id=command_id)
            return changed.entity.id.encode()

        return await self.once(key, BIDDER, run)


@asynccontextmanager
async def processes(count: int, kafka_url: str, names: Names, redis_url: str) -> AsyncIterator[list[Process]]:
    async with AsyncExitStack() as stack:
        redis = await stack.enter_async_context(Redis.from_url(redis_url))
        made = [Process(kafka_url, names, redis) for _ in range(count)]
        for process in made:
            await process.log.start()
            stack.push_async_callback(process.log.close)
            stack.push_async_callback(process.head.close)
            stack.push_async_callback(process.pipeline.close)
            stack.push_async_callback(process.once.close)
        yield made


@pytest.fixture
async def pair(kafka_url: str, names: Names, redis_url: str) -> AsyncIterator[list[Process]]:
    """Two processes that share nothing but Kafka and Redis."""
    async with processes(2, kafka_url, names, redis_url) as pair:
        yield pair


async def logged(kafka_url: str, names: Names) -> list[dict[str, Any]]:
    return [each.event for each in await read_topic(kafka_url, names.catalogue)]


async def test_one_process_sees_what_the_other_has_done_at_once(pair: list[Process]) -> None:
    """No read model is asked, so none can be behind."""
    first, second = pair
    bidder = await first.register()
    for version in range(2, 12):
        changed = await pair[version % 2].rename(bidder.entity.id, f"Name {version}", version - 1)
        assert changed.entity.version == version
    deal = msgspec.json.encode({"bidder_ids": [bidder.entity.id]})
    assert (await second.register(deal, kind="deal")).is_new


@pytest.mark.parametrize("named", [True, False], ids=["with the version", "without"])
async def test_of_two_that_change_at_once_one_wins(pair: list[Process], named: bool) -> None:
    """Both may append; one event counts, and the other command is told so. The terms are the winners'."""
    bidder = (await pair[0].register()).entity
    lost = VersionMismatch if named else Conflict
    wins, losses, name, version = 0, 0, "Alfa", 1
    for round_ in range(25):
        versions = (version,) if named else ()
        results = await asyncio.gather(
            *(process.rename(bidder.id, f"{round_}-{number}", *versions) for number, process in enumerate(pair)),
            return_exceptions=True,
        )
        won = [result for result in results if isinstance(result, Changed)]
        assert all(isinstance(result, Changed | lost) for result in results), results
        assert len(won) == 1 or not named, results
        wins, losses = wins + len(won), losses + len(results) - len(won)
        newest = max(won, key=lambda result: result.entity.version).entity
        name, version = msgspec.json.decode(newest.terms)["name"], newest.version
        assert name in {f"{round_}-0", f"{round_}-1"}
    assert losses > 0, "they never raced"
    assert version == 1 + wins
    for process in pair:
        await process.head.read()
        assert msgspec.json.decode(process.head.entities[bidder.id].terms)["name"] == name


async def test_of_two_that_want_the_same_id_one_gets_it(pair: list[Process]) -> None:
    """The other learns that it is taken, and nothing of its terms stands anywhere."""
    bidder = (await pair[0].register()).entity
    for round_ in range(15):
        bodies = [
            msgspec.json.encode({"id": f"deal-{round_}", "bidder_ids": [bidder.id], "floor_cpm": f"{number}.00"})
            for number in range(2)
        ]
        results = await asyncio.gather(
            *(process.register(body, kind="deal") for process, body in zip(pair, bodies, strict=True)),
            return_exceptions=True,
        )
        [won] = [number for number, result in enumerate(results) if isinstance(result, Changed)]
        assert isinstance(results[1 - won], Conflict), results
        await pair[1 - won].head.read()
        terms = msgspec.json.decode(pair[1 - won].head.entities[f"deal-{round_}"].terms)
        assert terms.get("floor_micros", 0) == won * 1_000_000


async def test_one_key_at_two_processes_at_once(pair: list[Process], kafka_url: str, names: Names) -> None:
    """One registration is logged; the other is told to wait or gets its answer."""
    for round_ in range(10):
        results = await asyncio.gather(
            *(process.register_once(f"key-{round_}") for process in pair), return_exceptions=True
        )
        ids = {result for result in results if isinstance(result, bytes)}
        assert len(ids) == 1
        assert all(isinstance(result, bytes | StillRunning) for result in results)
    assert len(await logged(kafka_url, names)) == 10


async def test_who_dies_before_it_answers_has_done_it_once(
    pair: list[Process], kafka_url: str, names: Names, redis_url: str
) -> None:
    """A retry at another process finds the effect in the log, and answers with it instead of doing it again."""
    dying, living = pair
    registered: list[str] = []

    async def killed(command_id: str) -> bytes:
        registered.append((await dying.commands.register("bidder", BIDDER, command_id=command_id)).entity.id)
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await dying.once("key", BIDDER, killed)
    async with Redis.from_url(redis_url) as redis:
        [key] = await redis.keys(f"{names.namespace}:idempotency:*")
        await redis.hset(key, "leased_until", "0")
    assert (await living.register_once("key")).decode() == registered[0]
    [event] = await logged(kafka_url, names)
    assert event["aggregate_id"] == registered[0]


async def test_a_command_is_answered_again_as_it_was_and_nobody_keeps_its_terms(pair: list[Process]) -> None:
    """Each process tells what every command made, after any number of changes, without holding all of it in memory."""
    first, second = pair
    long = msgspec.json.encode({"name": "Alfa", "endpoint": f"https://alfa.example/{'x' * 2_000}"})
    bidder_id = (await first.register(long)).entity.id
    patches: dict[str, bytes] = {fresh_id(): msgspec.json.encode({"name": f"Name {number}"}) for number in range(5)}
    pausing = fresh_id()

    async def change(process: Process, command_id: str) -> Changed:
        patch = patches[command_id]
        return await process.commands.change("bidder", bidder_id, patch, expected=None, command_id=command_id)

    def told(changed: Changed) -> tuple[object, ...]:
        return changed.made, changed.is_new, changed.entity.version, changed.entity.status, bytes(changed.entity.terms)

    async def pause(process: Process) -> Changed:
        return await process.commands.move("bidder", bidder_id, "paused", expected=None, command_id=pausing)

    answers = {command_id: await change(first, command_id) for command_id in [*patches][:3]}
    paused = await pause(first)
    answers |= {command_id: await change(first, command_id) for command_id in [*patches][3:]}
    for process in pair:
        for command_id, answer in answers.items():
            assert told(await change(process, command_id)) == told(answer)
        assert told(await pause(process)) == told(paused)
        assert paused.entity.status == "paused"
        assert b"Name 2" in bytes(paused.entity.terms)
        for command_id in (*patches, pausing):
            assert len(msgspec.json.encode(process.head.made_by(command_id))) < 1_000
    # Reading back has not moved the head.
    renamed = await second.rename(bidder_id, "Last", 7)
    assert (await first.rename(bidder_id, "Very last", 8)).entity.version == renamed.entity.version + 1


class SlowHead(CatalogueHead):
    """Takes its time over every event."""

    def _fold(self, record: Any) -> None:
        time.sleep(0.02)
        super()._fold(record)


async def test_a_long_way_to_the_head(
    pair: list[Process], kafka_url: str, names: Names, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A catalogue that takes longer to read than a command waits for the log is read to its end all the same."""
    head = SlowHead(kafka_url, names.catalogue, client_id="slow")
    await head.read()
    await asyncio.gather(*(pair[0].register() for _ in range(70)))
    monkeypatch.setattr(catalogue_head, "CATALOGUE_READ_MAX_SECONDS", 1.0)
    monkeypatch.setattr(catalogue_head, "READ_RECORDS_MAX", 1)
    await head.read()
    assert len(head.entities) == 70
    await head.close()


@pytest.mark.parametrize(
    ("spent", "budget", "error"),
    [(4 * 10**9, "5.00", None), (6 * 10**9, "5.00", IllegalMove), (None, "5.00", Unavailable), (None, "20.00", None)],
)
async def test_a_budget_is_lowered_by_what_is_spent_now(
    pair: list[Process], spent: int | None, budget: str, error: type[Exception] | None
) -> None:
    """Not below what is spent; where nobody knows, it can be raised only."""
    process = pair[0]
    process.spent_nanos = spent
    advertiser = (await process.register(b'{"name":"Shop","domain":"shop.example"}', kind="advertiser")).entity
    terms = {"advertiser_id": advertiser.id, "name": "Winter", "bid_cpm": "1.00", "budget": "10.00"}
    campaign = (await process.register(msgspec.json.encode(terms), kind="campaign")).entity
    patch = msgspec.json.encode({"budget": budget})
    changing = process.commands.change("campaign", campaign.id, patch, expected=None, command_id=fresh_id())
    if error is None:
        assert (await changing).entity.version == 2
    else:
        with pytest.raises(error):
            await changing
        await process.head.read()
        assert process.head.entities[campaign.id].version == 1


async def test_an_event_that_cannot_be_read(pair: list[Process], kafka_url: str, names: Names) -> None:
    """Nothing is decided about its entity by guessing; all others are as they were."""
    first, second = pair
    spoiled, other = (await first.register()).entity, (await first.register()).entity
    producer = AIOKafkaProducer(bootstrap_servers=kafka_url)
    await producer.start()
    await producer.send_and_wait(names.catalogue, b'{"type":"bidder_changed","v":1}', key=spoiled.id.encode())
    await producer.stop()
    with pytest.raises(UndecodableEvent):
        await second.rename(spoiled.id, "New")
    assert (await second.rename(other.id, "New")).entity.version == 2
    assert len(await logged(kafka_url, names)) == 4


async def test_a_broker_that_goes_and_comes(own_broker: OwnBroker, own_names: Names, redis_url: str) -> None:
    """Without Kafka a command is refused within a bound; with it the head goes on where it was."""
    async with processes(1, own_broker.url, own_names, redis_url) as [process]:
        bidder = (await process.register()).entity
        await own_broker.take_down()
        try:
            with pytest.raises(LogUnavailable):
                await process.rename(bidder.id, "Never")
        finally:
            await own_broker.bring_back()
        async with asyncio.timeout(60):
            while True:
                try:
                    changed = await process.rename(bidder.id, "Again", 1)
                except LogUnavailable:
                    await asyncio.sleep(0.1)
                else:
                    break
        assert changed.entity.version == 2


async def test_a_command_whose_fate_was_unknown(own_broker: OwnBroker, own_names: Names, redis_url: str) -> None:
    """A suspended broker leaves it open; after that the retry with its key has one effect and one answer."""
    async with processes(1, own_broker.url, own_names, redis_url) as [process]:
        first = (await process.register()).entity
        read = process.head.read

        async def read_and_suspend() -> None:
            await read()
            own_broker.suspend()

        process.head.read = read_and_suspend  # type: ignore[method-assign] # the moment between reading and appending
        try:
            with pytest.raises(LogUnavailable):
                await process.register_once("key")
            process.head.read = read  # type: ignore[method-assign]
        finally:
            own_broker.resume()
        async with asyncio.timeout(60):
            while True:
                try:
                    answer = await process.register_once("key")
                except (LogUnavailable, StillRunning):
                    await asyncio.sleep(0.1)
                else:
                    break
        # In any order: they may stand in two partitions.
        ids = sorted(event["aggregate_id"] for event in await logged(own_broker.url, own_names))
        assert ids == sorted([first.id, answer.decode()])
