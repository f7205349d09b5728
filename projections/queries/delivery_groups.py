"""What the delivery report asks of Postgres: which rows of `delivery`, in groups by what, and who is behind them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Annotated, Any, Literal, NamedTuple
from zoneinfo import ZoneInfo

import msgspec
from sqlalchemy import ColumnElement, Date, Integer, Row, Select, Subquery, and_, cast, func, literal, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from domain.errors import Fault, InvalidInput
from domain.reach import estimate
from projections.dimensions import DEVICE_TYPE_MAX
from projections.tables import DELIVERY_COUNTS, DELIVERY_MONEY, delivery, delivery_lines, delivery_reach

COLUMNS: Mapping[str, ColumnElement[Any]] = {
    "publisher": delivery_lines.c.publisher_id,
    "placement": delivery_lines.c.placement_id,
    "site": delivery_lines.c.site,
    "country": delivery_lines.c.country,
    "device_type": delivery_lines.c.device_type,
    "bidder": delivery_lines.c.bidder_id,
    "deal": delivery_lines.c.deal_id,
    "advertiser": delivery_lines.c.advertiser_id,
    "campaign": delivery_lines.c.campaign_id,
    "ad": delivery_lines.c.ad_id,
    "size": delivery_lines.c.size,
    "currency": delivery_lines.c.currency,
}
DIMENSIONS = ("hour", "day", *COLUMNS)
"""What a report can be grouped and filtered by."""
_TYPES: Mapping[str, Any] = {
    "hour": datetime,
    "day": date,
    "device_type": Annotated[int, msgspec.Meta(ge=0, le=DEVICE_TYPE_MAX)],
}
"""Of filters; all others are text."""

MARKS_PER_PART = 1_000

KEY = ("quarter", "auction_quarter", "line")
SUMS = (*DELIVERY_COUNTS, *DELIVERY_MONEY)

Attribution = Literal["event", "auction"]
Order = Literal[
    "requests",
    "imps",
    "bids",
    "wins",
    "impressions_gross",
    "impressions",
    "clicks_gross",
    "clicks",
    "fill_rate",
    "win_rate",
    "ctr",
    "spend",
    "revenue",
    "fee",
    "ecpm",
]
RATES = {"fill_rate": ("wins", "imps"), "win_rate": ("wins", "bids"), "ctr": ("clicks", "impressions")}
"""Of what per what."""
_QUOTIENTS = RATES | {"ecpm": ("spend_nanos", "impressions")}

Group = tuple[Any, ...]
"""The values of the dimensions that were asked for, in their order."""


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """What a report is to be of. `wrong` says why it cannot be made."""

    start: datetime
    end: datetime
    by: tuple[str, ...] = ()
    filters: Mapping[str, Collection[str]] = {}
    """Dimension to the values, of which it has to have one."""
    zone: ZoneInfo = ZoneInfo("UTC")
    """Whose hours and days are meant."""
    attributed: Attribution = "event"
    """Whether an engagement belongs to its own time or to that of the auction that it follows from."""
    top: int | None = None
    """Only so many groups of each currency."""
    order: Order | None = None
    """What comes first is the highest of these; by default, the order is that of the dimensions."""

    @property
    def dimensions(self) -> tuple[str, ...]:
        """Never without the currency: money does not mix."""
        return tuple(dict.fromkeys([*self.by, "currency"]))


class Answer(NamedTuple):
    """Groups, the totals by currency, and the reach of each group and of all together."""

    groups: Sequence[Row[Any]]
    totals: Sequence[Row[Any]]
    reach: Mapping[Group, int]
    """Of those that were reached."""
    total_reach: int


def check(question: Question) -> None:
    """Raises InvalidInput for an unknown dimension and an empty range."""
    known = f"is not one of {', '.join(DIMENSIONS)}"
    faults = [Fault("by", f"{name!r} {known}") for name in question.by if name not in DIMENSIONS]
    faults += [Fault(name, known) for name in question.filters if name not in DIMENSIONS]
    if question.start >= question.end:
        faults.append(Fault("to", "must be later than 'from'"))
    if faults:
        raise InvalidInput(faults)


async def asked(connection: AsyncConnection, question: Question, *, most: int) -> Answer:
    """The groups, at most one more than `most`, and then nothing else.

    The connection reads one state of the tables throughout.
    """
    matching = _matching(question)
    groups = (await connection.execute(_groups(matching, question).limit(most + 1))).all()
    if len(groups) > most:
        return Answer(groups, (), {}, 0)
    totals = await connection.execute(_summed(matching, ["currency"]).order_by(matching.c.currency))
    only = groups if question.top else None
    reach = await _reach(connection, matching, question.dimensions, only)
    everybody = await _reach(connection, matching, ())
    return Answer(groups, totals.all(), reach, everybody.get((), 0))


def _matching(question: Question) -> Subquery:
    """The rows in question, with all dimensions that are asked for under their names."""
    quarter = delivery.c.quarter if question.attributed == "event" else delivery.c.auction_quarter
    zone = literal(question.zone.key)
    dimensions: Mapping[str, ColumnElement[Any]] = {
        "hour": func.date_trunc("hour", quarter, zone),
        "day": cast(func.timezone(zone, quarter), Date),
        **COLUMNS,
    }
    return (
        select(
            *(delivery.c[name] for name in KEY),
            *(dimensions[name].label(name) for name in question.dimensions),
            *(delivery.c[name] for name in SUMS),
        )
        .select_from(delivery.join(delivery_lines, delivery.c.line == delivery_lines.c.line))
        .where(quarter >= question.start, quarter < question.end, *_conditions(question, dimensions))
        .subquery("matching")
    )


def _conditions(question: Question, dimensions: Mapping[str, ColumnElement[Any]]) -> Iterator[ColumnElement[bool]]:
    for name, values in question.filters.items():
        kind = _TYPES.get(name)
        try:
            wanted: Collection[Any] = (
                values if kind is None else [msgspec.convert(value, kind, strict=False) for value in values]
            )
        except msgspec.ValidationError as error:
            raise InvalidInput([Fault(name, str(error))]) from None
        if name == "hour":
            wanted = [_instant(each, question.zone) for each in wanted]
        yield dimensions[name].in_(wanted)


def _instant(hour: Any, zone: ZoneInfo) -> datetime:
    """In UTC, which a driver can tell the database; the zone is that of a text that names none."""
    try:
        instant: datetime = (hour if hour.tzinfo else hour.replace(tzinfo=zone)).astimezone(UTC)
    except OverflowError:
        raise InvalidInput([Fault("hour", f"{hour} lies outside of the calendar")]) from None
    return instant


def _summed(matching: Subquery, by: Sequence[str]) -> Select[Any]:
    keys = [matching.c[name] for name in by]
    return select(*keys, *(func.sum(matching.c[name]).label(name) for name in SUMS)).group_by(*keys)


def _groups(matching: Subquery, question: Question) -> Select[Any]:
    summed = _summed(matching, question.dimensions).subquery("summed")
    keys = [summed.c[name] for name in question.dimensions]
    order = question.order or ("spend" if question.top else None)
    if order is None:
        return select(summed).order_by(*keys)
    place = func.row_number().over(
        partition_by=summed.c.currency, order_by=[_measure(summed, order).desc().nulls_last(), *keys]
    )
    placed = select(summed, place.label("place")).subquery("placed")
    ordered = select(placed).order_by(placed.c.currency, placed.c.place)
    return ordered if question.top is None else ordered.where(placed.c.place <= question.top)


def _measure(summed: Subquery, order: Order) -> ColumnElement[Any]:
    if order in _QUOTIENTS:
        part, whole = _QUOTIENTS[order]
        return summed.c[part] / func.nullif(summed.c[whole], 0)
    return summed.c[order if order in DELIVERY_COUNTS else f"{order}_nanos"]


async def _reach(
    connection: AsyncConnection, matching: Subquery, by: Sequence[str], only: Sequence[Row[Any]] | None = None
) -> dict[Group, int]:
    """The sketches of all rows of a group make one: register by register the highest rank."""
    if only is not None and not only:
        return {}
    keys = [matching.c[name] for name in by]
    marked = delivery_reach.c
    is_of_the_row = and_(*(marked[name] == matching.c[name] for name in KEY))
    marks = (
        select(*keys, marked.register, func.max(marked.rank).label("rank"))
        .select_from(matching.join(delivery_reach, is_of_the_row))
        .group_by(*keys, marked.register)
    )
    if only is not None:
        marks = marks.where(tuple_(*keys).in_([tuple(getattr(row, name) for name in by) for row in only]))
    highest = marks.subquery("highest")
    names = [highest.c[name] for name in by]
    counted = select(*names, highest.c.rank, cast(func.count(), Integer)).group_by(*names, highest.c.rank)
    ranks: dict[Group, dict[int, int]] = {}
    # In parts, between which the process does other things: there may be dozens of ranks for each group.
    async with connection.stream(counted) as found:
        async for part in found.partitions(MARKS_PER_PART):
            for *group, rank, registers in part:
                ranks.setdefault(tuple(group), {})[rank] = registers
    return {group: estimate(of_group) for group, of_group in ranks.items()}
