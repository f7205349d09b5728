"""The report of traffic: how many impressions and clicks count, and what speaks against the others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any, Final, get_args

import msgspec
from msgspec import UNSET, UnsetType
from sqlalchemy import ColumnElement, Date, cast, func, select
from sqlalchemy.ext.asyncio import AsyncEngine

from domain.errors import Fault, InvalidInput
from domain.event_parts import EngagementKind, InvalidTraffic
from projections.tables import traffic

DIMENSIONS: Final[Mapping[str, ColumnElement[Any]]] = {
    "hour": traffic.c.hour,
    "day": cast(func.timezone("UTC", traffic.c.hour), Date).label("day"),
    "publisher": traffic.c.publisher_id,
    "placement": traffic.c.placement_id,
    "kind": traffic.c.kind,
}
"""What a report can be grouped by; always by `kind`, for impressions and clicks do not add up."""
FILTERS: Final = ("publisher", "placement", "kind")
KINDS: Final[tuple[EngagementKind, ...]] = get_args(EngagementKind)
REASONS: Final[tuple[InvalidTraffic, ...]] = get_args(InvalidTraffic)
SUMS_MAX: Final = 50_000
RATE_DIGITS: Final = 6
_INVALID_VERDICTS = ("bot", "rate_limited")


class TrafficCounts(msgspec.Struct, frozen=True, kw_only=True):
    """Hits. Gross is all of them, and the sum of valid, duplicate, expired, voided and invalid."""

    gross: int
    valid: int
    """Those that count: `impressions` and `clicks` of the delivery report."""
    duplicate: int
    expired: int
    voided: int
    """They counted, until they were refunded."""
    invalid: int
    """Not of people, or too many: the sum of all that follow."""
    robot: int
    not_a_browser: int
    data_centre: int
    device_mismatch: int
    rate_ip: int
    rate_ad: int
    unspecified: int
    """Of logs from before the reasons had a word."""
    invalid_rate: float | None
    """Invalid per gross; null where there is nothing. Six digits."""


class TrafficRow(TrafficCounts, frozen=True, kw_only=True):
    """One group. A dimension that was not asked for is absent."""

    hour: datetime | UnsetType = UNSET
    day: date | UnsetType = UNSET
    publisher: str | UnsetType = UNSET
    placement: str | UnsetType = UNSET
    kind: EngagementKind


class TrafficTotals(msgspec.Struct, frozen=True, kw_only=True):
    """Over all rows."""

    impression: TrafficCounts
    click: TrafficCounts


class TrafficReport(msgspec.Struct, frozen=True, kw_only=True):
    rows: tuple[TrafficRow, ...]
    totals: TrafficTotals
    lag: int | None
    """Events that are logged and not counted yet; null when Kafka does not say."""


async def traffic_report(
    db: AsyncEngine,
    *,
    start: datetime,
    end: datetime,
    by: Sequence[str] = (),
    filters: Mapping[str, Sequence[str]] | None = None,
    lag: int | None = None,
) -> TrafficReport:
    """What became of hits from `start` up to but not including `end`, by whole UTC hours.

    `by` are names of DIMENSIONS, the keys of `filters` of FILTERS. Raises InvalidInput for others, an empty range, or
    more than SUMS_MAX sums.
    """
    dimensions = _checked_dimensions(by)
    if start >= end:
        raise InvalidInput([Fault("to", "must be later than 'from'")])
    keys = [DIMENSIONS[name].label(name) for name in dimensions]
    query = (
        select(*keys, traffic.c.verdict, traffic.c.ivt, func.sum(traffic.c.hits).label("hits"))
        .where(traffic.c.hour >= start, traffic.c.hour < end, *_conditions(filters or {}))
        .group_by(*(DIMENSIONS[name] for name in dimensions), traffic.c.verdict, traffic.c.ivt)
        .order_by(*(DIMENSIONS[name] for name in dimensions), traffic.c.verdict, traffic.c.ivt)
        .limit(SUMS_MAX + 1)
    )
    async with db.connect() as connection:
        found: Sequence[Any] = (await connection.execute(query)).all()
    if len(found) > SUMS_MAX:
        raise InvalidInput([Fault("by", f"takes more than {SUMS_MAX} sums: narrow the range or ask for fewer")])
    groups: dict[tuple[Any, ...], list[Any]] = {}
    for each in found:
        groups.setdefault(tuple(each[: len(keys)]), []).append(each)
    rows = tuple(
        TrafficRow(**dict(zip(dimensions, key, strict=True)), **_counts(group)) for key, group in groups.items()
    )
    totals = {kind: TrafficCounts(**_counts([each for each in found if each.kind == kind])) for kind in KINDS}
    return TrafficReport(rows=rows, totals=TrafficTotals(**totals), lag=lag)


def _checked_dimensions(by: Sequence[str]) -> list[str]:
    unknown = [name for name in by if name not in DIMENSIONS]
    if unknown:
        raise InvalidInput([Fault("by", f"{name!r} is not one of {', '.join(DIMENSIONS)}") for name in unknown])
    return [*dict.fromkeys([*by, "kind"])]


def _conditions(filters: Mapping[str, Sequence[str]]) -> list[ColumnElement[bool]]:
    unknown = [name for name in filters if name not in FILTERS]
    if unknown:
        raise InvalidInput([Fault(name, f"is not one of {', '.join(FILTERS)}") for name in unknown])
    return [DIMENSIONS[name].in_(values) for name, values in filters.items()]


def _counts(group: Sequence[Any]) -> dict[str, Any]:
    def hits(verdicts: Sequence[str], ivt: str | None = None) -> int:
        return sum(int(each.hits) for each in group if each.verdict in verdicts and ivt in (None, each.ivt))

    gross, invalid = sum(int(each.hits) for each in group), hits(_INVALID_VERDICTS)
    return {
        "gross": gross,
        **{verdict: hits([verdict]) for verdict in ("valid", "duplicate", "expired", "voided")},
        "invalid": invalid,
        **{reason: hits(_INVALID_VERDICTS, reason) for reason in REASONS},
        "unspecified": hits(_INVALID_VERDICTS, ""),
        "invalid_rate": round(invalid / gross, RATE_DIGITS) if gross else None,
    }
