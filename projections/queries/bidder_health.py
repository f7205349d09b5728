"""The bidders' report: how their calls end and why, how long they take, and how often they win."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from itertools import accumulate
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType
from sqlalchemy import Row, func, select
from sqlalchemy.ext.asyncio import AsyncEngine

from domain.errors import Fault, InvalidInput
from domain.openrtb.codes import LossReason, NoBidReason, NonBidStatus
from projections.queries.bidder_names import bidder_names
from projections.queries.one_generation import one_generation
from projections.tables import BIDDER_LATENCY_COLUMNS, LATENCY_BOUNDS_MS, bidder_health

BIDDERS_MAX = 10_000
RATE_DIGITS = 6
ANSWERED = ("placed", "refused", "no_bid")
FAILED = ("timeout", "error")
OUTCOMES = (*ANSWERED, *FAILED, "skipped")
"""Of an imp that a bidder was considered for: exactly one of these."""


class Reason(msgspec.Struct, frozen=True, kw_only=True):
    """Why imps were not bid for, or not with a valid bid."""

    outcome: str
    code: int
    """For `refused` an IAB loss reason, else a seat-non-bid status; 500 stands for all codes of no list."""
    sentence: str
    imps: int


class Within(msgspec.Struct, frozen=True):
    """A bar of a histogram."""

    ms: int | None
    """Upper bound, included; null for what took longer than all bounds."""
    imps: int
    """Not those of the bars before it."""


class Latency(msgspec.Struct, frozen=True, kw_only=True):
    """From a call to its whole answer or its time-out. Percentiles are upper bounds of the bars that they fall into."""

    histogram: tuple[Within, ...]
    p50_ms: int | None
    """Null where there were no calls, or past the last bound."""
    p95_ms: int | None
    p99_ms: int | None


class BidderRow(msgspec.Struct, frozen=True, kw_only=True):
    """One bidder. Counts are of imps: a call for two of them counts twice. Rates without a denominator are null."""

    bidder: str
    name: str | None
    """Null where the catalogue does not know it yet."""
    hour: datetime | UnsetType = UNSET
    considered: int
    asked: int
    """Considered and not skipped."""
    placed: int
    refused: int
    no_bid: int
    timeout: int
    error: int
    skipped: int
    won: int
    late: int
    """Answers that came after the decision: of calls, not of imps."""
    bid_rate: float | None
    """Placed per asked."""
    win_rate: float | None
    """Won per placed."""
    failure_rate: float | None
    """Time-outs and errors per asked."""
    reasons: tuple[Reason, ...]
    """The most frequent first."""
    latency: Latency


class BidderReport(msgspec.Struct, frozen=True, kw_only=True):
    rows: tuple[BidderRow, ...]
    lag: int | None
    """Events that are logged and not counted yet; null when Kafka does not say."""


async def bidder_report(
    db: AsyncEngine, *, start: datetime, end: datetime, by_hour: bool, bidder: str | None, lag: int | None = None
) -> BidderReport:
    """How bidders did from `start` up to but not including `end`, by whole UTC hours; one bidder's, or everybody's.

    Raises InvalidInput for an empty range or more than BIDDERS_MAX rows.
    """
    if start >= end:
        raise InvalidInput([Fault("to", "must be later than 'from'")])
    of = bidder_health.c
    keys = [*([of.hour] if by_hour else []), of.bidder_id]
    columns = [*keys, of.outcome, of.code]
    sums = [func.sum(of[name]).label(name) for name in ("events", *BIDDER_LATENCY_COLUMNS)]
    query = (
        select(*columns, *sums)
        .where(of.hour >= start, of.hour < end, *([] if bidder is None else [of.bidder_id == bidder]))
        .group_by(*columns)
        .order_by(*columns)
    )
    async with one_generation(db, "bidder_health", "catalogue") as connection:
        found = (await connection.execute(query)).all()
        groups: dict[tuple[Any, ...], list[Row[Any]]] = {}
        for row in found:
            groups.setdefault(tuple(row[: len(keys)]), []).append(row)
        if len(groups) > BIDDERS_MAX:
            raise InvalidInput([Fault("by", f"gives more than {BIDDERS_MAX} rows: narrow the range")])
        names = await bidder_names(connection, {key[-1] for key in groups})
    rows = tuple(_row(key, group, names) for key, group in groups.items())
    return BidderReport(rows=rows, lag=lag)


def _row(key: tuple[Any, ...], group: Sequence[Row[Any]], names: Mapping[str, str]) -> BidderRow:
    counts = Counter[str]()
    for each in group:
        counts[each.outcome] += int(each.events)
    by_outcome = {name: counts[name] for name in (*OUTCOMES, "won", "late")}
    considered = sum(counts[name] for name in OUTCOMES)
    asked = considered - counts["skipped"]
    return BidderRow(
        bidder=key[-1],
        name=names.get(key[-1]),
        hour=key[0] if len(key) > 1 else UNSET,
        considered=considered,
        asked=asked,
        **by_outcome,
        bid_rate=_rate(counts["placed"], asked),
        win_rate=_rate(counts["won"], counts["placed"]),
        failure_rate=_rate(counts["timeout"] + counts["error"], asked),
        reasons=_reasons(group),
        latency=_latency(each for each in group if each.outcome in (*ANSWERED, *FAILED)),
    )


def _reasons(group: Iterable[Row[Any]]) -> tuple[Reason, ...]:
    reasons = [
        Reason(outcome=each.outcome, code=each.code, sentence=_sentence(each.outcome, each.code), imps=int(each.events))
        for each in group
        if each.outcome not in ("placed", "won", "late")
    ]
    return tuple(sorted(reasons, key=lambda each: (-each.imps, each.outcome, each.code)))


def _sentence(outcome: str, code: int) -> str:
    if outcome == "refused":
        return LossReason.describe(code)
    # 0 stands for no reason at all: of the two lists that share it, this one says so.
    return (NonBidStatus if code in list(NonBidStatus) else NoBidReason).describe(code)


def _latency(group: Iterable[Row[Any]]) -> Latency:
    sums = Counter[str]()
    for each in group:
        for name in BIDDER_LATENCY_COLUMNS:
            sums[name] += int(getattr(each, name))
    bars = [sums[name] for name in BIDDER_LATENCY_COLUMNS]
    bounds = (*LATENCY_BOUNDS_MS, None)

    def at(share: float) -> int | None:
        reached = share * sum(bars)
        return next(
            (ms for ms, below in zip(bounds, accumulate(bars), strict=True) if below and below >= reached), None
        )

    histogram = tuple(Within(ms, imps) for ms, imps in zip(bounds, bars, strict=True))
    return Latency(histogram=histogram, p50_ms=at(0.5), p95_ms=at(0.95), p99_ms=at(0.99))


def _rate(part: int, whole: int) -> float | None:
    return round(part / whole, RATE_DIGITS) if whole else None
