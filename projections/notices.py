"""The read model `notices`: the outbox of notices to bidders, in which each stands once.

Auctions and impressions are two topics: whichever comes first waits in `notice_sources` for the other. Both are
written by upserts of the same row, so that of two workers the second sees what the first has put there.

What was sent cannot be told from the log alone, so this is never rebuilt; and what happened more than a day before
it is read here is no news any more, so a log that is read from its start does not call anybody.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta

import msgspec

from domain.codec import Decoder, encode
from domain.events import Event
from domain.limits import NOTICE_DAYS_KEPT
from domain.notices import SOURCES, Notice, Source, notices_of, still_needed, trimmed
from projections.auction_day import auction_day
from projections.day_partitions import DayPartitions
from projections.postgres_store import Connection

TABLES = ("notice_sources", "notices")

NEWS_SINCE = "SELECT now() - interval '1 day'"
KEEP = r"""
INSERT INTO notice_sources (day, auction_id, events) SELECT * FROM unnest($1::date[], $2::uuid[], $3::text[])
ON CONFLICT (day, auction_id) DO UPDATE SET events = notice_sources.events || E'\n' || excluded.events
RETURNING auction_id::text, events
"""
ADD = """
INSERT INTO notices (
    day, auction_id, outcome_id, place, kind, imp_id, bidder_id, bid_id, host, url, viewer_ip, viewer_agent, due_at
)
SELECT *, now() FROM unnest(
    $1::date[], $2::uuid[], $3::uuid[], $4::smallint[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[],
    $10::text[], $11::text[], $12::text[]
) ON CONFLICT DO NOTHING
"""


class Rows(msgspec.Struct, frozen=True):
    """The events that notices follow from, by auction."""

    by_auction: dict[str, list[Source]]

    def forget_before(self, since: datetime) -> None:
        """Leaves out what is no news, and auctions whose day is not kept any more."""
        oldest_day = since.date() - timedelta(days=NOTICE_DAYS_KEPT - 1)
        for auction_id, sources in list(self.by_auction.items()):
            news = [each for each in sources if each.at >= since] if auction_day(auction_id) >= oldest_day else []
            if news:
                self.by_auction[auction_id] = news
            else:
                del self.by_auction[auction_id]


class Notices:
    """A `projection.Projection` in Postgres."""

    name = "notices"
    events = SOURCES

    def __init__(self) -> None:
        self._partitions = DayPartitions(TABLES)
        self._decoder = Decoder(SOURCES)

    def fold(self, events: Sequence[Event], onto: Rows | None = None) -> Rows:
        """What can lead to a notice."""
        rows = Rows({}) if onto is None else onto
        for event in events:
            source = trimmed(event)
            if source is not None:
                auction_day(source.auction_id)  # raises here, where it is taken for the event's fault
                rows.by_auction.setdefault(source.auction_id, []).append(source)
        return rows

    async def prepare(self, connection: Connection, rows: Rows) -> None:
        rows.forget_before(await connection.fetchval(NEWS_SINCE))
        await self._partitions.ensure(connection, {auction_day(each) for each in rows.by_auction})

    async def write(self, connection: Connection, rows: Rows) -> None:
        known = dict(rows.by_auction)
        waiting = {auction_id: needed for auction_id, news in known.items() if (needed := still_needed(news))}
        if waiting:
            for auction_id, met in await self._keep(connection, waiting):
                known[auction_id] = list({each.id: each for each in (*known[auction_id], *met)}.values())
        notices = [notice for sources in known.values() for notice in notices_of(sources)]
        if notices:
            await connection.execute(ADD, *zip(*map(_row, notices), strict=True))

    async def _keep(
        self, connection: Connection, waiting: Mapping[str, Iterable[Source]]
    ) -> list[tuple[str, list[Source]]]:
        """Adds events to those that wait already; all that wait for each of these auctions then."""
        # In one order, so that no two workers wait for each other.
        ids = sorted(waiting)
        lines = [b"\n".join(map(encode, waiting[each])).decode() for each in ids]
        kept = await connection.fetch(KEEP, [auction_day(each) for each in ids], ids, lines)
        return [(auction_id, self._decoded(events)) for auction_id, events in kept]

    def _decoded(self, lines: str) -> list[Source]:
        return [
            source
            for line in lines.split("\n")
            if (event := self._decoder.decode(line.encode())) is not None and (source := trimmed(event)) is not None
        ]


def _row(notice: Notice) -> tuple[object, ...]:
    key, viewer = notice.key, notice.viewer
    return (
        auction_day(key.auction_id),
        *key,
        notice.imp_id,
        notice.bidder_id,
        notice.bid_id,
        notice.receiver.host,
        notice.url,
        None if viewer is None else viewer.ip,
        None if viewer is None else viewer.user_agent,
    )
