"""`GET /v1/projections`: how far every read model has come, and who works on it."""

from __future__ import annotations

from collections.abc import Sequence

from litestar import Response, get

from api.read.waiting import database_errors
from api.services import Services
from projections.queries.progress import ProjectionStatus


@get("/projections", tags=["Operations"], summary="Every projection's position against the log's end")
async def list_projections(
    services: Services,
) -> Response[Sequence[ProjectionStatus]]:
    """With who works on it, its generations, and what operators have decided lately.

    `lag`, `lag_seconds` and `high_watermark` are null while Kafka does not answer.
    """
    with database_errors():
        statuses = await services.progress.now()
    return Response(statuses, headers={"Cache-Control": "no-store"})
