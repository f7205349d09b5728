"""`/livez`, `/readyz`, `/metrics`, and what is left when a server is away."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest

from gavel.settings import Settings
from tests.api.conftest import Auction, bid_request
from tests.api.running_api import RunningApi, api_process, free_port, running_api
from tests.api.test_engagements import BROWSER, assert_is_pixel

SERVERS = ("kafka", "redis", "postgres")


async def readiness(api: RunningApi) -> tuple[int, dict[str, Any]]:
    async with api.http.get("/readyz") as response:
        assert response.headers["Cache-Control"] == "no-store"
        return response.status, msgspec.json.decode(await response.read())


def unreachable(settings: Settings, server: str) -> Settings:
    """The same exchange for a process that cannot reach one of the servers."""
    nowhere = {
        "kafka": {"kafka_url": f"127.0.0.1:{free_port()}"},
        "redis": {"redis_url": f"redis://127.0.0.1:{free_port()}/0"},
        "postgres": {"postgres_url": f"postgresql://nobody@127.0.0.1:{free_port()}/nothing"},
    }[server]
    return msgspec.structs.replace(settings, port=free_port(), data=settings.data / f"without-{server}", **nowhere)


@pytest.fixture(scope="module")
async def without_kafka(settings: Settings) -> AsyncIterator[RunningApi]:
    """A process that cannot reach Kafka."""
    async with running_api(unreachable(settings, "kafka")) as api:
        yield api


@pytest.fixture(scope="module")
async def without_postgres(settings: Settings) -> AsyncIterator[RunningApi]:
    """A process that cannot reach Postgres."""
    async with running_api(unreachable(settings, "postgres")) as api:
        yield api


@pytest.fixture(scope="module")
async def without_redis(settings: Settings) -> AsyncIterator[RunningApi]:
    """A process that cannot reach Redis."""
    async with running_api(unreachable(settings, "redis")) as api:
        yield api


async def test_everything_is_there(empty_api: RunningApi) -> None:
    """A process whose servers answer is ready, and says how long each took."""
    async with empty_api.http.get("/livez") as response:
        assert response.status == 200
    status, told = await readiness(empty_api)
    assert (status, told["status"]) == (200, "ready")
    assert {each["name"]: each["ok"] for each in told["dependencies"]} == dict.fromkeys([*SERVERS, "spool"], True)
    assert all(each["latency_ms"] >= 0 for each in told["dependencies"])


async def test_kafka_is_essential(without_kafka: RunningApi) -> None:
    """Nothing can be promised without the log: balancers are told to look elsewhere."""
    status, told = await readiness(without_kafka)
    assert (status, told["status"]) == (503, "not_ready")
    [kafka] = [each for each in told["dependencies"] if each["name"] == "kafka"]
    assert (kafka["essential"], kafka["ok"]) == (True, False)
    assert kafka["error"]


async def test_without_kafka_no_auction_is_promised(without_kafka: RunningApi) -> None:
    """The answer is to come again, at once."""
    async with without_kafka.http.post("/openrtb2/auction", json=bid_request()) as response:
        problem = await response.json(content_type="application/problem+json")
    assert (response.status, problem["type"]) == (503, "/problems/unavailable")
    assert int(response.headers["Retry-After"]) >= 1


async def test_without_kafka_the_pixel_is_kept_on_disk(without_kafka: RunningApi, auction: Auction) -> None:
    """The viewer notices nothing, and the metrics tell how much is waiting."""
    async with without_kafka.http.get(auction.impression_url, headers=BROWSER) as response:
        assert_is_pixel(response, await response.read())
    assert without_kafka.services.spool.pending_bytes > 0


async def test_without_kafka_queries_are_answered(without_kafka: RunningApi) -> None:
    """Nobody can tell the lag, and that is what the answer says."""
    async with without_kafka.http.get("/v1/auctions", headers=without_kafka.authorized) as response:
        assert (response.status, response.headers["Gavel-Lag"]) == (200, "unknown")


@pytest.mark.parametrize("path", ["/v1/auctions", "/v1/bidders", "/v1/reports/delivery", "/v1/projections"])
async def test_without_postgres_queries_are_refused(without_postgres: RunningApi, path: str) -> None:
    """A read model that is away is a 503 problem without a trace of the client library."""
    async with without_postgres.http.get(path, headers=without_postgres.authorized) as response:
        problem = await response.json(content_type="application/problem+json")
    assert (response.status, problem["type"]) == (503, "/problems/unavailable")
    assert response.headers["Retry-After"] == "1"


async def test_without_postgres_auctions_are_held(api: RunningApi, without_postgres: RunningApi) -> None:
    """Auctions and pixels do not notice."""
    status, told = await readiness(without_postgres)
    assert (status, told["status"]) == (200, "degraded")
    async with without_postgres.http.post("/openrtb2/auction", json=bid_request()) as response:
        assert response.status == 200


async def test_without_redis_the_process_is_degraded(without_redis: RunningApi) -> None:
    """It ranks by itself and says that something is missing."""
    status, told = await readiness(without_redis)
    assert (status, told["status"]) == (200, "degraded")
    async with without_redis.http.post("/openrtb2/auction", json=bid_request()) as response:
        assert response.status in {200, 204}


async def test_metrics_are_in_prometheus_format(api: RunningApi) -> None:
    """Auctions, their time, outcomes, engagements and the log's health can be scraped."""
    async with api.http.post("/openrtb2/auction", json=bid_request()):
        pass
    async with api.http.get("/metrics") as response:
        text = await response.text()
    assert response.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    samples = {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in text.splitlines() if line[0] != "#"}
    assert samples['gavel_auctions_total{result="awarded"}'] >= 1
    assert samples['gavel_bidder_outcomes_total{status="won"}'] >= 1
    assert samples['gavel_bidder_outcomes_total{status="lost"}'] >= 1
    assert samples["gavel_auction_seconds_count"] >= samples['gavel_auctions_total{result="awarded"}']
    assert samples["gavel_log_healthy"] == 1
    assert samples["gavel_spool_pending_bytes"] == 0


async def test_any_worker_answers_for_all(settings: Settings) -> None:
    """With several workers behind one port, a scrape counts what all of them did, whichever answers it."""
    own = msgspec.structs.replace(settings, port=free_port(), workers=2, data=settings.data / "workers")
    base_url = f"http://127.0.0.1:{own.port}"
    async with api_process(own):
        for _ in range(30):
            # A connection of its own each, because a connection stays with its worker.
            async with aiohttp.ClientSession(base_url) as http, http.get("/impression?t=nonsense"):
                pass
        for _ in range(6):
            async with aiohttp.ClientSession(base_url) as http, http.get("/metrics") as response:
                lines = (await response.text()).splitlines()
            assert 'gavel_engagements_total{kind="impression",verdict="forged"} 30.0' in lines


def test_a_dead_worker_does_not_speak_of_the_present(tmp_path: Path) -> None:
    """What it counted stays; that the log was away for it does not."""
    tell = "from api.metrics import Metrics; import sys; metrics = Metrics(sys.argv[1]); "
    health = "metrics.health(log_healthy={0}, spool_pending_bytes={1}, budgets_known={0}); "
    dead = tell + health.format(False, 7) + "metrics.engagement('click', 'valid')"
    alive = tell + health.format(True, 0) + "print(metrics.exposition().decode())"
    environment = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(tmp_path)}
    for code in (dead, alive):
        told = subprocess.run(
            [sys.executable, "-c", code, str(tmp_path)], env=environment, capture_output=True, text=True, check=True
        ).stdout
    assert 'gavel_engagements_total{kind="click",verdict="valid"} 1.0' in told
    assert "gavel_log_healthy 1.0" in told
    assert "gavel_spool_pending_bytes 0.0" in told
    assert "gavel_budgets_known 1.0" in told
