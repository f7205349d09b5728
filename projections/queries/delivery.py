"""The delivery report: counts and money by the dimensions asked for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType
from sqlalchemy import ColumnElement, Date, Row, cast, func, select
from sqlalchemy.ext.asyncio import AsyncEngine

from domain.errors import Fault, InvalidInput
from domain.money import amount_text
from projections.tables import DELIVERY_COUNTS, DELIVERY_MONEY, delivery

DIMENSIONS: Mapping[str, ColumnElement[Any]] = {
    "hour": delivery.c.hour,
    "day": cast(func.timezone("UTC", delivery.c.hour), Date).label("day"),
    "publisher": delivery.c.publisher_id,
    "placement": delivery.c.placement_id,
    "site": delivery.c.site,
    "country": delivery.c.country,
    "device_type": delivery.c.device_type,
    "bidder": delivery.c.bidder_id,
    "campaign": delivery.c.campaign_id,
    "ad": delivery.c.ad_id,
    "currency": delivery.c.currency,
}
"""What a report can be grouped and filtered by."""

ROWS_MAX = 50_000
RATE_DIGITS = 6
IMPRESSIONS_PER_MILLE = 1_000


class Counts(msgspec.Struct, frozen=True, kw_only=True):
    """Gross counts every recorded engagement that is not a test, the plain name only valid ones."""

    requests: int
    """Auctions; one with several imps counts once, under its first imp's inventory."""
    imps: int
    bids: int
    wins: int
    impressions_gross: int
    impressions: int
    clicks_gross: int
    clicks: int
    fill_rate: float | None
    """Wins per imp offered. Rates have six digits; one without a denominator is null."""
    win_rate: float | None
    """Wins per bid."""
    ctr: float | None
    """Valid clicks per valid impression."""


class Money(msgspec.Struct, frozen=True, kw_only=True):
    """Of valid impressions, exact decimal text in units of `currency`."""

    currency: str
    spend: str
    """What buyers owe."""
    revenue: str
    """The publishers' share."""
    fee: str
    """The exchange's: spend is revenue and fee."""
    ecpm: str | None
    """Spend per thousand valid impressions, rounded to six digits."""


class DeliveryRow(Counts, frozen=True, kw_only=True):
    """One group. A dimension that was not asked for is absent; currency never is, for money does not mix."""

    hour: datetime | UnsetType = UNSET
    day: date | UnsetType = UNSET
    publisher: str | UnsetType = UNSET
    placement: str | UnsetType = UNSET
    site: str | UnsetType = UNSET
    country: str | UnsetType = UNSET
    device_type: int | UnsetType = UNSET
    bidder: str | UnsetType = UNSET
    """Empty for what no bidder has a part in: requests and imps."""
    campaign: str | UnsetType = UNSET
    ad: str | UnsetType = UNSET
    currency: str
    spend: str
    revenue: str
    fee: str
    ecpm: str | None


class DeliveryTotals(Counts, frozen=True, kw_only=True, omit_defaults=True):
    """Over all rows. Money stands beside the counts where there is one currency, else under `by_currency`."""

    currency: str | UnsetType = UNSET
    spend: str | UnsetType = UNSET
    revenue: str | UnsetType = UNSET
    fee: str | UnsetType = UNSET
    ecpm: str | UnsetType | None = UNSET
    by_currency: tuple[Money, ...] | UnsetType = UNSET


class DeliveryReport(msgspec.Struct, frozen=True, kw_only=True):
    rows: tuple[DeliveryRow, ...]
    totals: DeliveryTotals
    lag: int | None
    """Events that are logged and not counted yet; null when Kafka does not say."""


async def delivery_report(
    db: AsyncEngine,
    *,
    start: datetime,
    end: datetime,
    by: Sequence[str] = (),
    filters: Mapping[str, str] | None = None,
    lag: int | None = None,
) -> DeliveryReport:
    """What was delivered from `start` up to but not including `end`, by whole UTC hours.

    `by` and the keys of `filters` are names of DIMENSIONS; `lag` is passed through (`progress.lag`).
    Raises InvalidInput for an unknown dimension, an empty range, or more than ROWS_MAX rows.
    """
    dimensions = _checked_dimensions(by)
    if start >= end:
        raise InvalidInput([Fault("to", "must be later than 'from'")])
    keys = [DIMENSIONS[name].label(name) for name in dimensions]
    sums = [func.sum(delivery.c[name]).label(name) for name in (*DELIVERY_COUNTS, *DELIVERY_MONEY)]
    query = (
        select(*keys, *sums)
        .where(delivery.c.hour >= start, delivery.c.hour < end, *_conditions(filters or {}))
        .group_by(*(DIMENSIONS[name] for name in dimensions))
        .order_by(*(DIMENSIONS[name] for name in dimensions))
        .limit(ROWS_MAX + 1)
    )
    async with db.connect() as connection:
        groups = (await connection.execute(query)).all()
    if len(groups) > ROWS_MAX:
        raise InvalidInput([Fault("by", f"gives more than {ROWS_MAX} rows: narrow the range or ask for fewer")])
    return DeliveryReport(rows=tuple(_row(group, dimensions) for group in groups), totals=_totals(groups), lag=lag)


def _checked_dimensions(by: Sequence[str]) -> list[str]:
    unknown = [name for name in by if name not in DIMENSIONS]
    if unknown:
        raise InvalidInput([Fault("by", f"{name!r} is not one of {', '.join(DIMENSIONS)}") for name in unknown])
    return [*dict.fromkeys([*by, "currency"])]


def _conditions(filters: Mapping[str, str]) -> Iterable[ColumnElement[bool]]:
    faults = [Fault(name, f"is not one of {', '.join(DIMENSIONS)}") for name in filters if name not in DIMENSIONS]
    if faults:
        raise InvalidInput(faults)
    for name, value in filters.items():
        kind = DIMENSIONS[name].type.python_type
        try:
            yield DIMENSIONS[name] == (value if kind is str else msgspec.convert(value, kind, strict=False))
        except msgspec.ValidationError as error:
            raise InvalidInput([Fault(name, str(error))]) from None


def _row(group: Row[Any], dimensions: Sequence[str]) -> DeliveryRow:
    keys = {name: getattr(group, name) for name in dimensions}
    return DeliveryRow(**(keys | _counts([group]) | msgspec.structs.asdict(_money(group.currency, [group]))))


def _totals(groups: Sequence[Row[Any]]) -> DeliveryTotals:
    by_currency = tuple(
        _money(currency, [group for group in groups if group.currency == currency])
        for currency in sorted({group.currency for group in groups})
    )
    if len(by_currency) == 1:
        return DeliveryTotals(**(_counts(groups) | msgspec.structs.asdict(by_currency[0])))
    return DeliveryTotals(**_counts(groups), by_currency=by_currency)


def _counts(groups: Sequence[Row[Any]]) -> dict[str, Any]:
    sums = {name: sum(int(getattr(group, name)) for group in groups) for name in DELIVERY_COUNTS}
    return {
        **sums,
        "fill_rate": _rate(sums["wins"], sums["imps"]),
        "win_rate": _rate(sums["wins"], sums["bids"]),
        "ctr": _rate(sums["clicks"], sums["impressions"]),
    }


def _money(currency: str, groups: Sequence[Row[Any]]) -> Money:
    """Of groups in one currency. Nano-units are divided here and nowhere before."""
    spend, revenue, fee = (sum(int(getattr(group, name)) for group in groups) for name in DELIVERY_MONEY)
    impressions = sum(int(group.impressions) for group in groups)
    ecpm_nanos = round(Decimal(spend * IMPRESSIONS_PER_MILLE) / impressions, -3) if impressions else None
    return Money(
        currency=currency,
        spend=amount_text(spend),
        revenue=amount_text(revenue),
        fee=amount_text(fee),
        ecpm=None if ecpm_nanos is None else amount_text(int(ecpm_nanos)),
    )


def _rate(part: int, whole: int) -> float | None:
    return round(part / whole, RATE_DIGITS) if whole else None
