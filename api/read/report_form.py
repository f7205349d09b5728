"""JSON or CSV: the form in which a report is sent, by the request's `Accept`."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any

from litestar import Request, Response
from litestar.params import QueryParameter

from api.problems import ProblemRaised

JSON = "application/json"
CSV = "text/csv"
FORMS = [JSON, CSV]
WithTotals = Annotated[
    bool,
    QueryParameter(description="In CSV, totals as lines of their own: a first column `line` then says what each is."),
]
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n")
NEGATIVE_AMOUNT = re.compile(r"-\d+(\.\d+)?")


def accepted_form(request: Request[Any, Any, Any]) -> str:
    """JSON where both will do. Raises ProblemRaised (406) where neither does."""
    form = request.accept.best_match(FORMS)
    if form is None:
        raise ProblemRaised("not-acceptable", f"on offer are {JSON} and {CSV}")
    return form


def lines(columns: Sequence[str], **rows: Iterable[Mapping[str, Any]]) -> tuple[list[str], list[dict[str, Any]]]:
    """Rows of several kinds under a first column `line`, which says of each which it is; what one lacks is empty."""
    empty = dict.fromkeys(columns)
    return ["line", *columns], [{**empty, **row, "line": kind} for kind, of_kind in rows.items() for row in of_kind]


def csv_response(
    name: str, columns: Sequence[str], rows: Iterable[Mapping[str, Any]], headers: Mapping[str, str]
) -> Response[str]:
    """RFC 4180: a header line, then the rows; what is null is empty.

    Some texts come from anonymous bid requests: one that a spreadsheet would take for a formula gets an apostrophe.
    """
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(columns)
    for row in rows:
        writer.writerow([_cell(row[column]) for column in columns])
    disposition = {"Content-Disposition": f'attachment; filename="{name}.csv"'}
    return Response(text.getvalue(), media_type=CSV, headers={**headers, **disposition})


def _cell(value: Any) -> Any:
    """As OWASP advises on CSV injection; an amount below zero stays a number."""
    is_formula = isinstance(value, str) and value.startswith(FORMULA_STARTS) and not NEGATIVE_AMOUNT.fullmatch(value)
    return f"'{value}" if is_formula else value
