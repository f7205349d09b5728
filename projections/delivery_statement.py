"""The one statement that writes a batch of `delivery`: counts what was folded, judges and counts engagements.

One statement, because every row of `delivery` is then locked once, in one order, by all writers alike.
The transaction has moved the offsets before, so nobody else judges engagements of the same auctions.
"""

from __future__ import annotations

from projections.tables import DELIVERY_COUNTS, DELIVERY_DIMENSIONS, DELIVERY_MONEY

_KEY = ("hour", *DELIVERY_DIMENSIONS)
_KEY_TYPES = ["bigint[]", *("smallint[]" if name == "device_type" else "text[]" for name in DELIVERY_DIMENSIONS)]
_FOLDED = ("requests", "imps", "bids", "wins")
_MET = ("day", "auction_id", "event_id", "imp_id", "kind", "valid", "spend", "revenue", "fee")
_MET_TYPES = ["date[]", "uuid[]", "uuid[]", "text[]", "text[]", "boolean[]", "bigint[]", "bigint[]", "bigint[]"]

_COUNTED_TYPES = [*_KEY_TYPES, *["bigint[]"] * len(_FOLDED)]
_JUDGED_TYPES = [*_KEY_TYPES, *_MET_TYPES]


def _arrays(types: list[str], first: int) -> str:
    """The parameters from `$first` on, each with its type."""
    return ", ".join(f"${number}::{kind}" for number, kind in enumerate(types, first))


_KEYS = ", ".join(_KEY)
_SUMS = (*DELIVERY_COUNTS, *DELIVERY_MONEY)

COUNT_AND_JUDGE = f"""
WITH met AS (
    SELECT *
    FROM unnest({_arrays(_JUDGED_TYPES, 1 + len(_COUNTED_TYPES))}) WITH ORDINALITY
        AS met({_KEYS}, {", ".join(_MET)}, place)
),
-- An event that was logged before, in this batch or an earlier one, is no event.
fresh AS (
    SELECT DISTINCT ON (event_id) *
    FROM met
    WHERE NOT EXISTS (
        SELECT FROM delivery_engagements AS known
        WHERE known.day = met.day AND known.auction_id = met.auction_id AND known.event_id = met.event_id
    )
    ORDER BY event_id, place
),
judged AS MATERIALIZED (
    SELECT fresh.*, valid
        AND row_number() OVER (PARTITION BY auction_id, imp_id, kind, valid ORDER BY place) = 1
        AND NOT EXISTS (
            SELECT FROM delivery_engagements AS known
            WHERE known.day = fresh.day AND known.auction_id = fresh.auction_id
              AND known.imp_id = fresh.imp_id AND known.kind = fresh.kind AND known.counted
        ) AS counted
    FROM fresh
),
remembered AS (
    INSERT INTO delivery_engagements (day, auction_id, event_id, imp_id, kind, counted)
    SELECT day, auction_id, event_id, imp_id, kind, counted FROM judged
),
added AS (
    SELECT {_KEYS}, {", ".join(_FOLDED)},
        0 AS impressions_gross, 0 AS impressions, 0 AS clicks_gross, 0 AS clicks,
        0 AS spend_nanos, 0 AS revenue_nanos, 0 AS fee_nanos
    FROM unnest({_arrays(_COUNTED_TYPES, 1)}) AS folded({_KEYS}, {", ".join(_FOLDED)})
    UNION ALL
    SELECT {_KEYS}, 0, 0, 0, 0,
        (kind = 'impression')::int, (kind = 'impression' AND counted)::int,
        (kind = 'click')::int, (kind = 'click' AND counted)::int,
        CASE WHEN kind = 'impression' AND counted THEN spend ELSE 0 END,
        CASE WHEN kind = 'impression' AND counted THEN revenue ELSE 0 END,
        CASE WHEN kind = 'impression' AND counted THEN fee ELSE 0 END
    FROM judged
)
INSERT INTO delivery ({_KEYS}, {", ".join(_SUMS)})
SELECT to_timestamp(hour * 3600), {", ".join(DELIVERY_DIMENSIONS)}, {", ".join(f"sum({name})" for name in _SUMS)}
FROM added
GROUP BY {_KEYS}
ORDER BY {_KEYS}
ON CONFLICT ({_KEYS}) DO UPDATE
SET {", ".join(f"{name} = delivery.{name} + excluded.{name}" for name in _SUMS)}
"""  # noqa: S608 - nothing but names of columns is put in
