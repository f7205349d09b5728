"""The read model `auction_log`: the whole story of each auction, one row per event, nothing ever changed.

A row follows from its event alone, so a rebuild gives the same rows. Rows are copied in; an event that was logged
twice breaks the copy, and then the batch is inserted again past what is there: the first in the log stays.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date
from typing import Any

import asyncpg
import msgspec

from domain import events
from domain.event_parts import EngagementKind
from domain.events import Engagement, Event
from projections import tables
from projections.auction_day import auction_day
from projections.day_partitions import DayPartitions
from projections.dimensions import bounded_device_type
from projections.postgres_store import Connection

TABLES = (
    "auctions",
    "auction_outcomes",
    "auction_awards",
    "auction_late_answers",
    "auction_engagements",
    "auction_notices",
)
COLUMNS = {name: tuple(tables.read_models.tables[name].columns.keys()) for name in TABLES}

_json = msgspec.json.Encoder().encode


class Rows(msgspec.Struct, frozen=True):
    """Rows by table, their values in the order of its columns."""

    by_table: dict[str, list[tuple[Any, ...]]]
    days: set[date]


class AuctionLog:
    """A `projection.Projection` in Postgres."""

    name = "auction_log"
    events = (
        events.BidRequested,
        events.BidPlaced,
        events.BidRefused,
        events.AuctionAwarded,
        events.AuctionUnsold,
        events.BidderAnsweredLate,
        events.ImpressionRecorded,
        events.ClickRecorded,
        events.EngagementVoided,
        events.NoticeDelivered,
        events.NoticeFailed,
    )

    def __init__(self) -> None:
        self._partitions = DayPartitions(TABLES)

    def fold(self, events: Sequence[Event], onto: Rows | None = None) -> Rows:
        """One row per event."""
        return _add(events, Rows({}, set()) if onto is None else onto)

    async def prepare(self, connection: Connection, rows: Rows) -> None:
        await self._partitions.ensure(connection, rows.days)

    async def write(self, connection: Connection, rows: Rows) -> None:
        try:
            async with connection.transaction():
                for table, values in rows.by_table.items():
                    await connection.copy_records_to_table(table, columns=COLUMNS[table], records=values)
        except asyncpg.UniqueViolationError:
            for table, values in rows.by_table.items():
                await _insert_unknown(connection, table, values)


async def _insert_unknown(connection: Connection, table: str, values: list[tuple[Any, ...]]) -> None:
    """Inserts the rows whose key is not taken."""
    await connection.execute(f"CREATE TEMPORARY TABLE incoming (LIKE {table}) ON COMMIT DROP")
    await connection.copy_records_to_table("incoming", columns=COLUMNS[table], records=values)
    await connection.execute(f"INSERT INTO {table} SELECT * FROM incoming ON CONFLICT DO NOTHING")  # noqa: S608 - names of our own
    await connection.execute("DROP TABLE incoming")


# -- rows: the day, the auction's id, then what its function gives -----------------------------------


def _add(batch: Sequence[Event], rows: Rows) -> Rows:
    by_table, days = rows.by_table, rows.days
    for event in batch:
        table, values_of = _ROWS[type(event)]
        day = auction_day(event.auction_id)  # type: ignore[attr-defined] # all that are taken have one
        days.add(day)
        by_table.setdefault(table, []).append((day, event.auction_id, *values_of(event)))  # type: ignore[attr-defined]
    return rows


def _request(event: events.BidRequested) -> tuple[Any, ...]:
    first = event.imps[0].inventory
    return (
        event.at,
        event.request_id,
        event.auction_type,
        event.currency,
        event.tmax_ms,
        event.test,
        first.publisher_id,
        first.site,
        first.country,
        bounded_device_type(first.device_type),
        _json(event.imps).decode(),
        # Unknown members were never decoded, so nobody has checked that their text is text.
        bytes(event.request).decode(errors="replace"),
        event.robot,
        event.restricted_by or None,
        event.segments,
    )


def _placed(event: events.BidPlaced) -> tuple[Any, ...]:
    return (
        event.id,
        event.imp_id,
        event.bidder_id,
        "placed",
        None,
        None,
        event.bid_id,
        event.seat,
        event.price_micros,
        event.currency,
        event.latency_ms,
        event.deal_id,
        event.crid,
        _json(event.other_bids).decode() if event.other_bids else None,
        event.media_type,
        event.floor_micros,
        event.deal_at,
        event.group,
        None if event.stated is None else _json(event.stated).decode(),
        _json(event.direct.segments).decode() if event.direct is not None and event.direct.segments else None,
    )


def _refused(event: events.BidRefused) -> tuple[Any, ...]:
    return (
        event.id,
        event.imp_id,
        event.bidder_id,
        event.outcome,
        event.code,
        event.reason,
        event.bid_id,
        event.seat,
        event.price_micros,
        event.currency,
        event.latency_ms,
        None,
        None,
        _json(event.other_bids).decode() if event.other_bids else None,
        *[None] * _ABSENT_WHEN_REFUSED,
    )


_ABSENT_WHEN_REFUSED = len(COLUMNS["auction_outcomes"]) - COLUMNS["auction_outcomes"].index("media_type")


def _awarded(event: events.AuctionAwarded) -> tuple[Any, ...]:
    return (
        event.id,
        event.at,
        event.imp_id,
        True,
        event.bidder_id,
        event.bid_id,
        event.seat,
        event.price_micros,
        event.clearing_price_micros,
        event.revenue_micros,
        event.fee_micros,
        event.currency,
        event.auction_type,
        event.deal_id,
        event.ranking,
        event.ranked_by,
        event.held_ms,
        None,
        event.min_to_win_micros,
        event.withdrawn or None,
    )


def _unsold(event: events.AuctionUnsold) -> tuple[Any, ...]:
    absent = [None] * _ABSENT_WHEN_UNSOLD
    withdrawn = event.withdrawn or None
    return (event.id, event.at, event.imp_id, False, *absent, event.held_ms, event.reason, None, withdrawn)


_ABSENT_WHEN_UNSOLD = COLUMNS["auction_awards"].index("held_ms") - COLUMNS["auction_awards"].index("bidder_id")


def _late(event: events.BidderAnsweredLate) -> tuple[Any, ...]:
    bids = _json(event.bids).decode()
    return (event.id, event.at, event.bidder_id, event.latency_ms, event.http_status, bids, event.reason)


def _engagement(kind: EngagementKind) -> Callable[[Engagement], tuple[Any, ...]]:
    def values(event: Engagement) -> tuple[Any, ...]:
        return (event.id, event.at, kind, event.imp_id, event.bidder_id, event.bid_id, event.verdict, event.reason)

    return values


def _voided(event: events.EngagementVoided) -> tuple[Any, ...]:
    met = event.engagement
    bidder_id, bid_id = ("", "") if met is None else (met.bidder_id, met.bid_id)
    return (event.id, event.at, event.kind, event.imp_id, bidder_id, bid_id, "voided", event.reason)


def _delivered(event: events.NoticeDelivered) -> tuple[Any, ...]:
    return (*_notice(event), event.http_status, None)


def _failed(event: events.NoticeFailed) -> tuple[Any, ...]:
    return (*_notice(event), None, event.reason)


def _notice(event: events.Notice) -> tuple[Any, ...]:
    about = (event.imp_id, event.bidder_id, event.bid_id)
    return (event.id, event.at, event.kind, *about, event.url, event.attempts)


_ROWS: dict[type[Event], tuple[str, Callable[[Any], tuple[Any, ...]]]] = {
    events.BidRequested: ("auctions", _request),
    events.BidPlaced: ("auction_outcomes", _placed),
    events.BidRefused: ("auction_outcomes", _refused),
    events.AuctionAwarded: ("auction_awards", _awarded),
    events.AuctionUnsold: ("auction_awards", _unsold),
    events.BidderAnsweredLate: ("auction_late_answers", _late),
    events.ImpressionRecorded: ("auction_engagements", _engagement("impression")),
    events.ClickRecorded: ("auction_engagements", _engagement("click")),
    events.EngagementVoided: ("auction_engagements", _voided),
    events.NoticeDelivered: ("auction_notices", _delivered),
    events.NoticeFailed: ("auction_notices", _failed),
}
