"""`GET /v1/reports/ledger`: an account's statement, or the balance of all accounts, as JSON or CSV."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from litestar import Request, Response, get
from litestar.params import QueryParameter

from api.access import tenant_of
from api.read.day_range import FromDay, ToDay, day_range
from api.read.report_form import CSV, FORMS, WithTotals, accepted_form, csv_response, lines
from api.read.waiting import read_model
from api.services import Services
from domain import ledger
from domain.access import Tenant
from domain.errors import NotFound
from domain.ledger import AccountKind
from projections.queries.ledger import DIMENSIONS, LedgerReport, LedgerRow, ledger_report

PROJECTION = "ledger"

Account = Annotated[
    str | None,
    QueryParameter(
        description="`publisher:ID`, `bidder:ID`, `advertiser:ID` or `exchange`; for the operator by default all."
    ),
]
By = Annotated[str, QueryParameter(description=f"Separated by commas: {', '.join(DIMENSIONS)}; else one row in all.")]


@get("/reports/ledger", tags=["Reports"], summary="Who owes what", produces=FORMS)
async def report_ledger(
    request: Request[Any, Any, Any],
    *,
    services: Services,
    start: FromDay = None,
    end: ToDay = None,
    account: Account = None,
    by: By = "day",
    totals: WithTotals = False,
) -> Response[LedgerReport] | Response[str]:
    """By whole UTC days of booking; days up to `closed_through` change only by dead letters that are retried.

    Buyers' accounts are debited with what they owe, publishers' and the exchange's are credited with what they earn.
    A refund stands on the other side, on the day of the refund. Over all accounts both sides are the same.
    `Accept: text/csv` gives the rows as CSV, with `totals=true` between the opening and the closing balance of each
    currency; `closed_through` is in the header `Gavel-Closed-Through` then.
    """
    form = accepted_form(request)
    from_day, to_day = day_range(start, end)
    dimensions = [name for name in (part.strip() for part in by.split(",")) if name]
    asked = _account_for(tenant_of(request), account)
    async with read_model(PROJECTION, request, services) as freshness:
        report = await ledger_report(
            services.database, start=from_day, end=to_day, account=asked, by=dimensions, lag=freshness.lag
        )
    headers = freshness.headers | {"Vary": "Accept"}
    if form != CSV:
        return Response(report, headers=headers)
    if report.closed_through is not None:
        headers["Gavel-Closed-Through"] = report.closed_through.isoformat()
    columns = [name for name in LedgerRow.__struct_fields__ if name not in DIMENSIONS or name in dimensions]
    rows = msgspec.to_builtins(report.rows)
    if totals:
        of_account = {"account": report.account}
        opening = [{**of_account, "currency": each.currency, "balance": each.opening} for each in report.totals]
        closing = [{**of_account, **msgspec.to_builtins(each), "balance": each.closing} for each in report.totals]
        columns, rows = lines(columns, opening=opening, row=rows, closing=closing)
    return csv_response("ledger", columns, rows, headers)


def _account_for(tenant: Tenant | None, account: str | None) -> str | None:
    """A tenant has its own account, and for it there is no other."""
    if tenant is None:
        return account
    kind: AccountKind = "publisher" if tenant.role == "publisher" else "advertiser"
    own = ledger.account(kind, tenant.subject_id)
    if account not in {None, own}:
        raise NotFound(f"There is no account {account!r}.")
    return own
