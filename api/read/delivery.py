"""`GET /v1/reports/delivery`: counts, money and reach by any dimensions, as JSON or CSV."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import msgspec
from litestar import Request, Response, get
from litestar.params import QueryParameter

from api.access import caller_of, tenant_of
from api.read.own_figures import own_figures
from api.read.report_form import CSV, FORMS, WithTotals, accepted_form, csv_response, lines
from api.read.time_range import From, To, time_range, zone_named
from api.read.waiting import read_model
from api.services import Services
from domain.errors import Fault, InvalidInput
from projections.queries.delivery import DeliveryReport, DeliveryRow, delivery_report
from projections.queries.delivery_groups import DIMENSIONS, Attribution, Order, Question

PROJECTION = "delivery"
RESERVED = frozenset({"from", "to", "by", "tz", "attributed", "top", "order", "totals"})
"""Query parameters that are no filters."""
SHARES = frozenset({"revenue", "fee"})
"""What a buyer is not told."""
TOP_MAX = 1_000

By = Annotated[str, QueryParameter(description=f"Dimensions, separated by commas: {', '.join(DIMENSIONS)}.")]
Zone = Annotated[
    str, QueryParameter(name="tz", description="Whose hours and days are meant: a zone of the IANA, `Europe/Berlin`.")
]
Attributed = Annotated[
    Attribution,
    QueryParameter(
        description="Whether impressions and clicks belong to their own time (`event`) or to that of the award that "
        "they follow from (`auction`)."
    ),
]
Top = Annotated[
    int | None,
    QueryParameter(ge=1, le=TOP_MAX, description="Only so many rows of each currency; the totals are of all."),
]
Ordered = Annotated[
    Order | None,
    QueryParameter(name="order", description="The rows with most of it come first; of a top list by default `spend`."),
]


@get("/reports/delivery", tags=["Reports"], summary="What was delivered", produces=FORMS)
async def report_delivery(
    request: Request[Any, Any, Any],
    services: Services,
    *,
    start: From = None,
    end: To = None,
    by: By = "",
    zone: Zone = "UTC",
    attributed: Attributed = "event",
    top: Top = None,
    order: Ordered = None,
    totals: WithTotals = False,
) -> Response[DeliveryReport] | Response[str]:
    """By whole quarters of an hour, which hours and days of every zone consist of.

    Any dimension can be a filter too, with several values where it is repeated: `?by=hour&bidder=…&bidder=…`.
    A click counts whether or not its impression did, so `ctr` may be above 1. `Accept: text/csv` gives the rows as CSV.
    """
    form = accepted_form(request)
    is_for_buyer = caller_of(request).role == "advertiser"
    if is_for_buyer and order in SHARES:
        raise InvalidInput([Fault("order", "is not told to a buyer")])
    time_zone = zone_named(zone)
    from_time, to_time = time_range(start, end, time_zone)
    parameters = request.query_params
    question = Question(
        start=from_time,
        end=to_time,
        by=tuple(name for name in (part.strip() for part in by.split(",")) if name),
        filters=own_figures(
            {name: parameters.getall(name) for name in parameters if name not in RESERVED}, tenant_of(request)
        ),
        zone=time_zone,
        attributed=attributed,
        top=top,
        order=order,
    )
    async with read_model(PROJECTION, request, services) as freshness:
        report = await delivery_report(services.database, question, lag=freshness.lag)
    if is_for_buyer:
        report = report.for_a_buyer()
    headers = freshness.headers | {"Vary": "Accept"}
    if form != CSV:
        return Response(report, headers=headers)
    counts = [name for name in DeliveryRow.__struct_fields__ if name not in DIMENSIONS]
    columns = [name for name in (*question.dimensions, *counts) if not (is_for_buyer and name in SHARES)]
    rows = msgspec.to_builtins(report.rows)
    if totals:
        columns, rows = lines(columns, row=rows, total=_total_lines(report))
    return csv_response("delivery", columns, rows, headers)


def _total_lines(report: DeliveryReport) -> list[Mapping[str, Any]]:
    """All counts in one line; money beside them where there is one currency, else in a line for each."""
    total = msgspec.to_builtins(report.totals)
    return [total, *total.pop("by_currency", [])]
