"""`GET /v1/reports/delivery`: counts and money by any dimensions, as JSON or CSV."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import msgspec
from litestar import Request, Response, get
from litestar.params import QueryParameter

from api.problems import ProblemRaised
from api.read.waiting import read_model
from api.services import Services
from domain.errors import Fault, InvalidInput
from projections.queries.delivery import DIMENSIONS, DeliveryReport, DeliveryRow, delivery_report

PROJECTION = "delivery"
JSON = "application/json"
CSV = "text/csv"
RESERVED = frozenset({"from", "to", "by"})
"""Query parameters that are no filters."""
RANGE_DEFAULT = timedelta(hours=24)
EARLIEST_YEAR, LATEST_YEAR = 1970, 9000
"""Room at both ends for other zones and the default range."""

From = Annotated[
    str | None, QueryParameter(name="from", description="ISO 8601, UTC where it names no zone; by default a day ago.")
]
To = Annotated[str | None, QueryParameter(name="to", description="Exclusive; by default the end of this hour.")]
By = Annotated[str, QueryParameter(description=f"Dimensions, separated by commas: {', '.join(DIMENSIONS)}.")]


@get("/reports/delivery", tags=["Reports"], summary="What was delivered", produces=[JSON, CSV])
async def report_delivery(
    request: Request[Any, Any, Any], services: Services, start: From = None, end: To = None, by: By = ""
) -> Response[DeliveryReport] | Response[str]:
    """By whole UTC hours. Any dimension can be a filter too: `?by=hour&bidder=…`.

    `Accept: text/csv` gives the rows as CSV.
    """
    media_type = request.accept.best_match([JSON, CSV])
    if media_type is None:
        raise ProblemRaised("not-acceptable", f"on offer are {JSON} and {CSV}")
    to_time = _instant("to", end) if end else _end_of_hour(datetime.now(UTC))
    from_time = _instant("from", start) if start else to_time - RANGE_DEFAULT
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
    if media_type == JSON:
        return Response(report, headers=headers)
    headers["Content-Disposition"] = 'attachment; filename="delivery.csv"'
    return Response(_csv(report, dimensions), media_type=CSV, headers=headers)


def _instant(name: str, text: str) -> datetime:
    try:
        # A `+` that was not escaped arrives as a blank.
        instant = datetime.fromisoformat(text.strip().replace(" ", "+"))
    except ValueError:
        raise InvalidInput([Fault(name, f"{text!r} is not an ISO 8601 time")]) from None
    if not EARLIEST_YEAR <= instant.year <= LATEST_YEAR:
        raise InvalidInput([Fault(name, f"{text!r} is not between {EARLIEST_YEAR} and {LATEST_YEAR}")])
    return instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant


def _end_of_hour(now: datetime) -> datetime:
    return now.replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)


def _csv(report: DeliveryReport, dimensions: list[str]) -> str:
    """RFC 4180: a header line, then the rows; a rate without a denominator is empty."""
    counts = [name for name in DeliveryRow.__struct_fields__ if name not in DIMENSIONS]
    columns = [*dict.fromkeys([*dimensions, "currency"]), *counts]
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(columns)
    for row in report.rows:
        fields = msgspec.to_builtins(row)
        writer.writerow([fields[column] for column in columns])
    return text.getvalue()
