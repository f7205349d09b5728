"""JSON or CSV: the form in which a report is sent, by the request's `Accept`."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from litestar import Request, Response

from api.problems import ProblemRaised

JSON = "application/json"
CSV = "text/csv"
FORMS = [JSON, CSV]


def accepted_form(request: Request[Any, Any, Any]) -> str:
    """JSON where both will do. Raises ProblemRaised (406) where neither does."""
    form = request.accept.best_match(FORMS)
    if form is None:
        raise ProblemRaised("not-acceptable", f"on offer are {JSON} and {CSV}")
    return form


def csv_response(
    name: str, columns: Sequence[str], rows: Iterable[Mapping[str, Any]], headers: Mapping[str, str]
) -> Response[str]:
    """RFC 4180: a header line, then the rows; what is null is empty."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(columns)
    for row in rows:
        writer.writerow([row[column] for column in columns])
    disposition = {"Content-Disposition": f'attachment; filename="{name}.csv"'}
    return Response(text.getvalue(), media_type=CSV, headers={**headers, **disposition})
