"""One Redis Cluster for all tests of this folder, in the place of the one Redis that others have."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.api.conftest import api, api_database, auction, empty_api, settings
from tests.cluster.redis_cluster import RedisCluster, running_cluster
from tests.projections.conftest import read_side

__all__ = ["api", "api_database", "auction", "empty_api", "read_side", "settings"]
"""Fixtures that are made anew here, on the cluster."""


@pytest.fixture(scope="package")
async def cluster(data_folder: Path) -> AsyncIterator[RedisCluster]:
    """Tests may move slots and fail masters over: after each of them all slots are served again."""
    async with running_cluster(data_folder / "cluster") as cluster:
        yield cluster


@pytest.fixture(scope="package")
def redis_url(cluster: RedisCluster) -> str:
    return cluster.url


@pytest.fixture
def own() -> str:
    """What a test's keys begin with."""
    return f"t{uuid.uuid4().hex[:12]}"
