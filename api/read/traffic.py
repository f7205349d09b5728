"""`GET /v1/reports/traffic`: how many hits count and what speaks against the others, as JSON or CSV."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from litestar import Request, Response, get
from litestar.params import QueryParameter

from api.access import tenant_of
from api.read.own_figures import own_figures
from api.read.report_form import CSV, FORMS, accepted_form, csv_response
from api.read.time_range import From, To, time_range
from api.read.waiting import read_model
from api.services import Services
from projections.queries.traffic import DIMENSIONS, TrafficCounts, TrafficReport, traffic_report

PROJECTION = "traffic"
RESERVED = frozenset({"from", "to", "by"})
"""Query parameters that are no filters."""

By = Annotated[
    str,
    QueryParameter(description=f"Dimensions, separated by commas: {', '.join(DIMENSIONS)}. Always by `kind`."),
]


@get("/reports/traffic", tags=["Reports"], summary="What became of impressions and clicks", produces=FORMS)
async def report_traffic(
    request: Request[Any, Any, Any], *, services: Services, start: From = None, end: To = None, by: By = ""
) -> Response[TrafficReport] | Response[str]:
    """By whole UTC hours: valid, repeated, expired and voided hits, and invalid traffic by its reasons.

    Publisher, placement and kind can be filters too: `?by=hour&publisher=…`. `Accept: text/csv` gives the rows as CSV.
    """
    form = accepted_form(request)
    from_time, to_time = time_range(start, end)
    dimensions = [name for name in (part.strip() for part in by.split(",")) if name]
    parameters = request.query_params
    filters = {name: parameters.getall(name) for name in parameters if name not in RESERVED}
    async with read_model(PROJECTION, request, services) as freshness:
        report = await traffic_report(
            services.database,
            start=from_time,
            end=to_time,
            by=dimensions,
            filters=own_figures(filters, tenant_of(request)),
            lag=freshness.lag,
        )
    headers = freshness.headers | {"Vary": "Accept"}
    if form != CSV:
        return Response(report, headers=headers)
    columns = [*dict.fromkeys([*dimensions, "kind"]), *TrafficCounts.__struct_fields__]
    return csv_response("traffic", columns, msgspec.to_builtins(report.rows), headers)
