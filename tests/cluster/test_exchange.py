"""An exchange on a cluster keeps the promises of one on a single Redis, also while a master dies."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec

from gavel.checkup import check_all
from gavel.settings import Settings
from tests.api.conftest import bid_request, hold
from tests.api.running_api import RunningApi, until
from tests.api.test_bid_requests import test_the_winner_pays_the_second_price
from tests.api.test_campaign_budget import test_a_budget_is_reserved_then_spent
from tests.api.test_engagements import test_verdicts_are_counted
from tests.api.test_health import readiness
from tests.api.test_live import test_figures_come_once_a_second
from tests.cluster.redis_cluster import RedisCluster

__all__ = [
    "test_a_budget_is_reserved_then_spent",
    "test_figures_come_once_a_second",
    "test_the_winner_pays_the_second_price",
    "test_verdicts_are_counted",
]
"""The tests of one Redis that ask most of it, run again on the cluster."""

AT_ONCE = 30


async def ranked_by(api: RunningApi) -> str:
    async with api.http.post("/openrtb2/auction", json=bid_request(test=1)) as response:
        assert response.status == 200
        answer: dict[str, Any] = msgspec.json.decode(await response.read())
    return str(answer["ext"]["debug"]["ranked_by"])


async def ranked_by_many(api: RunningApi) -> set[str]:
    """Of auctions that are held at the same time, whose keys are spread over all masters."""
    return set(await asyncio.gather(*(ranked_by(api) for _ in range(AT_ONCE))))


async def test_auctions_are_ranked_by_every_master(api: RunningApi) -> None:
    """An auction's keys share a slot; those of many auctions are spread over all masters."""
    assert await ranked_by_many(api) == {"redis"}


async def test_a_master_dies_under_auctions(api: RunningApi, cluster: RedisCluster, settings: Settings) -> None:
    """Each is answered while the slots of the dead one have no master, and all are ranked in Redis again after it."""
    victim = await cluster.owner_of(f"{{{settings.namespace}}}")
    victim.server.kill()
    await victim.server.ended()
    assert await ranked_by_many(api) == {"redis", "process"}
    async with cluster.failed_over(victim):

        async def all_ranked_in_redis() -> bool:
            return await ranked_by_many(api) == {"redis"}

        await until(all_ranked_in_redis, seconds=30)

        async def is_ready() -> bool:
            return bool((await readiness(api))[1]["status"] == "ready")

        await until(is_ready, seconds=30)
        auction = await hold(api)
        async with api.http.get(auction.impression_url) as pixel:
            assert pixel.status == 200


async def test_the_doctor_looks_at_every_master(settings: Settings, cluster: RedisCluster, api: RunningApi) -> None:
    """It says how many there are, and of a single node's address that it is not the cluster's."""
    checks = {check.name: check for check in await check_all(settings)}
    assert checks["redis"].ok, checks["redis"]
    assert checks["redis"].found.startswith("cluster of 3 masters, ")
    alone = msgspec.structs.replace(settings, redis_url=f"redis://127.0.0.1:{cluster.nodes[0].port}")
    told = {check.name: check for check in await check_all(alone)}["redis"]
    assert (told.ok, told.found) == (False, "a node of a cluster")
    assert "redis+cluster://" in str(told.advice)
