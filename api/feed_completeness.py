"""A look-up among records that Redis has lost, and is being filled with again: refused, or marked where it is asked."""

from __future__ import annotations

from typing import Annotated

from litestar.params import QueryParameter

from api.problems import ProblemRaised
from projections.queries.feed_completeness import FeedCompleteness
from projections.queries.feed_records import Positions

STALE = "Gavel-Stale"

Stale = Annotated[
    bool,
    QueryParameter(
        name="stale",
        description=f"Answer with what there is, marked by `{STALE}: true`, while records are read from the log again.",
    ),
]


async def marked(completeness: FeedCompleteness, client: str, positions: Positions, *, stale: bool) -> dict[str, str]:
    """Headers of the answer. Raises ProblemRaised (503) where records are missing and that is not wanted."""
    if await completeness.is_complete(client, positions):
        return {}
    if not stale:
        told = "the records are being read from the log again, and not all of them are there: try again as told"
        raise ProblemRaised("incomplete", told)
    return {STALE: "true"}
