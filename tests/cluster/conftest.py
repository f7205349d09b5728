"""One Redis Cluster for all tests of this folder."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from domain.names import Names
from projections.servers import Addresses
from tests.cluster.redis_cluster import RedisCluster, running_cluster
from tests.projections.conftest import ReadSide, opened


@pytest.fixture(scope="session")
async def cluster(data_folder: Path) -> AsyncIterator[RedisCluster]:
    """Tests may move slots and fail masters over: after each of them all slots are served again."""
    async with running_cluster(data_folder / "cluster") as cluster:
        yield cluster


@pytest.fixture
def own() -> str:
    """What a test's keys begin with."""
    return f"t{uuid.uuid4().hex[:12]}"


@pytest.fixture
async def read_side(kafka_url: str, database: str, cluster: RedisCluster, names: Names) -> AsyncIterator[ReadSide]:
    """As those of one Redis, on the cluster."""
    addresses = Addresses(kafka_url=kafka_url, postgres_url=database, redis_url=cluster.url, names=names)
    async with opened(addresses) as read_side:
        yield read_side
