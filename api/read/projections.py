"""`GET /v1/projections`: how far every read model has come, and who works on it."""

from __future__ import annotations

from litestar import Response, get

from api.read.waiting import database_errors
from api.services import Services
from projections.queries import progress


@get("/projections", tags=["Operations"], summary="Every projection's position against the log's end")
async def list_projections(
    services: Services,
) -> Response[list[progress.ProjectionStatus]]:
    """With who works on it, its generations, and what operators have decided lately.

    `lag`, `lag_seconds` and `high_watermark` are null while Kafka does not answer.
    """
    with database_errors():
        statuses = await progress.projection_status(
            services.database,
            services.watermarks,
            names=services.names,
            redis=services.redis,
            log_times=services.log_times,
        )
    return Response(statuses, headers={"Cache-Control": "no-store"})
