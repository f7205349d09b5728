"""The outbox as notifiers work on it: claimed under a lease, so that a notifier that dies is followed by another."""

from __future__ import annotations

from collections.abc import Mapping

import asyncpg

from domain.event_parts import Viewer
from domain.limits import (
    NOTICE_DAYS_KEPT,
    NOTICE_HOSTS_PER_BIDDER_MAX,
    NOTICE_LEASE_SECONDS,
    NOTICES_PER_HOST_MAX,
)
from domain.notices import ClaimedNotice, Notice, NoticeKey, Receiver
from projections.auction_day import auction_day
from projections.notices import TABLES
from projections.postgres_store import Pool, connected

CLAIM = """
WITH RECURSIVE bidders (bidder_id) AS (
    -- From one bidder to the next in the index: however much waits for one, the others are found at once.
    (SELECT bidder_id FROM notices WHERE due_at IS NOT NULL ORDER BY bidder_id LIMIT 1)
    UNION ALL
    SELECT (
        SELECT bidder_id FROM notices WHERE due_at IS NOT NULL AND bidder_id > bidders.bidder_id
        ORDER BY bidder_id LIMIT 1
    )
    FROM bidders WHERE bidders.bidder_id IS NOT NULL
), busy AS (
    SELECT * FROM unnest($1::text[], $2::text[], $3::integer[]) AS busy (bidder_id, host, calls)
), due AS (
    SELECT picked.*
    FROM (SELECT bidder_id FROM bidders WHERE bidder_id IS NOT NULL ORDER BY random()) AS bidders
    CROSS JOIN LATERAL (
        -- From one of the bidder's hosts to the next.
        WITH RECURSIVE hosts (host) AS (
            (
                SELECT host FROM notices WHERE due_at IS NOT NULL AND bidder_id = bidders.bidder_id
                ORDER BY host LIMIT 1
            )
            UNION ALL
            SELECT (
                SELECT host FROM notices
                WHERE due_at IS NOT NULL AND bidder_id = bidders.bidder_id AND host > hosts.host
                ORDER BY host LIMIT 1
            )
            FROM hosts WHERE hosts.host IS NOT NULL
        )
        SELECT waiting.*
        FROM (SELECT host FROM (SELECT host FROM hosts LIMIT $6) AS hosts ORDER BY random()) AS hosts
        CROSS JOIN LATERAL (
            SELECT day, auction_id, outcome_id, place, kind FROM notices
            WHERE notices.bidder_id = bidders.bidder_id AND notices.host = hosts.host AND due_at <= now()
            ORDER BY due_at
            LIMIT greatest($4 - coalesce((
                SELECT calls FROM busy WHERE busy.bidder_id = bidders.bidder_id AND busy.host = hosts.host
            ), 0), 0)
            FOR UPDATE SKIP LOCKED
        ) AS waiting
        LIMIT greatest($5 - coalesce((SELECT sum(calls) FROM busy WHERE busy.bidder_id = bidders.bidder_id), 0), 0)
    ) AS picked
    LIMIT $5
)
UPDATE notices SET attempts = attempts + 1, due_at = now() + make_interval(secs => $7)
FROM due
WHERE (notices.day, notices.auction_id, notices.outcome_id, notices.place, notices.kind)
    = (due.day, due.auction_id, due.outcome_id, due.place, due.kind)
RETURNING notices.auction_id::text, notices.outcome_id::text, notices.place, notices.kind,
    imp_id, bidder_id, bid_id, url, viewer_ip, viewer_agent, attempts
"""
SETTLE = """
UPDATE notices SET
    due_at = now() + make_interval(secs => settled.retry_after),
    ended_at = CASE WHEN settled.retry_after IS NULL THEN now() END,
    delivered = settled.delivered
FROM unnest($1::date[], $2::uuid[], $3::uuid[], $4::smallint[], $5::text[], $6::boolean[], $7::float8[]) AS settled
    (day, auction_id, outcome_id, place, kind, delivered, retry_after)
WHERE (notices.day, notices.auction_id, notices.outcome_id, notices.place, notices.kind)
    = (settled.day, settled.auction_id, settled.outcome_id, settled.place, settled.kind)
"""

OLD_PARTITIONS = """
SELECT partition.relname FROM pg_inherits
JOIN pg_class AS partition ON partition.oid = inhrelid
JOIN pg_class AS parent ON parent.oid = inhparent
WHERE parent.relname = ANY($1)
  AND right(partition.relname, 8) < to_char(now() AT TIME ZONE 'UTC' - make_interval(days => $2), 'YYYYMMDD')
"""
LOCK_MS = 2_000
"""Dropping a partition stops the table's readers and writers for a moment: it must not wait long while it does."""


class NoticeOutbox:
    """Implements `commands.ports.Outbox` on the read model `notices`."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def claim(self, calls: Mapping[Receiver, int], *, at_most: int) -> list[ClaimedNotice]:
        bidders, hosts = [each.bidder_id for each in calls], [each.host for each in calls]
        bounds = (NOTICES_PER_HOST_MAX, at_most, NOTICE_HOSTS_PER_BIDDER_MAX, NOTICE_LEASE_SECONDS)
        async with connected(self._pool) as connection:
            rows = await connection.fetch(CLAIM, bidders, hosts, [*calls.values()], *bounds)
        return [_claimed(row) for row in rows]

    async def settle(self, ended: Mapping[NoticeKey, bool], retries: Mapping[NoticeKey, float]) -> None:
        rows: list[tuple[object, ...]]
        rows = [(auction_day(key.auction_id), *key, delivered, None) for key, delivered in ended.items()]
        rows += [(auction_day(key.auction_id), *key, None, seconds) for key, seconds in retries.items()]
        async with connected(self._pool) as connection:
            await connection.execute(SETTLE, *zip(*rows, strict=True))

    async def forget_old_days(self) -> None:
        async with connected(self._pool) as connection:
            # A day more than the projection writes to.
            old = await connection.fetch(OLD_PARTITIONS, TABLES, NOTICE_DAYS_KEPT + 1)
            for (partition,) in old:
                async with connection.transaction():
                    await connection.execute(f"SET LOCAL lock_timeout = {LOCK_MS}")
                    await connection.execute(f"DROP TABLE IF EXISTS {partition}")


def _claimed(row: asyncpg.Record) -> ClaimedNotice:
    auction_id, outcome_id, place, kind, imp_id, bidder_id, bid_id, url, viewer_ip, viewer_agent, attempts = row
    viewer = None if viewer_ip is None else Viewer(ip=viewer_ip, user_agent=viewer_agent)
    key = NoticeKey(auction_id, outcome_id, place, kind)
    return ClaimedNotice(Notice(key, imp_id, bidder_id, bid_id, url, viewer), attempts)
