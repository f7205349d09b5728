"""How a batch of `delivery` is written: copied into tables of the connection's own, then counted and judged at once.

Copied, because asyncpg spends four times as much on arrays. One statement, because every row of `delivery` is then
locked once, in one order, by all writers alike. The transaction has moved the offsets before, so nobody else judges
engagements of the same auctions.
"""

from __future__ import annotations

from projections.judged_engagements import judged
from projections.tables import DELIVERY_COUNTS, DELIVERY_DIMENSIONS, DELIVERY_MONEY

QUARTER_SECONDS = 900
FOLDED_COUNTS = DELIVERY_COUNTS[:4]
JUDGED_SUMS = (*DELIVERY_COUNTS[4:], *DELIVERY_MONEY)

_KEY = "quarter, auction_quarter, line"
_DIMENSIONS = ", ".join(DELIVERY_DIMENSIONS)
_DIMENSION_COLUMNS = ", ".join(
    f"{name} {'smallint' if name == 'device_type' else 'text'} NOT NULL" for name in DELIVERY_DIMENSIONS
)

INCOMING = f"""
CREATE TEMPORARY TABLE delivery_named (line uuid, {_DIMENSION_COLUMNS}) ON COMMIT DELETE ROWS;
CREATE TEMPORARY TABLE delivery_folded (
    number int, quarter bigint, auction_quarter bigint, line uuid,
    {", ".join(f"{name} bigint" for name in FOLDED_COUNTS)}
) ON COMMIT DELETE ROWS;
CREATE TEMPORARY TABLE delivery_met (
    place int, number int, day date, auction_id uuid, event_id uuid, imp_id text, kind text, valid boolean,
    register smallint, rank smallint, spend bigint, revenue bigint, fee bigint
) ON COMMIT DELETE ROWS
"""
"""What a batch is copied into, its columns in the order in which `delivery_rows` gives them; once in a connection."""

KNOWN = """
SELECT to_regclass('pg_temp.delivery_met') IS NOT NULL,
    ARRAY(SELECT line FROM delivery_lines WHERE line = ANY($1::uuid[]))
"""
"""Whether the connection has those tables, and which of these lines are stored: whatever is seen was committed."""

NAME = f"""
INSERT INTO delivery_lines (line, {_DIMENSIONS})
SELECT line, {_DIMENSIONS} FROM delivery_named
ORDER BY line
ON CONFLICT DO NOTHING
"""  # noqa: S608 - nothing but names of columns is put in
"""Before anything is counted: all writers take the new lines in one order, and none of them has a row yet."""

# `added` is read to its end before the first mark is written: by then all rows are locked, and with them their marks.
COUNT_AND_JUDGE = f"""
WITH {judged("delivery_met", "delivery_engagements")},
remembered AS (
    INSERT INTO delivery_engagements (day, auction_id, event_id, imp_id, kind, counted)
    SELECT day, auction_id, event_id, imp_id, kind, counted FROM judged
),
engaged AS (
    SELECT number,
        count(*) FILTER (WHERE kind = 'impression') AS impressions_gross,
        count(*) FILTER (WHERE kind = 'impression' AND counted) AS impressions,
        count(*) FILTER (WHERE kind = 'click') AS clicks_gross,
        count(*) FILTER (WHERE kind = 'click' AND counted) AS clicks,
        sum(spend) FILTER (WHERE counted) AS spend_nanos,
        sum(revenue) FILTER (WHERE counted) AS revenue_nanos,
        sum(fee) FILTER (WHERE counted) AS fee_nanos
    FROM judged
    GROUP BY number
),
added AS (
    INSERT INTO delivery ({_KEY}, {", ".join((*FOLDED_COUNTS, *JUDGED_SUMS))})
    SELECT to_timestamp(quarter * {QUARTER_SECONDS}), to_timestamp(auction_quarter * {QUARTER_SECONDS}), line,
        {", ".join(FOLDED_COUNTS)}, {", ".join(f"coalesce({name}, 0)" for name in JUDGED_SUMS)}
    FROM delivery_folded AS folded LEFT JOIN engaged USING (number)
    WHERE {" + ".join(FOLDED_COUNTS)} > 0 OR engaged.number IS NOT NULL
    ORDER BY {_KEY}
    ON CONFLICT ({_KEY}) DO UPDATE
    SET {", ".join(f"{name} = delivery.{name} + excluded.{name}" for name in (*FOLDED_COUNTS, *JUDGED_SUMS))}
    RETURNING line
)
INSERT INTO delivery_reach ({_KEY}, register, rank)
SELECT to_timestamp(quarter * {QUARTER_SECONDS}), to_timestamp(auction_quarter * {QUARTER_SECONDS}), line,
    register, max(rank)
FROM judged JOIN delivery_folded USING (number)
WHERE counted AND register IS NOT NULL AND (SELECT count(*) FROM added) > 0
GROUP BY {_KEY}, register
ORDER BY {_KEY}, register
ON CONFLICT ({_KEY}, register) DO UPDATE SET rank = excluded.rank WHERE delivery_reach.rank < excluded.rank
"""  # noqa: S608 - nothing but names of columns and a number of our own is put in

TAKE_BACK = f"""
WITH taken AS (
    UPDATE delivery_engagements SET voided = true
    WHERE day = $1 AND auction_id = $2 AND event_id = $3 AND counted AND NOT voided
    RETURNING kind
)
UPDATE delivery
SET impressions = impressions - (taken.kind = 'impression')::int, clicks = clicks - (taken.kind = 'click')::int,
    spend_nanos = spend_nanos - $7, revenue_nanos = revenue_nanos - $8, fee_nanos = fee_nanos - $9
FROM taken
WHERE quarter = to_timestamp($4::bigint * {QUARTER_SECONDS})
  AND auction_quarter = to_timestamp($5::bigint * {QUARTER_SECONDS}) AND line = $6
"""  # noqa: S608 - a number of our own
"""Of one engagement that no longer counts: what its row had of it, if it counted. Its mark stays: sketches only grow.

Runs after the batch is counted, for an engagement may be voided in the batch that it came with.
"""
