"""`/livez`: the process answers. `/readyz`: what it depends on does. `/metrics`: its figures."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Literal

import msgspec
from litestar import Response, get
from sqlalchemy import text

from api.projection_metrics import projection_metrics
from api.services import ApiServices, Services
from domain.errors import LogUnavailable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from litestar import Litestar

PROBE_TIMEOUT_S = 2.0
REPORT_EVERY_S = 1.0
PROMETHEUS_TEXT = "text/plain; version=0.0.4"


class Dependency(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    name: str
    essential: bool
    """Without it no auction can be held; without the others the exchange degrades."""
    ok: bool
    latency_ms: float
    error: str | None = None


class Readiness(msgspec.Struct, frozen=True, kw_only=True):
    status: Literal["ready", "degraded", "not_ready"]
    dependencies: tuple[Dependency, ...]


@get("/livez", tags=["Operations"], summary="The process is alive")
async def livez() -> dict[str, str]:
    """Answers as long as the event loop turns; depends on nothing else."""
    return {"status": "alive"}


@get("/readyz", tags=["Operations"], summary="What the process depends on", raises=[])
async def readyz(services: Services) -> Response[Readiness]:
    """Asks every dependency. 503 when an essential one is away, 200 with `degraded` when another one is."""
    dependencies = await asyncio.gather(
        _probe("kafka", lambda: _ask_kafka(services), essential=True),
        _probe("redis", lambda: _ask_redis(services), essential=False),
        _probe("postgres", lambda: _ask_postgres(services), essential=False),
        _probe("spool", lambda: _ask_spool(services), essential=False),
    )
    essential_ok = all(each.ok for each in dependencies if each.essential)
    all_ok = all(each.ok for each in dependencies)
    readiness = Readiness(
        status="ready" if all_ok else "degraded" if essential_ok else "not_ready", dependencies=tuple(dependencies)
    )
    headers = {"Cache-Control": "no-store"} | ({} if essential_ok else {"Retry-After": "1"})
    return Response(readiness, status_code=200 if essential_ok else 503, headers=headers)


@get("/metrics", tags=["Operations"], summary="Figures for Prometheus")
async def metrics(services: Services) -> Response[bytes]:
    """Prometheus' text format, over all API processes of the machine and all workers of the projections."""
    figures = services.metrics.exposition() + await projection_metrics(services)
    return Response(figures, media_type=PROMETHEUS_TEXT, headers={"Cache-Control": "no-store"})


@asynccontextmanager
async def reporting_health(app: Litestar) -> AsyncIterator[None]:
    """While the application runs, what it can do goes to the metrics once a second."""
    task = asyncio.create_task(_report_health(app.state["services"]), name="health to metrics")
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def _report_health(services: ApiServices) -> None:
    while True:
        services.metrics.health(
            log_healthy=services.log.healthy,
            spool_pending_bytes=services.spool.pending_bytes,
            budgets_known=services.budgets.are_known,
        )
        await asyncio.sleep(REPORT_EVERY_S)


async def _probe(name: str, ask: Callable[[], Awaitable[None]], *, essential: bool) -> Dependency:
    clock = asyncio.get_running_loop().time
    started = clock()
    error = None
    try:
        async with asyncio.timeout(PROBE_TIMEOUT_S):
            await ask()
    except Exception as failure:  # noqa: BLE001 - whatever a client raises, the server is not usable
        error = str(failure) or type(failure).__name__
    return Dependency(
        name=name,
        essential=essential,
        ok=error is None,
        latency_ms=round((clock() - started) * 1_000, 1),
        error=error,
    )


async def _ask_kafka(services: ApiServices) -> None:
    if not services.log.healthy:
        raise LogUnavailable(services.log.fault)
    await services.watermarks.high([services.names.auctions])


async def _ask_redis(services: ApiServices) -> None:
    await services.redis.ping()


async def _ask_postgres(services: ApiServices) -> None:
    async with services.database.connect() as connection:
        await connection.execute(text("SELECT 1"))


async def _ask_spool(services: ApiServices) -> None:
    if services.spool.fault is not None:
        raise OSError(services.spool.fault)
