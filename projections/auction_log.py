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
from domain.event_parts import EngagementKind, Inventory
from domain.excerpt import Excerpt
from projections import auction_log_events as excerpts
from projections import tables
from projections.auction_day import EPOCH, auction_day
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
Row = tuple[Any, ...]
"""Of one table, its values in the order of its columns."""


class Offered(msgspec.Struct, frozen=True, gc=False):
    """Of an imp, what lists filter by."""

    inventory: Inventory


_offered = msgspec.json.Decoder(tuple[Offered, ...]).decode


class Rows(msgspec.Struct, frozen=True):
    """By table."""

    by_table: dict[str, list[Row]]
    days: set[date]

    def filled(self) -> list[tuple[str, list[Row]]]:
        """Tables that get rows, with them."""
        return [(table, values) for table, values in self.by_table.items() if values]


class AuctionLog:
    """A `projection.ByExcerpt` in Postgres."""

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
    excerpts = excerpts.EXCERPTS

    def __init__(self) -> None:
        self._partitions = DayPartitions(TABLES)

    def fold(self, events: Sequence[Excerpt], onto: Rows | None = None) -> Rows:
        """One row per event."""
        return _add(events, Rows({table: [] for table in TABLES}, set()) if onto is None else onto)

    async def prepare(self, connection: Connection, rows: Rows) -> None:
        await self._partitions.ensure(connection, rows.days)

    async def write(self, connection: Connection, rows: Rows) -> None:
        try:
            async with connection.transaction():
                for table, values in rows.filled():
                    await connection.copy_records_to_table(table, columns=COLUMNS[table], records=values)
        except asyncpg.UniqueViolationError:
            for table, values in rows.filled():
                await _insert_unknown(connection, table, values)


async def _insert_unknown(connection: Connection, table: str, values: list[Row]) -> None:
    """Inserts the rows whose key is not taken."""
    await connection.execute(f"CREATE TEMPORARY TABLE incoming (LIKE {table}) ON COMMIT DROP")
    await connection.copy_records_to_table("incoming", columns=COLUMNS[table], records=values)
    await connection.execute(f"INSERT INTO {table} SELECT * FROM incoming ON CONFLICT DO NOTHING")  # noqa: S608 - names of our own
    await connection.execute("DROP TABLE incoming")


# -- rows: each begins with the day and the auction's id ---------------------------------------------


def _add(batch: Sequence[Any], rows: Rows) -> Rows:
    """Events of one auction stand together in the log: its day is read once."""
    by_table, days = rows.by_table, rows.days
    last_id: str | None = None
    day = EPOCH
    for event in batch:
        if event.auction_id != last_id:
            last_id = event.auction_id
            day = auction_day(last_id)
            days.add(day)
        table, row_of = _ROWS[type(event)]
        by_table[table].append(row_of(day, event))
    return rows


def _request(day: date, event: excerpts.BidRequested) -> Row:
    first = _offered(event.imps)[0].inventory
    return (
        day,
        event.auction_id,
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
        bytes(event.imps).decode(),
        # Unknown members were never decoded, so nobody has checked that their text is text.
        bytes(event.request).decode(errors="replace"),
        event.robot,
        event.restricted_by or None,
        event.segments,
    )


def _placed(day: date, event: excerpts.BidPlaced) -> Row:
    return (
        day,
        event.auction_id,
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


def _refused(day: date, event: excerpts.BidRefused) -> Row:
    return (
        day,
        event.auction_id,
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


def _awarded(day: date, event: excerpts.AuctionAwarded) -> Row:
    return (
        day,
        event.auction_id,
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


def _unsold(day: date, event: excerpts.AuctionUnsold) -> Row:
    absent = [None] * _ABSENT_WHEN_UNSOLD
    withdrawn = event.withdrawn or None
    return (
        day,
        event.auction_id,
        event.id,
        event.at,
        event.imp_id,
        False,
        *absent,
        event.held_ms,
        event.reason,
        None,
        withdrawn,
    )


_ABSENT_WHEN_UNSOLD = COLUMNS["auction_awards"].index("held_ms") - COLUMNS["auction_awards"].index("bidder_id")


def _late(day: date, event: excerpts.BidderAnsweredLate) -> Row:
    bids = _json(event.bids).decode()
    return (
        day,
        event.auction_id,
        event.id,
        event.at,
        event.bidder_id,
        event.latency_ms,
        event.http_status,
        bids,
        event.reason,
    )


def _engagement(kind: EngagementKind) -> Callable[[date, excerpts.Engagement], Row]:
    def row(day: date, event: excerpts.Engagement) -> Row:
        return (
            day,
            event.auction_id,
            event.id,
            event.at,
            kind,
            event.imp_id,
            event.bidder_id,
            event.bid_id,
            event.verdict,
            event.reason,
        )

    return row


def _voided(day: date, event: excerpts.EngagementVoided) -> Row:
    met = event.engagement
    bidder_id, bid_id = ("", "") if met is None else (met.bidder_id, met.bid_id)
    return (
        day,
        event.auction_id,
        event.id,
        event.at,
        event.kind,
        event.imp_id,
        bidder_id,
        bid_id,
        "voided",
        event.reason,
    )


def _delivered(day: date, event: excerpts.NoticeDelivered) -> Row:
    return (*_notice(day, event), event.http_status, None)


def _failed(day: date, event: excerpts.NoticeFailed) -> Row:
    return (*_notice(day, event), None, event.reason)


def _notice(day: date, event: excerpts.Notice) -> Row:
    about = (event.imp_id, event.bidder_id, event.bid_id)
    return (day, event.auction_id, event.id, event.at, event.kind, *about, event.url, event.attempts)


_ROWS: dict[type[Excerpt], tuple[str, Callable[[date, Any], Row]]] = {
    excerpts.BidRequested: ("auctions", _request),
    excerpts.BidPlaced: ("auction_outcomes", _placed),
    excerpts.BidRefused: ("auction_outcomes", _refused),
    excerpts.AuctionAwarded: ("auction_awards", _awarded),
    excerpts.AuctionUnsold: ("auction_awards", _unsold),
    excerpts.BidderAnsweredLate: ("auction_late_answers", _late),
    excerpts.ImpressionRecorded: ("auction_engagements", _engagement("impression")),
    excerpts.ClickRecorded: ("auction_engagements", _engagement("click")),
    excerpts.EngagementVoided: ("auction_engagements", _voided),
    excerpts.NoticeDelivered: ("auction_notices", _delivered),
    excerpts.NoticeFailed: ("auction_notices", _failed),
}
