"""The books as a person reads them: an account's statement, and the balance of all accounts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import date
from decimal import Decimal
from typing import Any, NamedTuple

import msgspec
from msgspec import UNSET, UnsetType
from sqlalchemy import Row, Select, String, Subquery, case, func, literal, null, select, union_all
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from sqlalchemy.sql.elements import ColumnElement

from domain.errors import Fault, InvalidInput
from domain.ledger import EXCHANGE, UnknownAccount, kind_of_account
from domain.money import amount_text
from projections.queries.one_generation import one_generation
from projections.tables import ledger, ledger_closings

DIMENSIONS = ("day", "campaign")
"""What a report can be split by, beside account and currency."""
ROWS_MAX = 50_000
POSTINGS_PER_ENTRY = 3
_EXCHANGE = literal(EXCHANGE, String)


class LedgerRow(msgspec.Struct, frozen=True, kw_only=True):
    """The entries of one account; money is exact decimal text in units of `currency`."""

    day: date | UnsetType = UNSET
    """Of booking, UTC. A dimension that was not asked for is absent."""
    campaign: str | UnsetType = UNSET
    """Empty for what no campaign of the exchange's own paid."""
    account: str
    currency: str
    charges: int
    refunds: int
    debit: str
    credit: str
    balance: str
    """Debit less credit: above zero is owed to the exchange, below zero is owed by it or earned."""


class LedgerTotal(msgspec.Struct, frozen=True, kw_only=True):
    """Of all rows of one currency. Over all accounts debit and credit are the same, and each balance is zero."""

    currency: str
    opening: str
    """The balance of all that was booked before."""
    charges: int
    refunds: int
    debit: str
    credit: str
    closing: str


class LedgerReport(msgspec.Struct, frozen=True, kw_only=True):
    account: str | None
    """Null for all accounts."""
    rows: tuple[LedgerRow, ...]
    totals: tuple[LedgerTotal, ...]
    closed_through: date | None
    """Up to this day, included, nothing changes any more, unless a dead letter from before the closing is retried;
    null as long as no day is closed."""
    lag: int | None
    """Events that are logged and not booked yet; null when Kafka does not say."""


class _Sum(NamedTuple):
    charges: int = 0
    refunds: int = 0
    debit: int = 0
    credit: int = 0

    def plus(self, row: Row[Any]) -> _Sum:
        return _Sum(
            self.charges + int(row.charges),
            self.refunds + int(row.refunds),
            self.debit + int(row.debit),
            self.credit + int(row.credit),
        )


async def ledger_report(
    db: AsyncEngine,
    *,
    start: date,
    end: date,
    account: str | None = None,
    by: Sequence[str] = (),
    lag: int | None = None,
) -> LedgerReport:
    """What was booked from `start` up to but not including `end`, for one account or for each.

    Raises InvalidInput for what is no account, an unknown dimension, an empty range, or more than ROWS_MAX rows.
    """
    _check(start, end, account, by)
    dimensions = [name for name in DIMENSIONS if name in by]
    postings = _postings(account)
    async with one_generation(db, "ledger") as connection:
        found = (await connection.execute(_rows(postings, start, end, dimensions))).all()
        before = (await connection.execute(_balances_before(postings, start))).all()
        closed_through = await _closed_through(connection)
    if len(found) > ROWS_MAX:
        raise InvalidInput([Fault("by", f"gives more than {ROWS_MAX} rows: narrow the range or ask for fewer")])
    return LedgerReport(
        account=account,
        rows=tuple(_row(each, dimensions) for each in found),
        totals=_totals(
            found, POSTINGS_PER_ENTRY if account is None else 1, {row.currency: int(row.balance) for row in before}
        ),
        closed_through=closed_through,
        lag=lag,
    )


def _check(start: date, end: date, account: str | None, by: Iterable[str]) -> None:
    faults = [Fault("by", f"{name!r} is not one of {', '.join(DIMENSIONS)}") for name in by if name not in DIMENSIONS]
    if start >= end:
        faults.append(Fault("to", "must be later than 'from'"))
    if account is not None:
        try:
            kind_of_account(account)
        except UnknownAccount as error:
            faults.append(Fault("account", str(error)))
    if faults:
        raise InvalidInput(faults)


# -- what the database is asked ----------------------------------------------------------------------


def _postings(account: str | None) -> Subquery:
    """Each entry's side of an account, or its three sides: what `domain.ledger.postings` says of one."""
    buyer = _side(ledger.c.buyer, ledger.c.spend_nanos, is_debit=True)
    publisher = _side(ledger.c.publisher, ledger.c.revenue_nanos, is_debit=False)
    if account is None:
        return union_all(buyer, publisher, _side(_EXCHANGE, ledger.c.fee_nanos, is_debit=False)).subquery()
    match kind_of_account(account):
        case "exchange":
            return _side(_EXCHANGE, ledger.c.fee_nanos, is_debit=False).subquery()
        case "publisher":
            return publisher.where(ledger.c.publisher == account).subquery()
        case _:
            return buyer.where(ledger.c.buyer == account).subquery()


def _side(whose: ColumnElement[str], nanos: ColumnElement[Any], *, is_debit: bool) -> Select[Any]:
    charged = case((ledger.c.kind == "charge", nanos), else_=0)
    refunded = case((ledger.c.kind == "refund", nanos), else_=0)
    debit, credit = (charged, refunded) if is_debit else (refunded, charged)
    return select(
        whose.label("account"),
        ledger.c.booked_on.label("day"),
        ledger.c.campaign_id.label("campaign"),
        ledger.c.currency,
        case((ledger.c.kind == "charge", ledger.c.entries), else_=0).label("charges"),
        case((ledger.c.kind == "refund", ledger.c.entries), else_=0).label("refunds"),
        debit.label("debit"),
        credit.label("credit"),
    )


def _rows(postings: Subquery, start: date, end: date, dimensions: Sequence[str]) -> Any:
    keys = [postings.c[name] for name in (*dimensions, "account", "currency")]
    return (
        select(*keys, *(func.sum(postings.c[name]).label(name) for name in _Sum._fields))
        .where(postings.c.day >= start, postings.c.day < end)
        .group_by(*keys)
        .order_by(*keys)
        .limit(ROWS_MAX + 1)
    )


def _balances_before(postings: Subquery, start: date) -> Any:
    balance = func.sum(postings.c.debit - postings.c.credit).label("balance")
    return select(postings.c.currency, balance).where(postings.c.day < start).group_by(postings.c.currency)


async def _closed_through(connection: AsyncConnection) -> date | None:
    """The day through which every partition is closed."""
    by_partition = (
        select(
            func.max(ledger_closings.c.closed_day).label("through"),
            func.max(ledger_closings.c.partitions).label("partitions"),
        )
        .group_by(ledger_closings.c.partition)
        .subquery()
    )
    are_all = func.count() == func.max(by_partition.c.partitions)
    query = select(case((are_all, func.min(by_partition.c.through)), else_=null()))
    closed: date | None = (await connection.execute(query)).scalar()
    return closed


# -- what is told ------------------------------------------------------------------------------------


def _row(row: Row[Any], dimensions: Sequence[str]) -> LedgerRow:
    return LedgerRow(
        **{name: getattr(row, name) for name in dimensions},
        account=row.account,
        currency=row.currency,
        charges=int(row.charges),
        refunds=int(row.refunds),
        debit=_text(row.debit),
        credit=_text(row.credit),
        balance=_text(row.debit - row.credit),
    )


def _totals(rows: Iterable[Row[Any]], rows_per_entry: int, before: dict[str, int]) -> tuple[LedgerTotal, ...]:
    sums: defaultdict[str, _Sum] = defaultdict(_Sum)
    for row in rows:
        sums[row.currency] = sums[row.currency].plus(row)
    return tuple(
        LedgerTotal(
            currency=currency,
            opening=amount_text(before.get(currency, 0)),
            charges=sums[currency].charges // rows_per_entry,
            refunds=sums[currency].refunds // rows_per_entry,
            debit=amount_text(sums[currency].debit),
            credit=amount_text(sums[currency].credit),
            closing=amount_text(before.get(currency, 0) + sums[currency].debit - sums[currency].credit),
        )
        for currency in sorted(sums.keys() | before.keys())
    )


def _text(nanos: Decimal) -> str:
    return amount_text(int(nanos))
