"""The delivery report: counts, money and reach by the dimensions asked for."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any, TypeVar

import msgspec
from msgspec import UNSET, UnsetType
from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncEngine

from domain.errors import Fault, InvalidInput
from domain.money import amount_text
from projections.queries.delivery_groups import RATES, Answer, Question, asked, check
from projections.queries.one_generation import one_generation
from projections.tables import DELIVERY_COUNTS, DELIVERY_MONEY

ROWS_MAX = 50_000
ROWS_PER_TURN = 1_000
"""Of the event loop, which serves others in between."""
RATE_DIGITS = 6
IMPRESSIONS_PER_MILLE = 1_000


class Counts(msgspec.Struct, frozen=True, kw_only=True):
    """Gross counts every recorded engagement that is not a test; the plain name valid ones that were not voided."""

    requests: int
    """Auctions; one with several imps counts once, under its first imp's inventory."""
    imps: int
    bids: int
    """Of the exchange's own campaigns the best one for each imp, for it alone competes."""
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
    """Valid clicks per valid impression: above 1 where clicks count whose pixels were never fetched."""
    reach: int
    """Different people behind the valid impressions, estimated: two of three estimates are within 0.8 %, 19 of 20
    within 1.6 %. Of whom nothing may be known is not in it; whose impression was voided later still is."""


class Money(msgspec.Struct, frozen=True, kw_only=True):
    """Of what was paid for, exact decimal text in units of `currency`."""

    currency: str
    spend: str
    """What buyers owe."""
    revenue: str | UnsetType = UNSET
    """The publishers' share; absent, as `fee` is, in a report for a buyer."""
    fee: str | UnsetType = UNSET
    """The exchange's: spend is revenue and fee."""
    ecpm: str | None
    """Spend per thousand valid impressions, rounded to six digits."""


class DeliveryRow(Counts, frozen=True, kw_only=True):
    """One group. A dimension that was not asked for is absent; currency never is, for money does not mix."""

    hour: datetime | UnsetType = UNSET
    """Its begin, in the report's time zone."""
    day: date | UnsetType = UNSET
    publisher: str | UnsetType = UNSET
    placement: str | UnsetType = UNSET
    site: str | UnsetType = UNSET
    country: str | UnsetType = UNSET
    device_type: int | UnsetType = UNSET
    bidder: str | UnsetType = UNSET
    """Empty for what no buyer has a part in, requests and imps; so are the next ones."""
    deal: str | UnsetType = UNSET
    advertiser: str | UnsetType = UNSET
    """These three of the exchange's own campaigns, whose bidder is `direct`."""
    campaign: str | UnsetType = UNSET
    ad: str | UnsetType = UNSET
    size: str | UnsetType = UNSET
    """Of the ad, `300x250`."""
    currency: str
    spend: str
    revenue: str | UnsetType = UNSET
    fee: str | UnsetType = UNSET
    ecpm: str | None


class DeliveryTotals(Counts, frozen=True, kw_only=True, omit_defaults=True):
    """Over all groups, those too that are not in a top list.

    Money stands beside the counts where there is one currency, else under `by_currency`.
    """

    currency: str | UnsetType = UNSET
    spend: str | UnsetType = UNSET
    revenue: str | UnsetType = UNSET
    fee: str | UnsetType = UNSET
    ecpm: str | UnsetType | None = UNSET
    by_currency: tuple[Money, ...] | UnsetType = UNSET


Shared = TypeVar("Shared", Money, DeliveryRow, DeliveryTotals)


class DeliveryReport(msgspec.Struct, frozen=True, kw_only=True):
    rows: tuple[DeliveryRow, ...]
    totals: DeliveryTotals
    lag: int | None
    """Events that are logged and not counted yet; null when Kafka does not say."""

    def for_a_buyer(self) -> DeliveryReport:
        """Without how the price is shared between publishers and exchange."""
        totals = _unshared(self.totals)
        if isinstance(totals.by_currency, tuple):
            totals = msgspec.structs.replace(totals, by_currency=tuple(_unshared(each) for each in totals.by_currency))
        return DeliveryReport(rows=tuple(_unshared(row) for row in self.rows), totals=totals, lag=self.lag)


async def delivery_report(db: AsyncEngine, question: Question, *, lag: int | None = None) -> DeliveryReport:
    """What was delivered in the quarters of an hour that begin in the range of the question.

    `lag` is passed through (`freshness.lag`).
    Raises InvalidInput for an unknown dimension, a filter of another type, an empty range, or more than ROWS_MAX rows.
    """
    check(question)
    async with one_generation(db, "delivery") as connection:
        answer = await asked(connection, question, most=ROWS_MAX)
    if len(answer.groups) > ROWS_MAX:
        why = f"gives more than {ROWS_MAX} rows: narrow the range, ask for fewer dimensions or for a top list"
        raise InvalidInput([Fault("by", why)])
    rows: list[DeliveryRow] = []
    for start in range(0, len(answer.groups), ROWS_PER_TURN):
        rows += [_row(group, answer, question) for group in answer.groups[start : start + ROWS_PER_TURN]]
        await asyncio.sleep(0)
    return DeliveryReport(rows=tuple(rows), totals=_totals(answer), lag=lag)


def _unshared(part: Shared) -> Shared:
    return msgspec.structs.replace(part, revenue=UNSET, fee=UNSET)


def _row(group: Row[Any], answer: Answer, question: Question) -> DeliveryRow:
    keys = {name: getattr(group, name) for name in question.dimensions}
    reach = answer.reach.get(tuple(keys.values()), 0)
    if "hour" in keys:
        keys["hour"] = keys["hour"].astimezone(question.zone)
    return DeliveryRow(**(keys | _counts([group], reach) | msgspec.structs.asdict(_money(group))))


def _totals(answer: Answer) -> DeliveryTotals:
    counts = _counts(answer.totals, answer.total_reach)
    by_currency = tuple(_money(group) for group in answer.totals)
    if len(by_currency) == 1:
        return DeliveryTotals(**(counts | msgspec.structs.asdict(by_currency[0])))
    return DeliveryTotals(**counts, by_currency=by_currency)


def _counts(groups: Sequence[Row[Any]], reach: int) -> dict[str, Any]:
    sums: Mapping[str, int] = {name: sum(int(getattr(group, name)) for group in groups) for name in DELIVERY_COUNTS}
    rates = {name: _rate(sums[part], sums[whole]) for name, (part, whole) in RATES.items()}
    return {**sums, **rates, "reach": reach}


def _money(group: Row[Any]) -> Money:
    """Of a group in one currency. Nano-units are divided here and nowhere before."""
    spend, revenue, fee = (int(getattr(group, name)) for name in DELIVERY_MONEY)
    impressions = int(group.impressions)
    ecpm_nanos = round(Decimal(spend * IMPRESSIONS_PER_MILLE) / impressions, -3) if impressions else None
    return Money(
        currency=group.currency,
        spend=amount_text(spend),
        revenue=amount_text(revenue),
        fee=amount_text(fee),
        ecpm=None if ecpm_nanos is None else amount_text(int(ecpm_nanos)),
    )


def _rate(part: int, whole: int) -> float | None:
    return round(part / whole, RATE_DIGITS) if whole else None
