"""`GET /v1/reports/bidders`: how bidders' calls end, why, and how long they take, as JSON or CSV."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from litestar import Request, Response, get
from litestar.params import QueryParameter

from api.read.report_form import CSV, FORMS, accepted_form, csv_response
from api.read.time_range import From, To, time_range
from api.read.waiting import read_model
from api.services import Services
from projections.queries.bidder_health import BidderReport, BidderRow, bidder_report

PROJECTION = "bidder_health"
NESTED = ("reasons", "latency")
PERCENTILES = ("p50_ms", "p95_ms", "p99_ms")

By = Annotated[Literal["hour"] | None, QueryParameter(description="`hour`: a row for each hour; else one a bidder.")]
OfBidder = Annotated[str | None, QueryParameter(description="Id of the one bidder to report on.")]


@get("/reports/bidders", tags=["Reports"], summary="How bidders did", produces=FORMS)
async def report_bidders(
    request: Request[Any, Any, Any],
    *,
    services: Services,
    start: From = None,
    end: To = None,
    by: By = None,
    bidder: OfBidder = None,
) -> Response[BidderReport] | Response[str]:
    """By whole UTC hours: outcomes with their reasons, a histogram of latencies, win rates.

    `Accept: text/csv` gives the rows as CSV, without reasons and histogram.
    """
    form = accepted_form(request)
    from_time, to_time = time_range(start, end)
    async with read_model(PROJECTION, request, services) as freshness:
        report = await bidder_report(
            services.database,
            start=from_time,
            end=to_time,
            by_hour=by is not None,
            bidder=bidder,
            lag=freshness.lag,
        )
    headers = freshness.headers | {"Vary": "Accept"}
    if form != CSV:
        return Response(report, headers=headers)
    plain = [name for name in BidderRow.__struct_fields__ if name not in NESTED and (by or name != "hour")]
    rows = ({**row, **row["latency"]} for row in msgspec.to_builtins(report.rows))
    return csv_response("bidders", [*plain, *PERCENTILES], rows, headers)
