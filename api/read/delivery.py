"""`GET /v1/reports/delivery`: counts and money by any dimensions, as JSON or CSV."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from litestar import Request, Response, get
from litestar.params import QueryParameter

from api.read.report_form import CSV, FORMS, accepted_form, csv_response
from api.read.time_range import From, To, time_range
from api.read.waiting import read_model
from api.services import Services
from projections.queries.delivery import DIMENSIONS, DeliveryReport, DeliveryRow, delivery_report

PROJECTION = "delivery"
RESERVED = frozenset({"from", "to", "by"})
"""Query parameters that are no filters."""

By = Annotated[str, QueryParameter(description=f"Dimensions, separated by commas: {', '.join(DIMENSIONS)}.")]


@get("/reports/delivery", tags=["Reports"], summary="What was delivered", produces=FORMS)
async def report_delivery(
    request: Request[Any, Any, Any], services: Services, start: From = None, end: To = None, by: By = ""
) -> Response[DeliveryReport] | Response[str]:
    """By whole UTC hours. Any dimension can be a filter too: `?by=hour&bidder=…`.

    `Accept: text/csv` gives the rows as CSV.
    """
    form = accepted_form(request)
    from_time, to_time = time_range(start, end)
    dimensions = [name for name in (part.strip() for part in by.split(",")) if name]
    async with read_model(PROJECTION, request, services) as freshness:
        report = await delivery_report(
            services.database,
            start=from_time,
            end=to_time,
            by=dimensions,
            filters={name: value for name, value in request.query_params.items() if name not in RESERVED},
            lag=freshness.lag,
        )
    headers = freshness.headers | {"Vary": "Accept"}
    if form != CSV:
        return Response(report, headers=headers)
    counts = [name for name in DeliveryRow.__struct_fields__ if name not in DIMENSIONS]
    columns = [*dict.fromkeys([*dimensions, "currency"]), *counts]
    return csv_response("delivery", columns, msgspec.to_builtins(report.rows), headers)
