"""The judge of engagements, in SQL: which of those that come with a batch is news, and which one counts net.

Engagements were judged once before they were logged, by a memory that can be lost; this is the one that decides
(docs/decisions/0003). A projection gives it a table of its own to remember by, with these columns: day, auction_id,
event_id, imp_id, kind, counted.
"""

from __future__ import annotations


def judged(incoming: str, known: str) -> str:
    """The common table expressions `fresh` and `judged` over the engagements in the table `incoming`.

    `incoming` has the columns of `known`, but for `counted`, and `place` in the batch and `valid`. `judged` has each
    event once and never again, with `counted`: it is valid, and the first one of its kind for its imp.
    """
    # The look-ups are scalar subqueries with a limit: a planner that knows nothing of a table that was just emptied
    # and fills quickly must not turn them into a join that reads all of it.
    return f"""
fresh AS (
    -- An event that was logged before, in this batch or an earlier one, is no event.
    SELECT DISTINCT ON (event_id) *
    FROM {incoming} AS met
    WHERE (
        SELECT true FROM {known} AS known
        WHERE known.day = met.day AND known.auction_id = met.auction_id AND known.event_id = met.event_id
        LIMIT 1
    ) IS NULL
    ORDER BY event_id, place
),
judged AS MATERIALIZED (
    SELECT fresh.*, valid
        AND row_number() OVER (PARTITION BY auction_id, imp_id, kind, valid ORDER BY place) = 1
        AND (
            SELECT true FROM {known} AS known
            WHERE known.day = fresh.day AND known.auction_id = fresh.auction_id
              AND known.imp_id = fresh.imp_id AND known.kind = fresh.kind AND known.counted
            LIMIT 1
        ) IS NULL AS counted
    FROM fresh
)"""  # noqa: S608 - nothing but names of tables is put in
