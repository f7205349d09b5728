"""Projections into a cluster: filled from the log, wherever their slots go and whatever a new master has forgotten."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import cast

import pytest
from redis.exceptions import RedisError

from api.live import feed
from commands import catalogue_view
from commands.catalogue_view import CatalogueView
from domain.events import ImpressionRecorded
from projections.redis_client import Cluster, redis_client
from tests.cluster.redis_cluster import RedisCluster
from tests.projections.budget_story import award, met
from tests.projections.conftest import ReadSide, eventually
from tests.projections.test_budgets import (
    is_refused,
    settled,
    test_a_frequency_cap_survives_a_loss_of_memory,
    test_rebuilding_while_campaigns_wait,
    test_the_log_tells_what_is_spent_and_reserved,
)
from tests.projections.test_budgets import until as until_budget
from tests.projections.test_catalogue import (
    cached,
    change,
    test_a_redis_that_lost_its_memory,
    test_an_offset_without_an_entity_stands,
    test_rebuilding_the_cache,
)
from tests.projections.traffic import Traffic

__all__ = [
    "test_a_frequency_cap_survives_a_loss_of_memory",
    "test_a_redis_that_lost_its_memory",
    "test_an_offset_without_an_entity_stands",
    "test_rebuilding_the_cache",
    "test_rebuilding_while_campaigns_wait",
    "test_the_log_tells_what_is_spent_and_reserved",
]
"""The tests of one Redis, run again on the cluster."""


@asynccontextmanager
async def viewing(read_side: ReadSide, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[CatalogueView]:
    """The catalogue as an API process has it: told of each change, for it looks for none that it missed."""
    monkeypatch.setattr(catalogue_view, "LISTEN_SECONDS", 600.0)
    async with redis_client(read_side.addresses.redis_url, socket_timeout=5.0) as redis:
        view = CatalogueView(redis, read_side.names)
        await view.start()
        yield view
        await view.close()


def names_in(view: CatalogueView) -> list[str]:
    return sorted(bidder.terms.name for bidder in view.market.bidders)


async def known(view: CatalogueView, *expected: str) -> None:
    async def is_known() -> bool:
        return names_in(view) == [*expected]

    await eventually(is_known)


async def test_the_catalogue_follows_its_slot(
    read_side: ReadSide, cluster: RedisCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Filled and announced before and after its slot has gone to another master."""
    await read_side.log.append([Traffic(1).bidder("b-1", "One")])
    async with read_side.running("catalogue_cache"), viewing(read_side, monkeypatch) as view:
        await known(view, "One")
        await cluster.move(read_side.names.catalogue_entities)
        await read_side.log.append([Traffic(1).bidder("b-2", "Two")])
        await known(view, "One", "Two")
        await read_side.log.append([change("b-1", 2, "Changed")])
        await known(view, "Changed", "Two")
        await read_side.caught_up("catalogue_cache")
    assert await cached(read_side) == {"bidder:b-1": (2, "active", "Changed"), "bidder:b-2": (1, "active", "Two")}


async def test_the_catalogue_outlives_its_master(
    read_side: ReadSide, cluster: RedisCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its replica takes over; what was logged meanwhile is in the cache, and every process hears of it."""
    await read_side.log.append([Traffic(1).bidder("b-1", "One")])
    async with read_side.running("catalogue_cache"), viewing(read_side, monkeypatch) as view:
        await known(view, "One")
        master = await cluster.owner_of(read_side.names.catalogue_entities)
        master.server.kill()
        await read_side.log.append([Traffic(1).bidder("b-2", "Two"), change("b-1", 2, "Changed")])
        async with cluster.failed_over(master):
            await known(view, "Changed", "Two")
            await read_side.log.append([Traffic(1).bidder("b-3", "Three")])
            await known(view, "Changed", "Three", "Two")
            await read_side.caught_up("catalogue_cache")


async def test_budgets_follow_their_slot(read_side: ReadSide, cluster: RedisCluster) -> None:
    """Another master is another life: nobody reserves until the log was read, and no account is lost or doubled."""
    awards = [award(nanos) for nanos in range(1, 40)]
    await read_side.log.append([*awards, *(met(ImpressionRecorded, each) for each in awards[::2])])
    async with settled(read_side, in_flight_s=1.0) as budgets:
        before = await until_budget(budgets, lambda state: state.impressions == 20)
        assert (before.spent_nanos, before.reserved_nanos) == (400, 380)
        await cluster.move(read_side.names.budget_offsets)
        assert "being read from the log" in await is_refused(budgets)
        assert await until_budget(budgets, lambda _: True) == before
        assert await is_refused(budgets) == ""


async def test_budgets_outlive_their_master(read_side: ReadSide, cluster: RedisCluster) -> None:
    """Whatever its replica had not heard of is read in the log again before anybody reserves."""
    awards = [award(nanos) for nanos in range(1, 40)]
    await read_side.log.append([*awards, *(met(ImpressionRecorded, each) for each in awards[::2])])
    async with settled(read_side, in_flight_s=1.0) as budgets:
        before = await until_budget(budgets, lambda state: state.impressions == 20)
        master = await cluster.owner_of(read_side.names.budget_offsets)
        master.server.kill()
        await master.server.ended()
        assert "does not answer" in await is_refused(budgets)
        async with cluster.failed_over(master):
            assert await until_budget(budgets, lambda _: True) == before
            assert await is_refused(budgets) == ""


async def test_a_subscription_finds_the_new_master(cluster: RedisCluster, own: str) -> None:
    """Also of a client that asks for nothing else, from which it could learn that the old one is dead."""
    async with redis_client(cluster.url, socket_timeout=5.0) as redis:
        master = await cluster.owner_of(own)
        async with redis.pubsub() as subscription:
            await subscription.subscribe(own)
            async with cluster.failed_over(master):

                async def is_subscribed() -> bool:
                    try:
                        async with redis.pubsub() as again:
                            await again.subscribe(own)
                            return True
                    except (RedisError, OSError):
                        return False

                await eventually(is_subscribed)


async def test_live_figures_leave_a_master_that_is_suspended(
    cluster: RedisCluster, own: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its connections stay open and silent, while the figures are published at the master that took over."""
    monkeypatch.setattr(feed, "SILENCE_MAX_S", 1.0)
    monkeypatch.setattr(feed, "POLL_TIMEOUT_S", 0.5)
    async with (
        redis_client(cluster.url, socket_timeout=1.0) as browsers,
        redis_client(cluster.url, socket_timeout=1.0) as publisher,
    ):
        live = feed.LiveFeed(browsers, own)

        async def is_heard(figures: str) -> bool:
            with suppress(TimeoutError, RedisError):  # the publisher learns here as well who has taken over
                await publisher.publish(own, figures)
                heard = await listener.next(0.1)
                return heard is not None and heard.payload == figures.encode()
            return False

        async with live.running():
            with live.listen() as listener:
                await eventually(partial(is_heard, "before"))
                async with cluster.suspended(await cluster.owner_of(own)):
                    await eventually(partial(is_heard, "after"))


async def test_a_cluster_that_is_not_there_is_waited_for(read_side: ReadSide) -> None:
    """Its client fails as one Redis's does, so projectors and views wait instead of breaking."""
    nowhere = "redis+cluster://127.0.0.1:1,127.0.0.1:2"
    async with asyncio.timeout(30):
        redis = redis_client(nowhere, socket_timeout=1.0)
        view = CatalogueView(redis, read_side.names)
        await view.start()
        assert names_in(view) == []
        await view.close()
        with pytest.raises(RedisError):
            await redis.ping()
        await redis.aclose()


async def test_a_closed_client_holds_no_connection(redis_url: str) -> None:
    """Also where a fault has closed it, and what was under way has connected a node again since."""
    client = redis_client(redis_url)
    await client.ping()
    nodes = [*cast("Cluster", client).nodes_manager.nodes_cache.values()]
    await client.aclose()
    for node in nodes:
        await node.execute_command("PING")
    await client.aclose()
    assert not any(connection.is_connected for node in nodes for connection in node._connections)
