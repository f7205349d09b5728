"""Each event has its effect exactly once: with two writers, killed writers, lost connections, events logged twice."""

from __future__ import annotations

import asyncio
import signal
import sys

import msgspec
import pytest
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from domain import events
from domain.codec import encode
from projections.batch import Move
from projections.decoding import decoder_of
from projections.delivery import Delivery
from projections.engine import Projector
from projections.postgres_store import PostgresStore
from projections.registry import registered
from projections.servers import Servers
from projections.store import FenceLost
from tests.projections import audit
from tests.projections.conftest import ReadSide, eventually
from tests.projections.traffic import Traffic


async def test_every_event_is_counted_once(read_side: ReadSide) -> None:
    """After a quiet run both read models say exactly what the log says."""
    await read_side.log.append_traffic(Traffic(1), 300)
    await read_side.run_to_the_end("auction_log", "delivery")
    await audit.check(read_side)


async def test_two_writers_that_both_read_everything(read_side: ReadSide) -> None:
    """Workers that do not know of each other, each with all partitions, do not count anything twice."""
    stop = asyncio.Event()
    async with Servers(read_side.addresses, client_id="test") as servers, asyncio.TaskGroup() as tasks:
        for name in ("auction_log", "delivery"):
            registration = registered(name)
            for group in ("one", "two"):
                projection, store = await registration.opened(servers, 1)
                projector = Projector(
                    projection,
                    store,
                    topics=registration.topics_of(servers.names),
                    group=f"{servers.names.group(name)}.{group}",
                    kafka=servers.kafka,
                )
                tasks.create_task(projector.run(stop))
        for seed in range(6):
            await read_side.log.append_traffic(Traffic(seed), 50)
        await read_side.caught_up("auction_log", "delivery")
        stop.set()
    await audit.check(read_side)


async def test_a_writer_whose_offset_was_moved_changes_nothing(read_side: ReadSide) -> None:
    """A batch that starts from an offset that is no longer the present one is refused whole."""
    traffic = Traffic(2)
    partition = TopicPartition(read_side.names.auctions, 0)
    async with Servers(read_side.addresses, client_id="test") as servers:
        store = PostgresStore(await servers.pool_of("delivery_g1"), Delivery(), 1)
        await store.begin({partition: 0})
        decode = decoder_of(Delivery()).decode
        read = [decode(encode(each)) for each in traffic.auction(test=False)]
        rows = Delivery().fold([each for each in read if each is not None])
        await store.apply(rows, {partition: Move(0, 5)})
        once = await audit.delivery_in(read_side)
        with pytest.raises(FenceLost):
            await store.apply(rows, {partition: Move(0, 5)})
    assert await audit.delivery_in(read_side) == once
    assert await read_side.applied("delivery") == 5


@pytest.mark.parametrize("projection", ["catalogue", "catalogue_cache"])
async def test_a_stop_that_comes_too_late_changes_nothing(read_side: ReadSide, projection: str) -> None:
    """It was decided where the partition stands no more, or before somebody accepted dead letters."""
    await read_side.run_to_the_end(projection)
    tp, new = (TopicPartition(read_side.names.catalogue, number) for number in (0, 99))
    async with Servers(read_side.addresses, client_id="test") as servers:
        _, store = await registered(projection).opened(servers, 1)
        state = await store.state()
        await store.apply(None, {tp: Move(0, 5)})
        accepting = msgspec.structs.replace(state, accepts_dead_letters=True)
        for at, decided_by in (({tp: 0}, state), ({tp: None}, state), ({new: 5}, state), ({tp: 5}, accepting)):
            with pytest.raises(FenceLost, match="stopped"):
                await store.stop("too late", at, decided_by)
        assert await store.state() == state
        await store.stop("in time", {tp: 5, new: None}, state)
        assert (await store.state()).stopped_reason == "in time"


@pytest.mark.long
async def test_killed_in_mid_stream(read_side: ReadSide) -> None:
    """SIGKILL again and again, wherever it may hit: nothing is lost and nothing counts twice."""
    await read_side.log.append_traffic(Traffic(3), 1_000)
    for share in (1, 2, 3):
        child = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "tests.projections.projector",
            msgspec.json.encode(read_side.addresses).decode(),
            "auction_log",
            "delivery",
        )
        before = await read_side.applied("delivery")

        async def has_moved(target: int = before + share) -> bool:
            return await read_side.applied("delivery") >= target

        try:
            await eventually(has_moved)
        finally:
            child.send_signal(signal.SIGKILL)
            await child.wait()
        # So that there is something left to be killed in the middle of.
        await read_side.log.append_traffic(Traffic(3 + share), 200)
    await read_side.run_to_the_end("auction_log", "delivery")
    await audit.check(read_side)


async def test_connections_cut_in_mid_stream(read_side: ReadSide) -> None:
    """The database drops all connections over and over, commits in flight included; the counts stay exact."""
    async with read_side.running("auction_log", "delivery"):
        for seed in range(10, 20):
            await read_side.log.append_traffic(Traffic(seed), 60)
            await read_side.fetch(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND application_name = 'gavel-projector'"
            )
        await read_side.caught_up("auction_log", "delivery")
    await audit.check(read_side)


async def test_the_same_events_logged_twice(read_side: ReadSide) -> None:
    """A story logged twice is told once, in one batch or in two; engagements logged twice count once."""
    traffic = Traffic(4)
    story = traffic.auction(test=False)
    engagements = list(traffic.engagements(story))
    await read_side.log.append([*story, *story])
    async with read_side.running("auction_log"):
        await read_side.caught_up("auction_log")
        await read_side.log.append(story)
        await read_side.caught_up("auction_log")
    await audit.check_auction_log(read_side, await audit.logged(read_side))

    bids = [*engagements, *engagements]
    async with read_side.running("delivery"):
        for _ in range(2):
            await read_side.log.append(bids)
            await read_side.caught_up("delivery")
    logged = await audit.logged(read_side)
    assert (await read_side.fetch("SELECT count(*) FROM delivery_engagements"))[0][0] == len(
        {event["id"] for event in logged if "verdict" in event}
    )
    assert await audit.delivery_in(read_side) == audit.delivery_of(logged)
    assert await read_side.fetch("SELECT FROM dead_letters") == []


async def test_engagements_are_judged_over_batches(read_side: ReadSide) -> None:
    """Of valid hits on the same ad the first counts net, the others gross; hits that are not valid do not bar it."""
    traffic = Traffic(6)
    award = next(
        each
        for each in iter(lambda: traffic.auction(test=False)[-1], None)
        if isinstance(each, events.AuctionAwarded) and each.direct is None
    )
    impression, click = events.ImpressionRecorded, events.ClickRecorded
    batches = [
        [traffic.engagement(impression, award, "duplicate")],
        [traffic.engagement(impression, award, "valid"), traffic.engagement(impression, award, "valid")],
        [traffic.engagement(impression, award, "valid"), traffic.engagement(click, award, "valid")],
        [traffic.engagement(click, award, "bot"), traffic.engagement(click, award, "valid")],
    ]
    async with read_side.running("delivery"):
        for batch in batches:
            await read_side.log.append(batch)
            await read_side.caught_up("delivery")
    ((*counts, spend),) = await read_side.fetch(
        "SELECT sum(impressions_gross), sum(impressions), sum(clicks_gross), sum(clicks), sum(spend_nanos) "
        "FROM delivery"
    )
    assert counts == [4, 1, 3, 1]
    assert spend == award.clearing_price_micros
    assert await read_side.fetch("SELECT FROM dead_letters") == []
    assert await audit.delivery_in(read_side) == audit.delivery_of(await audit.logged(read_side))


async def test_a_graceful_stop_loses_nothing(read_side: ReadSide) -> None:
    """Stopped and started again while traffic flows, the projections miss nothing."""
    for seed in range(30, 34):
        async with read_side.running("auction_log", "delivery"):
            await read_side.log.append_traffic(Traffic(seed), 50)
    await read_side.run_to_the_end("auction_log", "delivery")
    await audit.check(read_side)


async def test_lag_tools_see_the_offsets(read_side: ReadSide) -> None:
    """The consumer group's offsets in Kafka follow those in the database, also when nothing comes any more."""
    admin = AIOKafkaAdminClient(bootstrap_servers=read_side.addresses.kafka_url)
    await admin.start()

    async def is_told() -> bool:
        committed = await admin.list_consumer_group_offsets(read_side.names.group("delivery", 1))
        rows = await read_side.fetch("SELECT topic, partition, next_offset FROM projection_offsets")
        return {tp: at.offset for tp, at in committed.items()} == {
            TopicPartition(row["topic"], row["partition"]): row["next_offset"] for row in rows
        }

    try:
        async with read_side.running("delivery"):
            await read_side.log.append_traffic(Traffic(5), 20)
            await read_side.caught_up("delivery")
            await eventually(is_told)
            await read_side.log.append_traffic(Traffic(5), 20)
        assert await is_told()
    finally:
        await admin.close()
